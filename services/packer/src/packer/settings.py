"""What the packer reads from its environment."""

from pydantic import Field

from glaciate.settings import Settings


class LauncherSettings(Settings):
    """The launcher Lambda."""

    pack_queue_url: str
    batch_job_queue: str
    batch_job_definition: str
    max_workers: int = 10
    messages_per_worker: int = 4


class WorkerSettings(Settings):
    """The Batch worker."""

    pack_queue_url: str
    pack_dead_letters_url: str
    event_bus_name: str
    archives_table: str
    files_table: str
    jobs_table: str
    vault_bucket: str
    work_bucket: str
    aws_endpoint_url: str | None = None  # of a local cloud
    visibility_seconds: int = 120
    idle_seconds: float = 60
    lease_seconds: float = 300
    memory_mib: int = 4096  # the worker's own, of all its processes
    processes: int = 1  # as `--processes` says; the bounds below hold for each
    day_seconds: float = Field(default=24 * 60 * 60, gt=0)  # a local cloud has shorter ones
    fetch_concurrency: int = Field(default=128, ge=1, le=512)  # GETs in flight
    fetch_window_bytes: int = 8 * 1024**2  # fetched and not yet written
    part_size_bytes: int = 5 * 1024**2
    parts_in_flight: int = 2
