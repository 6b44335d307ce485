"""An archive and a job as the packer sees them, and how a job ends."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from glaciate.catalog import CatalogHeader, Kind
from glaciate.events import Outcome
from glaciate.jobs import JobOrder
from glaciate.names import ArchiveId, JobId, ProjectName
from packer.domain.planning import PlannedArchive


class ArchiveState(StrEnum):
    """`PLANNED → PACKING → SEALED → INDEXED → DONE`, or `FAILED`."""

    PLANNED = "PLANNED"
    PACKING = "PACKING"
    SEALED = "SEALED"
    INDEXED = "INDEXED"
    DONE = "DONE"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self in {ArchiveState.DONE, ArchiveState.FAILED}


class JobState(StrEnum):
    """`ACCEPTED → PLANNING → PACKING → COMPLETED`, `PARTIAL` or `FAILED`."""

    ACCEPTED = "ACCEPTED"
    PLANNING = "PLANNING"
    PACKING = "PACKING"
    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobState.COMPLETED, JobState.PARTIAL, JobState.FAILED}


@dataclass(frozen=True, slots=True)
class Job:
    """An archive job, as far as planning and packing need it."""

    job_id: JobId
    state: JobState
    order: JobOrder
    correlation_id: str
    checkpoint_key: str | None
    next_number: int
    listed: int
    planning_finished: bool
    archives: int = 0  # that are done
    topic_arn: str = ""
    status_url: str | None = None
    last_planned: tuple[tuple[ArchiveId, str], ...] = ()  # ids and first keys of what was planned with the checkpoint


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of an archive's object before it is complete: what S3 must hold in the end.

    `checksum` is None where there is no object, and for a copied file of which S3 tells no checksum.
    """

    size_bytes: int
    checksum: str | None
    members: int
    bytes_in: int

    def became(self, seal: "Seal") -> bool:
        """Whether a sealed object is the one that was drafted."""
        same_bytes = self.checksum is None or self.checksum == seal.checksum
        return same_bytes and (self.size_bytes, self.members) == (seal.size_bytes, seal.members)


@dataclass(frozen=True, slots=True)
class Seal:
    """An archive's object, verified. Where the archive has no member, there is no object."""

    size_bytes: int
    checksum: str | None
    members: int
    bytes_in: int
    sealed_at: datetime


class CatalogEntry(NamedTuple):
    """As much of a catalog's member as indexing and deleting need."""

    key: str
    size: int
    etag: str
    page: int | None = None  # see `glaciate.catalog_index.PageFinder`


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What S3 says of an object in the vault. `checksum`: full-object CRC64NVME in base64, None where S3 tells none."""

    size_bytes: int
    checksum: str | None
    storage_class: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive. `lease_owner` is who holds it; `seal` is there from SEALED on."""

    archive_id: ArchiveId
    job_id: JobId
    project: ProjectName
    bucket: str
    first_key: str
    kind: Kind
    state: ArchiveState
    planned_files: int
    planned_bytes: int
    plan_key: str
    storage_class: str
    vault_bucket: str
    vault_key: str
    seal: Seal | None = None
    lease_owner: str | None = None
    sources_dealt_with: bool = False  # those that were held

    def require_seal(self) -> Seal:
        """The seal of an archive that is SEALED at least.

        Raises:
            ValueError: it has none.
        """
        if self.seal is None:
            msg = f"archive {self.archive_id} is {self.state} and has no seal"
            raise ValueError(msg)
        return self.seal

    def catalog_header(self, prefix: str) -> CatalogHeader:
        """The first line of its catalog."""
        return CatalogHeader(
            project=self.project,
            bucket=self.bucket,
            prefix=prefix,
            archive_id=self.archive_id,
            vault_bucket=self.vault_bucket,
            vault_key=self.vault_key,
            storage_class=self.storage_class,
            kind=self.kind,
        )


class DoneArchive(NamedTuple):
    """As much of a finished archive as it takes to ask for the deletion of its sources. `place`: in the order of archives."""

    archive_id: ArchiveId
    first_key: str
    place: str


class IndexedArchive(NamedTuple):
    """As much of an archive as it takes to ask for its index rows. `place`: its row's keys."""

    job_id: JobId
    archive_id: ArchiveId
    project: ProjectName
    bucket: str
    first_key: str
    place: tuple[str, str]


@dataclass(frozen=True, slots=True)
class NewArchive:
    """An archive that a plan adds."""

    archive_id: ArchiveId
    planned: PlannedArchive
    plan_key: str
    vault_key: str


def outcome_of(*, planned: int, archived: int, archives_failed: int, reason: str | None) -> Outcome:
    """How a job whose archives have all ended came out: `PARTIAL` when a planned file is not archived, `FAILED` when nothing is."""
    if archived == planned and not archives_failed and reason is None:
        return Outcome.COMPLETED
    if archived == 0 and (archives_failed or reason is not None):
        return Outcome.FAILED
    return Outcome.PARTIAL
