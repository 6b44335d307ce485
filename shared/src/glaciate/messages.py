"""Commands on queues. Imperative names; identifiers, not documents."""

from typing import ClassVar

from pydantic import Field

from glaciate.contracts import Command, Contract
from glaciate.names import ArchiveId, JobId, ProjectName, RequestId


class ArchiveCommand(Command):
    """A command about one archive; what it takes to find the archive's row."""

    job_id: JobId
    archive_id: ArchiveId
    project: ProjectName
    bucket: str
    first_key: str


class PlanArchives(Command):
    """List a job's sources and choose the members of each archive, from the job's checkpoint on."""

    name: ClassVar[str] = "PlanArchives.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("archive-intake",)
    consumers: ClassVar[tuple[str, ...]] = ("packer",)

    job_id: JobId


class PackArchive(ArchiveCommand):
    """Pack, seal, index and dispose one planned archive."""

    name: ClassVar[str] = "PackArchive.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ("packer",)


class DeleteHeldSources(Command):
    """The days are over for which a job's sources were held: have them deleted, archive by archive, on from `after`."""

    name: ClassVar[str] = "DeleteHeldSources.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("archive-intake", "packer")
    consumers: ClassVar[tuple[str, ...]] = ("packer",)

    job_id: JobId
    after: str | None = Field(default=None, description="the place, in the order of archives, up to which it is done")


class DeleteArchivedSources(ArchiveCommand):
    """Delete the held sources of one archive that are still what was archived."""

    name: ClassVar[str] = "DeleteArchivedSources.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ("packer",)


class RebuildIndex(Command):
    """Have the index written again, archive by archive, on from `after`: of a project, or of all."""

    name: ClassVar[str] = "RebuildIndex.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("operator", "packer")
    consumers: ClassVar[tuple[str, ...]] = ("packer",)

    project: ProjectName | None = None
    after: tuple[str, str] | None = Field(default=None, description="the row of the archive up to which it is done")


class IndexArchive(ArchiveCommand):
    """Write the index's rows of one archive again, from its catalog."""

    name: ClassVar[str] = "IndexArchive.v1"
    queue: ClassVar[str] = "pack"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ("packer",)


class ThawFiles(Command):
    """Resolve a restore request where it is still open, and thaw the archives that its parts need, after `after_archive`."""

    name: ClassVar[str] = "ThawFiles.v1"
    queue: ClassVar[str] = "thaw"
    producers: ClassVar[tuple[str, ...]] = ("restore-intake", "unpacker")
    consumers: ClassVar[tuple[str, ...]] = ("restore-intake",)

    request_id: RequestId
    after_archive: ArchiveId | None = None


COMMANDS: tuple[type[Contract], ...] = (
    PlanArchives,
    PackArchive,
    DeleteHeldSources,
    DeleteArchivedSources,
    RebuildIndex,
    IndexArchive,
    ThawFiles,
)
