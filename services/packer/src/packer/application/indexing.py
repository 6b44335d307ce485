"""Writing the index again where rows of it were lost: archive by archive, from the catalogs."""

from collections.abc import Iterator
from dataclasses import dataclass

from glaciate.catalog import Skipped
from glaciate.messages import IndexArchive, RebuildIndex
from glaciate.outbox import CommandQueue
from glaciate.telemetry import count, logger
from packer.application.turns import ASKED_FOR_AT_ONCE, send_in_turns
from packer.domain.archives import Archive, ArchiveState, CatalogEntry, IndexedArchive
from packer.ports import ArchivesToIndex, CatalogOfAnother, Catalogs, FileIndex, NotIndexed


@dataclass(frozen=True, slots=True)
class AskForIndexing:
    """Sends a command for each archive that was indexed. Harmless twice: so is each command."""

    archives: ArchivesToIndex
    queue: CommandQueue
    at_once: int = ASKED_FOR_AT_ONCE

    def __call__(self, message: RebuildIndex) -> None:
        """Sends what is left, so many at once, and then a command to go on."""

        def command(archive: IndexedArchive) -> IndexArchive:
            return IndexArchive(
                correlation_id=message.correlation_id,
                job_id=archive.job_id,
                archive_id=archive.archive_id,
                project=archive.project,
                bucket=archive.bucket,
                first_key=archive.first_key,
            )

        found = self.archives.found(message.project, after=message.after)
        asked = send_in_turns(self.queue, found, command, message, at_once=self.at_once)
        logger().info(
            "archives are to be indexed again",
            extra={"archives": asked, "project": message.project, "after": message.after},
        )


@dataclass(frozen=True, slots=True)
class IndexAgain:
    """Writes the rows of one archive as they were written first. Harmless twice: they are the same rows again."""

    archives: ArchivesToIndex
    catalogs: Catalogs
    index: FileIndex

    def __call__(self, message: IndexArchive) -> None:
        """Raises `NotIndexed` where the catalog does not serve: the message goes to the dead letters, and can be replayed."""
        archive = self.archives.load(message)
        if archive.state not in {ArchiveState.INDEXED, ArchiveState.DONE}:
            logger().info("not indexed yet, or never", extra={"archive_id": archive.archive_id, "state": archive.state})
            return
        try:
            self.index.add(archive, self._members(archive), sealed_at=archive.require_seal().sealed_at)
        except CatalogOfAnother as failure:
            raise NotIndexed(str(failure)) from failure
        count("ArchiveIndexedAgain")
        logger().info("archive indexed again", extra={"archive_id": archive.archive_id})

    def _members(self, archive: Archive) -> Iterator[CatalogEntry]:
        for entry in self.catalogs.entries(archive.archive_id, archive.require_seal()):
            if not isinstance(entry, Skipped):
                yield entry
