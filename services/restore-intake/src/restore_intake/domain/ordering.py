"""A restore request with nothing left open, and how it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from glaciate.names import ArchiveId, JobId, ProjectName, RequestId, job_of
from glaciate.parts import WantedFile
from glaciate.requests import RestoreRequest, Tier
from glaciate.restores import Part, PartState, RequestState
from restore_intake.domain.finding import ArchiveRange, FileVersion, destination, newest, sealed_by, version_name
from restore_intake.domain.globs import glob_matches, literal_prefix

_LONGEST_WANTED = 1024


class RestoreOrder(BaseModel):
    """What a request asks for. `as_of` is always set, so that finding the files again finds the same ones."""

    model_config = ConfigDict(frozen=True)

    project: ProjectName
    buckets: tuple[str, ...]
    names: tuple[str, ...] = ()
    prefix: str | None = None
    glob: str | None = None
    archive_id: ArchiveId | None = None
    job_id: JobId | None = None
    all_versions: bool = False
    as_of: datetime
    tier: Tier
    days: int
    destination_prefix: str
    to_original: bool = False
    replaces: datetime | None = None  # with to_original: what was last modified by then may be written over
    allow_missing: bool = False
    all_matches: bool = False
    max_cost_usd: float | None = None

    @property
    def wanted(self) -> str:
        """What is asked for, for people."""
        text = ", ".join(self.names) or self._many()
        return text if len(text) <= _LONGEST_WANTED else f"{text[: _LONGEST_WANTED - 1]}…"

    def _many(self) -> str:
        if self.glob is not None:
            return f"everything like {self.glob}"
        if self.archive_id is not None:
            return f"everything in archive {self.archive_id}"
        if self.job_id is not None:
            return f"everything that job {self.job_id} archived"
        return f"everything under {self.prefix}" if self.prefix else "everything"

    @property
    def literal_prefix(self) -> str:
        """What every key begins with that is asked for other than by name."""
        return literal_prefix(self.glob) if self.glob is not None else self.prefix or ""

    def matches(self, key: str) -> bool:
        """Whether a key is asked for other than by name."""
        return glob_matches(self.glob, key) if self.glob is not None else key.startswith(self.prefix or "")

    def reads(self, archive: ArchiveRange) -> bool:
        """Whether an archive is one to look into."""
        is_it = self.archive_id in {None, archive.archive_id} and self.job_id in {None, job_of(archive.archive_id)}
        return is_it and sealed_by(archive.sealed_at, self.as_of)

    def choose(self, versions: Iterable[FileVersion]) -> tuple[FileVersion, ...]:
        """The versions that are asked for, in order of their keys: the newest of each file, or all."""
        if not self.all_versions:
            return newest(versions)
        return tuple(sorted(set(versions), key=lambda version: (version.key, version.bucket, version.age)))

    def want(self, version: FileVersion) -> WantedFile:
        """A version, and where it is to appear."""
        bucket = version.bucket if self.to_original else None
        return WantedFile(version.key, self._destination(version), version.size, bucket, self.replaces, version.page)

    def place(self, version: FileVersion) -> str:
        """Where a version appears: the key in the restore bucket, or the address it had."""
        return version.address if self.to_original else self._destination(version)

    def location(self, restore_bucket: str) -> str:
        """Under which address, or addresses, the files appear."""
        if self.to_original:
            return ", ".join(f"s3://{bucket}/" for bucket in self.buckets)
        return f"s3://{restore_bucket}/{self.destination_prefix}"

    def file_days(self, restored_days: int | None) -> int:
        """How long the restored files stay only for the restore's sake, where the restore bucket keeps files for `restored_days`."""
        return 0 if self.to_original else restored_days or self.days

    def _destination(self, version: FileVersion) -> str:
        if self.to_original:
            return version.key
        return destination(self.destination_prefix, version_name(version) if self.all_versions else version.key)


def order(
    request: RestoreRequest, *, request_id: RequestId, project: ProjectName, buckets: tuple[str, ...], now: datetime
) -> RestoreOrder:
    """The order that a request amounts to."""
    return RestoreOrder(
        project=project,
        buckets=buckets,
        names=tuple(dict.fromkeys(request.filename)),
        prefix=request.prefix,
        glob=request.glob,
        archive_id=ArchiveId(request.archive_id) if request.archive_id else None,
        job_id=JobId(request.job_id) if request.job_id else None,
        all_versions=request.versions == "all",
        as_of=min(as_utc(request.as_of), now) if request.as_of else now,
        tier=request.retrieval_tier,
        days=request.days,
        destination_prefix=request.destination_prefix or f"{project}/{request_id}/",
        to_original=request.to == "original",
        replaces=now if request.overwrite else None,
        allow_missing=request.allow_missing,
        all_matches=request.all_matches,
        max_cost_usd=request.max_cost_usd,
    )


def last_expected(parts: Iterable[Part], promised: datetime | None) -> datetime | None:
    """By when the last of a request's parts is expected: later than was promised, or sooner; not sooner while one does not say."""
    living = [part for part in parts if not part.state.ended]
    known = [part.expected_by for part in living if part.expected_by is not None]
    if promised is not None and any(
        part.expected_by is None and part.state is not PartState.UNPACKING for part in living
    ):
        known.append(promised)
    return max(known, default=promised)


def as_utc(moment: datetime) -> datetime:
    """A moment that names no zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A job will delete its sources, where they still are what it archived; when, if that is known."""

    job_id: JobId
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """What a request wants of one archive, before it is recorded."""

    archive_id: ArchiveId
    vault_bucket: str
    vault_key: str
    storage_class: str
    files: tuple[WantedFile, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A restore request as it is recorded."""

    request_id: RequestId
    state: RequestState
    order: RestoreOrder
    correlation_id: str
    topic_arn: str
    status_url: str | None
    location: str
    accepted_at: datetime
    expected_by: datetime | None = None
    finished_at: datetime | None = None
    available_until: datetime | None = None
    kept_until: datetime | None = None
    resolved: bool = False
    resolved_to: str | None = None
    acceptance_told: bool = False
    announced: bool = False
    parts: int = 0
    parts_ended: int = 0
    files: int = 0
    restored: int = 0
    failed: int = 0
    missing: tuple[str, ...] = ()
    estimate: Mapping[str, Any] | None = field(default=None)
    reason: str | None = None
