"""Jobs as the intake sees them, which prefixes meet, and what the fallback may decide. No AWS here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import to_json

from glaciate.contracts import CorrelationId
from glaciate.costs import Cost, lifecycle_cost, packed_cost, price_list
from glaciate.jobs import JobOrder
from glaciate.names import JobId
from glaciate.projects import FallbackSchedule
from glaciate.requests import ArchiveRequest, Moment


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
    """Files, archives and bytes. `planned` of `listed` files go into archives; `archives` counts the finished ones."""

    listed: int = 0
    planned: int = 0
    archived: int = 0
    skipped: int = 0
    failed: int = 0
    archives: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


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
    """What makes two calls the same: their bodies, and their keys where they have one."""
    return sha256(to_json([idempotency_key, request.model_dump(mode="json")])).hexdigest()


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


def _filled_in(value: object) -> object:
    return None if isinstance(value, str) and value.startswith("<aws.scheduler.") else value


class ScheduledRun(BaseModel):
    """What the schedule asks for. A placeholder that nobody has filled in counts as left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: Literal["fallback", "resend"] = "fallback"
    scheduled_time: Annotated[Moment | None, BeforeValidator(_filled_in)] = None


class DecisionOutcome(StrEnum):
    """What the fallback did."""

    STARTED = "STARTED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class DuePrefix:
    """One fallback rule on one day; `period_start` is the day's first moment in the schedule's time zone."""

    bucket: str
    prefix: str
    day: date
    period_start: datetime
    decision_id: str

    @property
    def label(self) -> str:
        """The day, for people and for the job's row."""
        return self.day.isoformat()


def due_prefix(rule: FallbackSchedule, *, at: datetime, zone: ZoneInfo) -> DuePrefix:
    """What a rule wants archived by a run at `at`. The same rule and day give the same `decision_id`."""
    day = date.fromordinal(at.astimezone(zone).date().toordinal() - rule.days_ago)
    rule_digest = sha256(to_json([rule.bucket, rule.prefix])).hexdigest()[:16]
    return DuePrefix(
        bucket=rule.bucket,
        prefix=rule.prefix_of(day),
        day=day,
        period_start=datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC),
        decision_id=f"{day.isoformat()}#{rule_digest}",
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What the fallback decided about a due prefix, and why."""

    due: DuePrefix
    outcome: DecisionOutcome
    decided_at: datetime
    job_id: JobId | None = None
    reason: str | None = None


def covering_job(due: DuePrefix, jobs: Iterable[Job]) -> Job | None:
    """The first of the jobs that takes everything under a due prefix, if there is one.

    A job with filters does not take everything; one that the fallback started for another day does not count for this one.
    """
    for job in jobs:
        order = job.order
        whole = not (order.include or order.exclude or order.older_than)
        of_this_day = job.scheduled_for in {None, due.label}
        if order.bucket == due.bucket and covers(order.prefix, due.prefix) and whole and of_this_day:
            return job
    return None


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A source file that was left where it is."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class PriceNote:
    """Which prices a cost was reckoned with."""

    date: str
    region: str
    currency: str


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """What the archived files have cost, and what moving them by a lifecycle rule would have."""

    packed: Cost
    lifecycle_rule: Cost
    prices: PriceNote


def cost_so_far(job: Job) -> CostSoFar:
    """The cost of what is archived until now, by the price file."""
    prices = price_list()
    counts, storage_class = job.counts, job.order.storage_class
    return CostSoFar(
        packed=packed_cost(
            files=counts.archived, size_bytes=counts.bytes_out, archives=counts.archives, storage_class=storage_class
        ),
        lifecycle_rule=lifecycle_cost(files=counts.archived, size_bytes=counts.bytes_in, storage_class=storage_class),
        prices=PriceNote(date=prices["date"], region=prices["region"], currency=prices["currency"]),
    )


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The answer of `GET /archive/{job_id}`; `next_token` asks for more of `skipped`."""

    job_id: JobId
    state: JobState
    project: str
    bucket: str
    prefix: str
    storage_class: str
    output_prefix: str
    disposition: str
    counts: Counts
    skipped: tuple[SkippedFile, ...]
    next_token: str | None
    accepted_at: datetime
    finished_at: datetime | None
    scheduled_for: str | None
    reason: str | None
    status_url: str | None
    cost: CostSoFar


def status_of(job: Job, *, skipped: tuple[SkippedFile, ...], next_token: str | None) -> JobStatus:
    """How a job stands."""
    order = job.order
    return JobStatus(
        job_id=job.job_id,
        state=job.state,
        project=order.project,
        bucket=order.bucket,
        prefix=order.prefix,
        storage_class=order.storage_class,
        output_prefix=order.output_prefix,
        disposition=order.disposition,
        counts=job.counts,
        skipped=skipped,
        next_token=next_token,
        accepted_at=job.accepted_at,
        finished_at=job.finished_at,
        scheduled_for=job.scheduled_for,
        reason=job.reason,
        status_url=job.status_url,
        cost=cost_so_far(job),
    )


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list."""

    job_id: JobId
    state: JobState
    bucket: str
    prefix: str
    counts: Counts
    accepted_at: datetime
    finished_at: datetime | None
    scheduled_for: str | None
    reason: str | None
    status_url: str | None


@dataclass(frozen=True, slots=True)
class DecisionSummary:
    """A fallback decision in a list."""

    day: str
    bucket: str
    prefix: str
    outcome: DecisionOutcome
    decided_at: datetime
    job_id: JobId | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ProjectJobs:
    """The answer of `GET /archive?project_name=`: jobs newest first, and on the first page the fallback's last decisions."""

    project_name: str
    jobs: tuple[JobSummary, ...]
    fallback: tuple[DecisionSummary, ...] = field(default=())
    next_token: str | None = None


def summary_of(job: Job) -> JobSummary:
    """A job as a list shows it."""
    return JobSummary(
        job_id=job.job_id,
        state=job.state,
        bucket=job.order.bucket,
        prefix=job.order.prefix,
        counts=job.counts,
        accepted_at=job.accepted_at,
        finished_at=job.finished_at,
        scheduled_for=job.scheduled_for,
        reason=job.reason,
        status_url=job.status_url,
    )


def decision_summary_of(decision: Decision) -> DecisionSummary:
    """A decision as a list shows it."""
    return DecisionSummary(
        day=decision.due.label,
        bucket=decision.due.bucket,
        prefix=decision.due.prefix,
        outcome=decision.outcome,
        decided_at=decision.decided_at,
        job_id=decision.job_id,
        reason=decision.reason,
    )
