"""The finished archives of jobs whose sources are held."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pynamodb.transactions import TransactWrite

from glaciate.holds import dealt_with
from glaciate.messages import DeleteArchivedSources
from glaciate.names import ArchiveId
from glaciate.tables import HOLD_ITEM, ArchiveRow, HoldRow, archive_hash_key
from packer.adapters.rows import archive_of, archive_row, key_of, transact, utc_now
from packer.domain.archives import Archive, ArchiveState, DoneArchive, Job
from packer.ports import LostRace

_KEY_ROOM: Final = 1000  # of a sort key's 1,024 bytes
_LAST_CHARACTER: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class PynamoHeldArchives:
    """The archives table, and the holds in the jobs table."""

    now: Callable[[], datetime] = field(default=utc_now)

    def waiting(self, job: Job, *, after: str | None) -> Iterator[DoneArchive]:
        """One query over the rows under the job's prefix; DynamoDB leaves out those of other jobs and those that are through."""
        start = job.order.prefix.encode()[:_KEY_ROOM].decode(errors="ignore")
        theirs = (
            (ArchiveRow.job_id == job.job_id)
            & (ArchiveRow.state == ArchiveState.DONE)
            & ArchiveRow.disposed_at.does_not_exist()
        )
        rows = ArchiveRow.query(
            archive_hash_key(job.order.project, job.order.bucket),
            ArchiveRow.range_id.between(max(start, after or "", "\x00"), start + _LAST_CHARACTER),
            filter_condition=theirs,
            consistent_read=True,
        )
        for row in rows:
            if row.range_id != after:
                yield DoneArchive(ArchiveId(row.archive_id), row.first_key, row.range_id)

    def load(self, message: DeleteArchivedSources) -> Archive:
        """Read consistently."""
        return archive_of(archive_row(message), message)

    def dealt_with(self, archive: Archive, *, deleted: int, left: int) -> bool:
        """One transaction: the archive's row, on condition that it is not marked, and the hold, on condition that deletion goes on."""
        actions, goes_on = dealt_with(deleted=deleted, left=left)

        def write(transaction: TransactWrite) -> None:
            transaction.update(
                key_of(archive),
                actions=[ArchiveRow.disposed_at.set(self.now())],
                condition=ArchiveRow.disposed_at.does_not_exist() & (ArchiveRow.state == ArchiveState.DONE),
            )
            transaction.update(HoldRow(archive.job_id, HOLD_ITEM), actions=actions, condition=goes_on)

        try:
            transact(write)
        except LostRace:
            return False
        return True
