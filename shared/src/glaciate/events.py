"""Facts on the bus. Past tense; small; whoever needs more asks the API."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from glaciate.contracts import Contract, Event, ForeignEvent, S3EventBridgeNotificationEvent
from glaciate.names import ArchiveId, JobId, ProjectName, RequestId


class Outcome(StrEnum):
    """How a job or a request ended."""

    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class FailedFile(BaseModel):
    """A file that did not make it, and why."""

    model_config = ConfigDict(frozen=True)

    key: str
    reason: str
    files: int = Field(
        default=1, description="more than one where nobody can name them any more: so many files of an archive"
    )


class ArchiveJobAccepted(Event):
    """A request to archive a prefix was accepted."""

    name: ClassVar[str] = "ArchiveJobAccepted.v1"
    producers: ClassVar[tuple[str, ...]] = ("archive-intake",)
    consumers: ClassVar[tuple[str, ...]] = ("packer",)

    job_id: JobId
    project: ProjectName
    bucket: str
    prefix: str


class ArchiveSealed(Event):
    """An archive is complete in the vault, verified and indexed, and its sources are disposed as asked."""

    name: ClassVar[str] = "ArchiveSealed.v1"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ()

    job_id: JobId
    archive_id: ArchiveId
    project: ProjectName
    vault_bucket: str
    vault_key: str
    storage_class: str
    members: int
    size_bytes: int


class ArchiveJobCompleted(Event):
    """A job has ended: all its archives are done, or it can go no further."""

    name: ClassVar[str] = "ArchiveJobCompleted.v1"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ("notifier",)

    job_id: JobId
    project: ProjectName
    bucket: str
    prefix: str
    outcome: Outcome
    topic_arn: str
    archived: int
    skipped: int
    failed: int
    archives: int
    bytes_in: int
    bytes_out: int
    already_archived: int = Field(default=0, description="listed, but an earlier archive holds them as they are")
    sources_due_at: datetime | None = Field(
        default=None, description="when the held sources will be deleted, unless kept"
    )
    reason: str | None = None
    status_url: str | None = None


class SourcesDeleted(Event):
    """The sources of a job that were held for some days are deleted, but for those that had changed since."""

    name: ClassVar[str] = "SourcesDeleted.v1"
    producers: ClassVar[tuple[str, ...]] = ("packer",)
    consumers: ClassVar[tuple[str, ...]] = ("notifier",)

    job_id: JobId
    project: ProjectName
    bucket: str
    prefix: str
    topic_arn: str
    deleted: int
    left: int = Field(description="files that were not deleted: rewritten since, or not deletable")
    status_url: str | None = None


class RestoreAccepted(Event):
    """A restore request was accepted."""

    name: ClassVar[str] = "RestoreAccepted.v1"
    producers: ClassVar[tuple[str, ...]] = ("restore-intake",)
    consumers: ClassVar[tuple[str, ...]] = ("notifier",)

    request_id: RequestId
    project: ProjectName
    topic_arn: str
    files: int | None = Field(default=None, description="unknown until a prefix is resolved")
    wanted: str = Field(description="what was asked for, for people", max_length=1024)
    expected_by: datetime | None = None
    status_url: str | None = None


class ArchiveReadable(Event):
    """An archive that a part waits for can be read now, and S3 announces no thaw: warm already, never cold, or found so by the sweeper."""

    name: ClassVar[str] = "ArchiveReadable.v1"
    producers: ClassVar[tuple[str, ...]] = ("restore-intake",)
    consumers: ClassVar[tuple[str, ...]] = ("unpacker",)

    archive_id: ArchiveId
    vault_bucket: str
    vault_key: str
    readable_until: datetime | None = None


class RestoreCompleted(Event):
    """A restore request has ended: `COMPLETED`, or `PARTIAL`/`FAILED` with the files that did not make it."""

    name: ClassVar[str] = "RestoreCompleted.v1"
    producers: ClassVar[tuple[str, ...]] = ("unpacker", "restore-intake")
    consumers: ClassVar[tuple[str, ...]] = ("notifier",)

    request_id: RequestId
    project: ProjectName
    topic_arn: str
    outcome: Outcome
    files: int
    restored: int
    failed: int
    missing: int
    wanted: str = Field(max_length=1024)
    location: str | None = Field(default=None, description="s3:// address under which the restored files lie")
    available_until: datetime | None = None
    failures: tuple[FailedFile, ...] = Field(
        default=(), description="the files that failed, the first of them where not all fit into a notification"
    )
    missing_names: tuple[str, ...] = Field(
        default=(), description="what no archive holds of what was asked for, the first of it where not all fits"
    )
    reason: str | None = None
    status_url: str | None = None


class RestoreExpiryApproached(Event):
    """The restored files of an ended request expire within a day."""

    name: ClassVar[str] = "RestoreExpiryApproached.v1"
    producers: ClassVar[tuple[str, ...]] = ("restore-intake",)
    consumers: ClassVar[tuple[str, ...]] = ("notifier",)

    request_id: RequestId
    project: ProjectName
    topic_arn: str
    restored: int
    wanted: str = Field(max_length=1024)
    location: str = Field(description="s3:// address under which the restored files lie")
    available_until: datetime = Field(description="when the first of them expires")
    status_url: str | None = None


class ObjectRestoreCompleted(ForeignEvent):
    """S3 has made a readable copy of an archive (EventBridge, `aws.s3`, at least once and in any order)."""

    name: ClassVar[str] = "Object Restore Completed"
    producers: ClassVar[tuple[str, ...]] = ("S3",)
    consumers: ClassVar[tuple[str, ...]] = ("unpacker",)

    vault_bucket: str
    vault_key: str
    readable_until: datetime | None = None

    @classmethod
    def from_envelope(cls, envelope: Mapping[str, Any]) -> Self:
        """Reads S3's event: `bucket.name`, `object.key` (not URL-encoded), `restore-expiry-time`."""
        event = S3EventBridgeNotificationEvent(dict(envelope))
        return cls(
            correlation_id=event.get_id,
            vault_bucket=event.detail.bucket.name,
            vault_key=event.detail.object.key,
            readable_until=event.detail.get("restore-expiry-time"),
        )


EVENTS: tuple[type[Contract], ...] = (
    ArchiveJobAccepted,
    ArchiveSealed,
    ArchiveJobCompleted,
    SourcesDeleted,
    RestoreAccepted,
    ArchiveReadable,
    RestoreCompleted,
    RestoreExpiryApproached,
    ObjectRestoreCompleted,
)
