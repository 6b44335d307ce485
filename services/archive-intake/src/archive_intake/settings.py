"""What the archive intake reads from its environment."""

from glaciate.settings import Settings


class IntakeSettings(Settings):
    """POST /archive, GET /archive/{job_id}, and the fallback schedule."""

    aws_region: str
    account_id: str
    api_url: str = ""  # the stage's URL, for status addresses; empty: relative to the call
    projects_parameter: str
    jobs_table: str
    idempotency_table: str
    vault_bucket: str
    work_bucket: str
    pack_queue_url: str
    event_bus_name: str
    topic_arn: str
    worker_memory_mib: int = 4096  # of those that pack
    worker_vcpu: int = 2  # and as many processes share that memory
    schedule_timezone: str = "UTC"
