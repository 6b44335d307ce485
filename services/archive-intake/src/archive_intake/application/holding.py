"""Sources that are held for some days: have them deleted when their day comes, or keep them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from archive_intake.application.accepting import Clock
from archive_intake.application.reporting import job_id_of
from archive_intake.domain.answers import KeptAnswer, sources_of
from archive_intake.ports import Holds, Jobs
from glaciate.errors import conflict, not_found
from glaciate.holds import DeletionBegan
from glaciate.messages import DeleteHeldSources
from glaciate.outbox import CommandQueue
from glaciate.requests import DeleteAfterDays
from glaciate.telemetry import correlated, count, logger

_LOOK_AGAIN: Final = timedelta(hours=1)  # were a command lost, it would be sent again then
_MOST_AT_ONCE: Final = 500  # a run has five minutes; the next one goes on


@dataclass(frozen=True, slots=True)
class DeleteDue:
    """Has the sources deleted whose days are over. Harmless twice: deletion begins by one write, and commands may be doubled."""

    jobs: Jobs
    holds: Holds
    pack_queue: CommandQueue
    now: Clock

    def __call__(self) -> int:
        """Returns for how many jobs a command was sent. The decision is recorded before it is sent; what is lost between is sent again."""
        now, sent = self.now(), 0
        due = tuple(self.holds.due(now, at_most=_MOST_AT_ONCE))
        jobs = self.jobs.find(due)
        for job_id in due:
            if not self.holds.begin(job_id, now=now, look_again_at=now + _LOOK_AGAIN):
                continue  # somebody kept them meanwhile
            job = jobs.get(job_id)
            if job is None:
                logger().error("held sources of a job that is gone", extra={"job_id": job_id})
                continue
            with correlated(job.correlation_id):
                self.pack_queue.send(DeleteHeldSources(correlation_id=job.correlation_id, job_id=job_id))
                logger().info("held sources are due", extra={"job_id": job_id})
                count("HeldSourcesDue")
            sent += 1
        return sent


@dataclass(frozen=True, slots=True)
class KeepSources:
    """Keeps the sources that a job holds. Harmless twice: kept stays kept."""

    jobs: Jobs
    holds: Holds
    now: Clock

    def __call__(self, name: str) -> KeptAnswer:
        """Works while the job is running, too. Once it has answered, nothing of the job's sources is deleted any more.

        Raises:
            Problem: 404, no such job; 400, not a job's id; 409, deletion has begun, or the job holds nothing.
        """
        job_id = job_id_of(name)
        job = self.jobs.find([job_id]).get(job_id)
        if job is None:
            raise not_found("JobNotFound", f"there is no archive job {job_id}")
        disposition = job.order.disposition
        if not isinstance(disposition, DeleteAfterDays):
            raise conflict(
                "NothingHeld",
                f"job {job_id} has disposition {disposition}: there is nothing held that could be kept",
                {"job_id": job_id, "disposition": disposition},
            )
        try:
            hold = self.holds.keep(job_id, now=self.now())
        except DeletionBegan as late:
            found = sources_of(job, self.holds.find(job_id))
            raise conflict(
                "DeletionBegan",
                f"it is too late to keep the sources of job {job_id}: their deletion has begun. What is deleted is in the archives",
                {"job_id": job_id, "sources": found},
            ) from late
        logger().info("sources kept", extra={"job_id": job_id})
        count("SourcesKeptByRequest")
        return KeptAnswer(job_id=job_id, state=job.state, sources=sources_of(job, hold))
