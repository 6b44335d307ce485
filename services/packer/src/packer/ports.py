"""What planning and packing need from outside."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from glaciate.catalog import Skipped
from glaciate.errors import Busy, GlaciateError, Permanent
from glaciate.events import ArchiveJobCompleted
from glaciate.holds import Hold
from glaciate.jobs import JobOrder
from glaciate.manifests import Slice
from glaciate.messages import DeleteArchivedSources, IndexArchive, PackArchive
from glaciate.names import ArchiveId, JobId, ProjectName
from glaciate.requests import Compression
from packer.domain.archives import (
    Archive,
    CatalogEntry,
    DoneArchive,
    Draft,
    IndexedArchive,
    Job,
    NewArchive,
    Seal,
    StoredObject,
)
from packer.domain.earlier import EarlierArchive, KnownFile
from packer.domain.planning import Span
from packer.domain.sources import Description, ReadFile, SourceFile, SourceState


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Now, in UTC."""


class NotIndexed(GlaciateError):
    """An archive's catalog tells of another object: the message goes to the dead letters, where somebody looks."""


class Unknown(GlaciateError):
    """There is no such job, or no such archive of it: the message goes to the dead letters, where somebody looks."""


class SourceUnlistable(Permanent):
    """The source bucket is not there, or may not be listed."""


class ManifestUnusable(Permanent):
    """The manifest changed since the job was accepted, vanished, or says what cannot be done."""


class NotesMissing(Permanent):
    """What an earlier step left in the work bucket is not there any more."""


class LostRace(Busy):
    """Another worker moved the row since it was read."""


class ArchiveAlreadyDifferent(Permanent):
    """The vault holds another object under this archive's name."""


class ArchiveNotAsSent(Permanent):
    """The vault's object has another size, checksum or storage class than what was sent."""


class CatalogOfAnother(Permanent):
    """The catalog beside the archive does not tell of the object that was sealed: neither index nor delete by it."""


class Jobs(Protocol):
    """The rows of archive jobs."""

    def load(self, job_id: JobId) -> Job:
        """The job as it stands; raises `Unknown`."""

    def begin_planning(self, job_id: JobId) -> None:
        """ACCEPTED → PLANNING; nothing where it is past that."""

    def record(self, job: Job, span: Span, archives: tuple[NewArchive, ...]) -> Job:
        """Adds the archives and moves the checkpoint, both or neither; raises `LostRace` where the checkpoint is not the job's."""

    def finish_planning(self, job: Job, *, reason: str | None = None) -> None:
        """Everything is planned, or, for the reason, nothing more will be; PLANNING → PACKING."""

    def close_if_last(self, job_id: JobId) -> ArchiveJobCompleted | None:
        """Ends the job when planning is finished and every archive has ended. The event, as long as it is not announced."""

    def mark_announced(self, job_id: JobId) -> None:
        """The event is on the bus."""


class Archives(Protocol):
    """The rows of archives. Every move is made on condition that the caller still holds the lease."""

    def claim(self, message: PackArchive, *, owner: str) -> Archive:
        """Takes the lease (PLANNED → PACKING), or finds the archive ended; raises `Busy` on another's live lease, `Unknown`."""

    def held(self, archive: Archive) -> AbstractContextManager[None]:
        """Renews the lease while the block runs, and gives it back after."""

    def seal(self, archive: Archive, seal: Seal) -> Archive:
        """PACKING → SEALED; raises `LostRace`."""

    def mark_indexed(self, archive: Archive) -> Archive:
        """SEALED → INDEXED; raises `LostRace`."""

    def finish(self, archive: Archive) -> Archive:
        """INDEXED → DONE, and its counts on the job, both or neither; raises `LostRace`."""

    def fail(self, archive: Archive, reason: str) -> None:
        """→ FAILED, and its files on the job as failed, both or neither; raises `LostRace`."""


class Holds(Protocol):
    """What is decided about the sources that jobs hold."""

    def find(self, job_id: JobId) -> Hold | None:
        """None where nothing is held yet and nobody has kept anything."""

    def hold(self, job_id: JobId, *, due_at: datetime) -> bool:
        """Holds the sources until a moment, unless that is decided already. False where they were kept beforehand."""

    def end(self, job_id: JobId, *, archives: int, now: datetime) -> Hold | None:
        """DELETING → DELETED, once the sources of so many archives are dealt with. The hold, as long as its end is not announced."""

    def mark_announced(self, job_id: JobId) -> None:
        """The end is told."""


class HeldArchives(Protocol):
    """The finished archives of jobs whose sources are held."""

    def waiting(self, job: Job, *, after: str | None) -> Iterator[DoneArchive]:
        """Those whose sources are not dealt with, in order, on from a place."""

    def load(self, message: DeleteArchivedSources) -> Archive:
        """One of them; raises `Unknown`."""

    def dealt_with(self, archive: Archive, *, deleted: int, left: int) -> bool:
        """Counts an archive's sources on the job's hold, once: both rows or neither. False where it was counted, or deletion is off."""


class ArchivesToIndex(Protocol):
    """The archives that the index tells of, or told of before rows of it were lost."""

    def found(self, project: ProjectName | None, *, after: tuple[str, str] | None) -> Iterator[IndexedArchive]:
        """Those that were indexed, of a project or of all, on from a place; in no order that means anything."""

    def load(self, message: IndexArchive) -> Archive:
        """One of them; raises `Unknown`."""


class Listing(Protocol):
    """The source buckets' listings."""

    def files(self, bucket: str, prefix: str, *, after: str | None) -> Iterator[SourceFile]:
        """Every file in key order, those after `after`; raises `SourceUnlistable`."""


class Earlier(Protocol):
    """What earlier jobs of the project have archived."""

    def archives(self, order: JobOrder, *, besides: JobId, after: str | None) -> Iterator[EarlierArchive]:
        """The indexed archives, of other jobs, whose keys meet the order's prefix after a key; in the order of their rows."""

    def files(self, archive: EarlierArchive) -> Iterator[KnownFile]:
        """The files of one, in key order; none where its catalog is not there, or tells of another object."""


class Manifests(Protocol):
    """Lists of source files that callers keep in S3."""

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        """Some megabytes from a position on, of that version if one is named; no bytes where the object ends.

        Raises `ManifestUnusable` where it is not there, not that version, or not to be read; `Transient`.
        """


class Notes(Protocol):
    """What the planner of a job keeps for whoever goes on planning, in the work bucket."""

    def put(self, job_id: JobId, name: str, data: bytes) -> None:
        """Keeps it under a name, in place of what was there."""

    def find(self, job_id: JobId, name: str) -> bytes | None:
        """What was kept."""


class Plans(Protocol):
    """Plans, and lists of what was skipped, in the work bucket."""

    def put(self, archive_id: ArchiveId, plan: bytes) -> str:
        """Stores a plan, and tells its key; another plan for the same archive, by another planner, gets another key."""

    def read(self, plan_key: str) -> Iterator[SourceFile]:
        """The members of an archive, in order."""

    def put_skipped(self, job_id: JobId, name: str, lines: bytes) -> None:
        """Stores one of the job's lists under a name; no lines: there is no such list."""


class Sources(Protocol):
    """The source files."""

    def read(
        self, bucket: str, files: Iterable[SourceFile], *, compression: Compression, tagged: bool = False
    ) -> Generator[ReadFile | Skipped]:
        """Reads, verifies and compresses files, many at once, and gives them in the order asked.

        `tagged`: with their tags. Whatever is not as planned any more, or cannot be read with all that was asked for, comes as
        `Skipped`. Of a file whose ETag is not known the version that is there is read; `ReadFile.file` says which it was.
        Raises `Transient`.
        """

    def describe(self, bucket: str, file: SourceFile, *, tagged: bool = False) -> SourceState | Skipped:
        """What a source file carries besides its bytes, if it is still as planned."""

    def delete(self, bucket: str, files: Iterable[tuple[str, str]]) -> Iterator[Skipped]:
        """Deletes files, given by key and ETag, that are still what was archived; tells which were kept, and why."""


class Upload(Protocol):
    """An object on its way into the vault."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """More bytes."""

    def finish_parts(self) -> tuple[int, str]:
        """All bytes are in S3's hands; their number, and their CRC64NVME in base64."""

    def complete(self) -> None:
        """Makes them an object, only if there is none yet; raises `ArchiveAlreadyDifferent`."""


class Vault(Protocol):
    """The vault bucket's archives."""

    def find(self, vault_key: str) -> StoredObject | None:
        """What lies under a key."""

    def upload(self, vault_key: str, *, storage_class: str, most_bytes: int) -> AbstractContextManager[Upload]:
        """An upload of at most so many bytes; whatever leaves the block incomplete is aborted, and leftovers before it."""

    def copy(
        self, bucket: str, file: SourceFile, about: Description, vault_key: str, *, storage_class: str
    ) -> Skipped | None:
        """Copies a source file inside S3, as planned or not at all, unless something lies there already."""


class Catalogs(Protocol):
    """The catalogs beside the vault."""

    def version(self, archive_id: ArchiveId) -> str | None:
        """Which catalog lies there, if any."""

    def put(self, archive_id: ArchiveId, catalog: bytes, draft: Draft, *, replacing: str | None) -> str:
        """Stores an archive's catalog, and with it what the archive's object must be; its version.

        On condition that the version `replacing` still lies there, or still none: a worker that was taken over does not
        write over the catalog of the one that took over. Raises `LostRace`.
        """

    def draft(self, archive_id: ArchiveId) -> Draft | None:
        """What an earlier attempt was about to complete."""

    def entries(self, archive_id: ArchiveId, seal: Seal) -> Iterator[CatalogEntry | Skipped]:
        """What the catalog of the sealed object, and of no other, tells, as it is stored; raises `CatalogOfAnother`."""


class FileIndex(Protocol):
    """The index: where every file went."""

    def add(self, archive: Archive, files: Iterable[CatalogEntry], *, sealed_at: datetime) -> None:
        """Writes a row for each file; the same rows again change nothing. Returns when every row is written."""
