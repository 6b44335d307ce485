"""The events that people are told of, as tests need them."""

from datetime import UTC, datetime
from typing import Any, Final

from glaciate.events import (
    ArchiveJobCompleted,
    FailedFile,
    Outcome,
    RestoreAccepted,
    RestoreCompleted,
    RestoreExpiryApproached,
    SourcesDeleted,
)

TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:glaciate"
API: Final = "https://abc123.execute-api.us-east-1.amazonaws.com/live"


def job_ended(outcome: Outcome = Outcome.COMPLETED, **fields: Any) -> ArchiveJobCompleted:
    """A job has ended."""
    known: dict[str, Any] = {
        "correlation_id": "trail-1",
        "job_id": "1n4a0a02swe6",
        "project": "demo",
        "bucket": "source-bucket",
        "prefix": "logs/2026/",
        "outcome": outcome,
        "topic_arn": TOPIC,
        "archived": 12_345,
        "skipped": 0,
        "failed": 0,
        "archives": 13,
        "bytes_in": 1_234_567_890,
        "bytes_out": 310_000_000,
        "status_url": f"{API}/archive/1n4a0a02swe6",
    }
    return ArchiveJobCompleted(**known | fields)


def sources_deleted(**fields: Any) -> SourcesDeleted:
    """The sources of a job that were held are deleted."""
    known: dict[str, Any] = {
        "correlation_id": "trail-1",
        "job_id": "1n4a0a02swe6",
        "project": "demo",
        "bucket": "source-bucket",
        "prefix": "logs/2026/",
        "topic_arn": TOPIC,
        "deleted": 12_345,
        "left": 0,
        "status_url": f"{API}/archive/1n4a0a02swe6",
    }
    return SourcesDeleted(**known | fields)


def restore_accepted(**fields: Any) -> RestoreAccepted:
    """A restore was accepted."""
    known: dict[str, Any] = {
        "correlation_id": "trail-2",
        "request_id": "r-1n4a0a02swe6",
        "project": "demo",
        "topic_arn": TOPIC,
        "files": 2,
        "wanted": "a.csv, logs/2026/b.csv",
        "expected_by": datetime(2026, 7, 2, 3, 30, tzinfo=UTC),
        "status_url": f"{API}/restore/r-1n4a0a02swe6",
    }
    return RestoreAccepted(**known | fields)


def restore_ended(outcome: Outcome = Outcome.COMPLETED, **fields: Any) -> RestoreCompleted:
    """A restore has ended."""
    known: dict[str, Any] = {
        "correlation_id": "trail-2",
        "request_id": "r-1n4a0a02swe6",
        "project": "demo",
        "topic_arn": TOPIC,
        "outcome": outcome,
        "files": 1_002,
        "restored": 1_002,
        "failed": 0,
        "missing": 0,
        "wanted": "logs/2026/*",
        "location": "s3://restored-bucket/demo/r-1n4a0a02swe6/",
        "available_until": datetime(2026, 7, 9, tzinfo=UTC),
        "status_url": f"{API}/restore/r-1n4a0a02swe6",
    }
    return RestoreCompleted(**known | fields)


def restored_files_expire(**fields: Any) -> RestoreExpiryApproached:
    """The files of a restore expire within a day."""
    known: dict[str, Any] = {
        "correlation_id": "trail-2",
        "request_id": "r-1n4a0a02swe6",
        "project": "demo",
        "topic_arn": TOPIC,
        "restored": 1_002,
        "wanted": "logs/2026/*",
        "location": "s3://restored-bucket/demo/r-1n4a0a02swe6/",
        "available_until": datetime(2026, 7, 9, tzinfo=UTC),
        "status_url": f"{API}/restore/r-1n4a0a02swe6",
    }
    return RestoreExpiryApproached(**known | fields)


def failures(number: int) -> tuple[FailedFile, ...]:
    """Files that did not make it."""
    return tuple(FailedFile(key=f"logs/2026/{count}.csv", reason="CRC-32 differs") for count in range(number))
