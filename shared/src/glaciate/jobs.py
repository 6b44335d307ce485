"""What an accepted archive request asks for, with nothing left open: stored on the job's row, read by the packer."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from glaciate.manifests import SourceList
from glaciate.names import ProjectName
from glaciate.projects import Project
from glaciate.requests import ArchiveRequest, Compression, DeclaredManifest, DeleteAfterDays, Disposition, StorageClass

MEGABYTE = 1_000_000


class JobOrder(BaseModel):
    """An archive request after the project's defaults."""

    model_config = ConfigDict(frozen=True)

    project: ProjectName
    bucket: str
    prefix: str
    max_files: int
    max_bytes: int
    storage_class: StorageClass
    output_prefix: str
    disposition: Disposition | DeleteAfterDays
    compression: Compression
    direct_threshold_bytes: int
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    older_than: datetime | None = None
    preserve_tags: bool = False
    rearchive: bool = False
    manifest: DeclaredManifest | None = None
    source: SourceList | None = None  # the list that names the files; without one, the prefix is listed


_WORKER_ITSELF_BYTES: Final = 512 * 1024**2  # code, catalogs, other files and parts in flight
_COPIES: Final = 3  # a file as it arrives, whole, and compressed
_LARGEST_MEMBER_BYTES: Final = 2 * 1024**3


def largest_threshold(memory_mib: int) -> int:
    """The largest `direct_threshold` in bytes at which a worker's process of so much memory can hold each smaller file whole."""
    return max(0, min((memory_mib * 1024**2 - _WORKER_ITSELF_BYTES) // _COPIES, _LARGEST_MEMBER_BYTES))


def too_large_for(memory_mib: int, order: JobOrder) -> str | None:
    """Why a worker's process of so much memory must not pack by this order, or None."""
    most = largest_threshold(memory_mib)
    if order.direct_threshold_bytes <= most:
        return None
    return (
        f"project {order.project} packs files below {order.direct_threshold_bytes:,} bytes (direct_threshold), each held "
        f"in memory whole, but a worker's process of {memory_mib:,} MiB has room for a threshold of {most:,} bytes: lower the "
        "project's direct_threshold, or give the workers more memory (WorkerMemoryMib)"
    )


def order(request: ArchiveRequest, project: Project, *, source: SourceList | None = None) -> JobOrder:
    """The order that a request of a project amounts to."""
    defaults = project.defaults
    return JobOrder(
        project=ProjectName(project.name),
        bucket=request.bucket_name,
        prefix=request.prefix,
        max_files=request.file_count or defaults.file_count,
        max_bytes=(request.archive_size or defaults.archive_size) * MEGABYTE,
        storage_class=request.storage_class or defaults.storage_class,
        output_prefix=project.output_prefix(request.output_prefix),
        disposition=request.disposition or defaults.disposition,
        compression=request.compression or defaults.compression,
        direct_threshold_bytes=defaults.direct_threshold,
        include=request.include,
        exclude=request.exclude,
        older_than=request.older_than,
        preserve_tags=defaults.preserve_tags if request.preserve_tags is None else request.preserve_tags,
        rearchive=request.rearchive,
        manifest=request.manifest,
        source=source,
    )
