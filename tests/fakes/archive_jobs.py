"""Orders and jobs for tests of the archive half."""

from datetime import UTC, datetime
from typing import Any, Final

from archive_intake.domain.jobs import Job, WantedJob
from glaciate.jobs import JobOrder, order
from glaciate.names import ProjectName, new_job_id
from glaciate.projects import Project
from glaciate.requests import ArchiveRequest

NOW: Final = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
DEMO: Final = ProjectName("demo")
SOURCE: Final = "source-bucket"
TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:glaciate"


def an_order(prefix: str = "logs/2026/", *, bucket: str = SOURCE, project: str = "demo", **fields: Any) -> JobOrder:
    """An order with the defaults of a project that says nothing of its own."""
    tenant = Project(name=project, source_buckets=(bucket,))
    return order(ArchiveRequest(project_name=project, bucket_name=bucket, prefix=prefix, **fields), tenant)


def a_wanted_job(prefix: str = "logs/2026/", *, call: str = "call-1", **fields: Any) -> WantedJob:
    """A job asked for by a call; another `call` is another fingerprint."""
    return WantedJob(
        order=an_order(prefix, **fields),
        fingerprint=call,
        correlation_id="trail-1",
        topic_arn=TOPIC,
        stage_url="https://api.example.com/live",
    )


def a_job(prefix: str = "logs/2026/", *, at: datetime = NOW, **fields: Any) -> Job:
    """A job accepted at a moment."""
    return a_wanted_job(prefix, **fields).accepted(new_job_id(at), at)
