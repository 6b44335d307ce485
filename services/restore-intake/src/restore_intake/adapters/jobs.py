"""What archive jobs will still do to their sources, in the jobs table."""

from dataclasses import dataclass

from pynamodb.exceptions import DoesNotExist

from glaciate.holds import DynamoHolds, HoldState
from glaciate.jobs import JobOrder
from glaciate.names import JobId
from glaciate.requests import Disposition
from glaciate.tables import JOB_ITEM, JobRow
from restore_intake.domain.ordering import Deletion


@dataclass(frozen=True, slots=True)
class DynamoDeletions:
    """The jobs table, which must be bound."""

    holds: DynamoHolds

    def ahead(self, job_id: JobId) -> Deletion | None:
        """A deletion of a job's sources that is still to come, or goes on: held, or of a job that has not ended. Reads two rows at most."""
        hold = self.holds.find(job_id)
        if hold is not None:
            goes_on = hold.state in {HoldState.HELD, HoldState.DELETING}
            return Deletion(job_id, hold.due_at) if goes_on else None
        try:
            row = JobRow.get(job_id, JOB_ITEM, consistent_read=True)
        except DoesNotExist:
            return None
        keeps = JobOrder.model_validate(row.request).disposition is Disposition.KEEP
        return None if keeps or row.finished_at is not None else Deletion(job_id)
