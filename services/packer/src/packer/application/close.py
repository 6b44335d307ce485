"""Ending a job."""

from dataclasses import dataclass

from glaciate.events import Outcome
from glaciate.names import JobId
from glaciate.outbox import EventBus
from glaciate.telemetry import count, logger
from packer.ports import Holds, Jobs


@dataclass(frozen=True, slots=True)
class CloseJob:
    """Ends a job when nothing of it is left to do, and tells. Twice is harmless: the event is told until it is marked as told."""

    jobs: Jobs
    holds: Holds
    bus: EventBus

    def __call__(self, job_id: JobId) -> None:
        """Nothing happens while something is left to do."""
        event = self.jobs.close_if_last(job_id)
        if event is None:
            return
        if event.sources_due_at is not None and not self.holds.hold(job_id, due_at=event.sources_due_at):
            event = event.model_copy(update={"sources_due_at": None})  # somebody kept them while the job was running
        self.bus.publish(event)
        self.jobs.mark_announced(job_id)
        count("ArchiveJobFailed" if event.outcome is Outcome.FAILED else "ArchiveJobCompleted")
        logger().info("job ended", extra={"job_id": job_id, "outcome": event.outcome, "archived": event.archived})
