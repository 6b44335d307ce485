"""The archives that the index tells of, by the archives table."""

from collections.abc import Iterator
from dataclasses import dataclass

from glaciate.messages import IndexArchive
from glaciate.names import ArchiveId, JobId, ProjectName
from glaciate.tables import ArchiveRow, archive_hash_key
from packer.adapters.rows import archive_of, archive_row
from packer.domain.archives import Archive, ArchiveState, IndexedArchive


@dataclass(frozen=True, slots=True)
class PynamoArchivesToIndex:
    """The archives table, read as a whole: half a kilobyte an archive."""

    def found(self, project: ProjectName | None, *, after: tuple[str, str] | None) -> Iterator[IndexedArchive]:
        """One scan, page by page; DynamoDB leaves out other projects, and archives that were never indexed or are empty."""
        theirs = ArchiveRow.state.is_in(ArchiveState.INDEXED, ArchiveState.DONE) & (ArchiveRow.members > 0)
        if project is not None:
            theirs &= ArchiveRow.owner.startswith(archive_hash_key(project, ""))
        start = {"owner": {"S": after[0]}, "range_id": {"S": after[1]}} if after else None
        for row in ArchiveRow.scan(theirs, last_evaluated_key=start, consistent_read=True):
            of, _, bucket = row.owner.partition("#")
            yield IndexedArchive(
                JobId(row.job_id),
                ArchiveId(row.archive_id),
                ProjectName(of),
                bucket,
                row.first_key,
                (row.owner, row.range_id),
            )

    def load(self, message: IndexArchive) -> Archive:
        """Read consistently."""
        return archive_of(archive_row(message), message)
