"""Jobs as the intake sees them, and which prefixes meet."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from pydantic_core import to_json

from glaciate.contracts import CorrelationId
from glaciate.jobs import JobOrder
from glaciate.names import JobId
from glaciate.requests import ArchiveRequest


class JobState(StrEnum):
    """How far a job has come."""

    ACCEPTED = "ACCEPTED"
    PLANNING = "PLANNING"
    PACKING = "PACKING"
    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobState.COMPLETED, JobState.PARTIAL, JobState.FAILED}


@dataclass(frozen=True, slots=True)
class Counts:
    """Files, archives and bytes. `planned` of `listed` files go into archives; `archives` counts the finished ones.

    `already_archived` files are listed, but neither planned nor skipped: an earlier archive holds them as they are.
    """

    listed: int = 0
    planned: int = 0
    archived: int = 0
    skipped: int = 0
    failed: int = 0
    archives: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    already_archived: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted request to archive a prefix."""

    job_id: JobId
    order: JobOrder
    correlation_id: CorrelationId
    topic_arn: str
    accepted_at: datetime
    status_url: str | None = None
    scheduled_for: str | None = None
    state: JobState = JobState.ACCEPTED
    counts: Counts = Counts()
    finished_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WantedJob:
    """A job that is asked for. `fingerprint` is the same for the same call sent again, and for no other."""

    order: JobOrder
    fingerprint: str
    correlation_id: CorrelationId
    topic_arn: str
    stage_url: str | None
    scheduled_for: str | None = None

    def accepted(self, job_id: JobId, now: datetime) -> Job:
        """The job that this becomes."""
        return Job(
            job_id=job_id,
            order=self.order,
            correlation_id=self.correlation_id,
            topic_arn=self.topic_arn,
            accepted_at=now,
            status_url=f"{self.stage_url}/archive/{job_id}" if self.stage_url else None,
            scheduled_for=self.scheduled_for,
        )


def fingerprint(request: ArchiveRequest, idempotency_key: str | None) -> str:
    """What makes two calls the same: their bodies, and their keys where they have one. A dry run is the call that it tries."""
    return sha256(to_json([idempotency_key, request.model_dump(mode="json", exclude={"dry_run"})])).hexdigest()


def covers(prefix: str, other: str) -> bool:
    """Whether every key under `other` is also under `prefix`."""
    return other.startswith(prefix)


def overlap(prefix: str, other: str) -> bool:
    """Whether a key can be under both."""
    return covers(prefix, other) or covers(other, prefix)


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that may still be archiving a prefix."""

    job_id: JobId
    prefix: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """What may be running over a project's bucket, oldest first, and the version of this knowledge."""

    version: int
    jobs: tuple[RunningJob, ...] = ()

    def meeting(self, prefix: str) -> tuple[RunningJob, ...]:
        """Those over a prefix that overlaps."""
        return tuple(job for job in self.jobs if overlap(job.prefix, prefix))
