"""What the restore intake reads from its environment."""

from glaciate.settings import Settings


class ApiSettings(Settings):
    """POST /restore, GET /restore/{request_id}, GET /files."""

    aws_region: str
    account_id: str
    api_url: str = ""
    projects_parameter: str
    files_table: str
    archives_table: str
    jobs_table: str
    idempotency_table: str
    vault_bucket: str
    work_bucket: str
    restore_bucket: str
    thaw_queue_url: str
    event_bus_name: str
    topic_arn: str
    restored_days: int | None = None  # how long the restore bucket's lifecycle keeps a file; empty: for good
    kept_days: int | None = None  # how long an ended request is kept after its files have expired; empty: for good
    sweep_after_seconds: int = 900


class ThawSettings(Settings):
    """The thaw consumer and the sweeper."""

    files_table: str
    archives_table: str
    jobs_table: str
    vault_bucket: str
    work_bucket: str
    restore_bucket: str
    thaw_queue_url: str
    thaw_dead_letters_url: str
    event_bus_name: str
    restored_days: int | None = None
    kept_days: int | None = None
    sweep_after_seconds: int = 900  # past its expected time, a waiting part is looked at
    sweep_minutes: int = 15  # how often the sweeper comes by
    sweep_limit: int = 1000  # waiting parts looked at in one run
