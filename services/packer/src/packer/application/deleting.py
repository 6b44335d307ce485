"""Deleting the sources of an archive, at once or after the days for which they were held."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from glaciate.catalog import Skipped
from glaciate.events import SourcesDeleted
from glaciate.holds import HoldState
from glaciate.messages import DeleteArchivedSources, DeleteHeldSources
from glaciate.names import JobId
from glaciate.outbox import CommandQueue, EventBus
from glaciate.telemetry import count, logger
from packer.application.turns import ASKED_FOR_AT_ONCE, send_in_turns
from packer.domain.archives import Archive, CatalogEntry, DoneArchive, Job
from packer.domain.sources import skipped_json_line
from packer.ports import Catalogs, Clock, HeldArchives, Holds, Jobs, Plans, Sources, Vault

_GONE: Final = "archived, but its archive is not in the vault any more: the source is kept"


@dataclass(frozen=True, slots=True)
class DeleteSources:
    """Deletes what an archive's catalog tells of, each file on condition that it is still what was archived. Harmless twice."""

    sources: Sources
    catalogs: Catalogs
    plans: Plans

    def __call__(self, archive: Archive) -> int:
        """How many were left where they are; the job's lists say which, and why."""
        files = ((entry.key, entry.etag) for entry in self._entries(archive))
        return self._report(archive, tuple(self.sources.delete(archive.bucket, files)))

    def leave(self, archive: Archive, reason: str) -> int:
        """Deletes none, and says why; how many there are."""
        return self._report(archive, tuple(Skipped(entry.key, reason) for entry in self._entries(archive)))

    def _entries(self, archive: Archive) -> Iterator[CatalogEntry]:
        seal = archive.require_seal()
        if seal.members:
            for entry in self.catalogs.entries(archive.archive_id, seal):
                if not isinstance(entry, Skipped):
                    yield entry

    def _report(self, archive: Archive, kept: tuple[Skipped, ...]) -> int:
        if archive.require_seal().members:
            lines = b"".join(skipped_json_line(file.key, file.reason) for file in kept)
            self.plans.put_skipped(archive.job_id, f"{archive.archive_id}-kept", lines)
        if kept:
            count("SourcesKept", len(kept))
        return len(kept)


@dataclass(frozen=True, slots=True)
class EndHold:
    """Tells that a job's held sources are deleted, when all its archives are through. Told until it is marked as told."""

    holds: Holds
    bus: EventBus
    now: Clock

    def __call__(self, job: Job) -> None:
        """Nothing happens while something is left to do."""
        hold = self.holds.end(job.job_id, archives=job.archives, now=self.now())
        if hold is None:
            return
        self.bus.publish(
            SourcesDeleted(
                correlation_id=job.correlation_id,
                job_id=job.job_id,
                project=job.order.project,
                bucket=job.order.bucket,
                prefix=job.order.prefix,
                topic_arn=job.topic_arn,
                deleted=hold.deleted,
                left=hold.left,
                status_url=job.status_url,
            )
        )
        self.holds.mark_announced(job.job_id)
        count("SourcesDeleted", hold.deleted)
        logger().info("held sources deleted", extra={"job_id": job.job_id, "deleted": hold.deleted, "left": hold.left})


def _is_deleting(holds: Holds, job_id: JobId) -> bool:
    """Deletion once begun is not taken back, so that a message that comes late finds the same or the end."""
    hold = holds.find(job_id)
    if hold is not None and hold.state is HoldState.DELETING:
        return True
    logger().info("nothing to delete", extra={"job_id": job_id, "state": hold.state if hold else None})
    return False


@dataclass(frozen=True, slots=True)
class AskForDeletion:
    """Sends a command for each archive of a job whose held sources are due. Harmless twice: so is each command."""

    jobs: Jobs
    holds: Holds
    archives: HeldArchives
    queue: CommandQueue
    end: EndHold
    at_once: int = ASKED_FOR_AT_ONCE

    def __call__(self, message: DeleteHeldSources) -> None:
        """Sends what is left, so many at once, and then a command to go on."""
        job = self.jobs.load(message.job_id)
        if _is_deleting(self.holds, job.job_id):
            waiting = self.archives.waiting(job, after=message.after)
            send_in_turns(self.queue, waiting, lambda archive: _command(job, archive), message, at_once=self.at_once)
        self.end(job)


def _command(job: Job, archive: DoneArchive) -> DeleteArchivedSources:
    return DeleteArchivedSources(
        correlation_id=job.correlation_id,
        job_id=job.job_id,
        archive_id=archive.archive_id,
        project=job.order.project,
        bucket=job.order.bucket,
        first_key=archive.first_key,
    )


@dataclass(frozen=True, slots=True)
class DeleteHeld:
    """Deletes the held sources of one archive, and ends the hold with the last one.

    Twice is harmless, one after the other or at once: nothing is deleted that is not what was archived, and the archive is
    counted in one transaction with its own row. Nothing is deleted whose archive is not in the vault as it was sealed.
    """

    jobs: Jobs
    holds: Holds
    archives: HeldArchives
    vault: Vault
    delete: DeleteSources
    end: EndHold

    def __call__(self, message: DeleteArchivedSources) -> None:
        """Raises what a source or the catalog raises: the message comes back, and the sources stay."""
        job = self.jobs.load(message.job_id)
        archive = self.archives.load(message)
        if not archive.sources_dealt_with and _is_deleting(self.holds, job.job_id):
            seal = archive.require_seal()
            left = self.delete(archive) if self._is_there(archive) else self.delete.leave(archive, _GONE)
            self.archives.dealt_with(archive, deleted=seal.members - left, left=left)
        self.end(job)

    def _is_there(self, archive: Archive) -> bool:
        """Days have passed since it was sealed: somebody may have deleted the archive itself."""
        seal = archive.require_seal()
        if not seal.members:
            return True
        stored = self.vault.find(archive.vault_key)
        if stored is not None and (stored.size_bytes, stored.checksum) == (seal.size_bytes, seal.checksum):
            return True
        logger().error("an archive is not in the vault as it was sealed", extra={"archive_id": archive.archive_id})
        count("ArchiveMissing")
        return False
