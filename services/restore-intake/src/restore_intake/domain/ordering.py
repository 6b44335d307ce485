"""A restore request with nothing left open, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.parts import WantedFile
from glaciate.requests import RestoreRequest, Tier
from glaciate.restores import RequestState

_LONGEST_WANTED = 1024


class RestoreOrder(BaseModel):
    """What a request asks for. `as_of` is always set, so that finding the files again finds the same ones."""

    model_config = ConfigDict(frozen=True)

    project: ProjectName
    buckets: tuple[str, ...]
    names: tuple[str, ...] = ()
    prefix: str | None = None
    as_of: datetime
    tier: Tier
    days: int
    destination_prefix: str
    allow_missing: bool = False
    all_matches: bool = False
    max_cost_usd: float | None = None

    @property
    def wanted(self) -> str:
        """What is asked for, for people."""
        under = f"everything under {self.prefix}" if self.prefix else "everything"
        text = under if self.prefix is not None else ", ".join(self.names)
        return text if len(text) <= _LONGEST_WANTED else f"{text[: _LONGEST_WANTED - 1]}…"


def order(
    request: RestoreRequest, *, request_id: RequestId, project: ProjectName, buckets: tuple[str, ...], now: datetime
) -> RestoreOrder:
    """The order that a request amounts to."""
    return RestoreOrder(
        project=project,
        buckets=buckets,
        names=tuple(dict.fromkeys(request.filename)),
        prefix=request.prefix,
        as_of=as_utc(request.as_of) if request.as_of else now,
        tier=request.retrieval_tier,
        days=request.days,
        destination_prefix=request.destination_prefix or f"{project}/{request_id}/",
        allow_missing=request.allow_missing,
        all_matches=request.all_matches,
        max_cost_usd=request.max_cost_usd,
    )


def as_utc(moment: datetime) -> datetime:
    """A moment that names no zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


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
