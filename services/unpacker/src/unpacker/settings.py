"""What the unpacker reads from its environment."""

import os

from pydantic import Field

from glaciate.settings import Settings


class LauncherSettings(Settings):
    """The launcher Lambda."""

    unpack_queue_url: str
    batch_job_queue: str
    batch_job_definition: str
    max_workers: int = 10
    messages_per_worker: int = 4


class WorkerSettings(Settings):
    """The Batch worker.

    Of files it holds at most `read_concurrency` / 10 x (`coalesce_limit_bytes` + 2 x `whole_member_bytes`) and `write_concurrency` x
    `whole_member_bytes` in memory; a large file holds one piece of `coalesce_limit_bytes` and one part of `part_size_bytes` instead.
    """

    unpack_queue_url: str
    unpack_dead_letters_url: str
    thaw_queue_url: str
    event_bus_name: str
    jobs_table: str
    vault_bucket: str
    work_bucket: str
    restore_bucket: str
    restore_expiry_days: int = Field(default=7, ge=1)  # the lifecycle rule of the restore bucket
    kept_days: int | None = Field(default=None, ge=1)  # an ended request, after its files have expired; none: for good
    visibility_seconds: int = 120
    idle_seconds: float = 60
    coalesce_gap_bytes: int = Field(default=16 * 1024, ge=0)  # members nearer than this are read in one GET
    coalesce_limit_bytes: int = Field(default=4 * 1024**2, ge=1)  # of one GET; a single member may be longer
    whole_share: float = Field(default=0.85, gt=0, le=1)  # from this share of the archive on, gaps are read as well
    whole_member_bytes: int = Field(default=4 * 1024**2, ge=1)  # a file above this goes through piece by piece
    read_concurrency: int = Field(default=160, ge=1)  # ranged GETs at once, ten by a thread
    write_concurrency: int = Field(default=64, ge=1)
    open_concurrency: int = Field(default=max(1, (os.cpu_count() or 2) - 1), ge=1)  # threads that inflate and check
    part_size_bytes: int = Field(default=5 * 1024**2, ge=5 * 1024**2)  # of a multipart upload
    copy_part_bytes: int = Field(
        default=256 * 1024**2, ge=5 * 1024**2, le=5 * 1024**3
    )  # a bigger file is copied in parts
