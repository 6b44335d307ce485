"""What the unpacker reads from its environment."""

from glaciate.settings import Settings


class LauncherSettings(Settings):
    """The launcher Lambda."""

    unpack_queue_url: str
    batch_job_queue: str
    batch_job_definition: str
    max_workers: int = 10
    messages_per_worker: int = 4


class WorkerSettings(Settings):
    """The Batch worker."""

    unpack_queue_url: str
    unpack_dead_letters_url: str
    thaw_queue_url: str
    event_bus_name: str
    jobs_table: str
    vault_bucket: str
    work_bucket: str
    restore_bucket: str
    visibility_seconds: int = 120
    idle_seconds: float = 60
    coalesce_gap_bytes: int = 32 * 1024  # members nearer than this are read in one GET
    coalesce_limit_bytes: int = 8 * 1024**2
    read_concurrency: int = 32
