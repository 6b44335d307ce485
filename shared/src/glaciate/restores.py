"""Restore requests and their parts, as they are recorded.

A part is what one request wants of one archive: `PENDING → THAWING → UNPACKING → COMPLETED | PARTIAL | FAILED | CANCELLED`, and back
to `PENDING` when the readable copy lapsed.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from glaciate.costs import Charge, read_charge
from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.tables import (
    PartRow,
)

CANCELLED_HALF_WAY: Final = (
    "cancelled while it was being unpacked: files that had been written by then stay where they are (in the restore bucket: until they "
    "expire), and are not counted as restored"
)


class RequestState(StrEnum):
    """Where a restore request stands."""

    ACCEPTED = "ACCEPTED"
    THAWING = "THAWING"
    UNPACKING = "UNPACKING"
    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self not in LIVE_REQUEST


LIVE_REQUEST: Final = (RequestState.ACCEPTED, RequestState.THAWING, RequestState.UNPACKING)


class PartState(StrEnum):
    """Where one part of a restore request stands."""

    PENDING = "PENDING"
    THAWING = "THAWING"
    UNPACKING = "UNPACKING"
    COMPLETED = "COMPLETED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self not in LIVE_PART


LIVE_PART: Final = (PartState.PENDING, PartState.THAWING, PartState.UNPACKING)


@dataclass(frozen=True, slots=True)
class Part:
    """What one request wants of one archive, as it is recorded."""

    request_id: RequestId
    archive_id: ArchiveId
    state: PartState
    project: ProjectName
    vault_bucket: str
    vault_key: str
    storage_class: str
    files: int
    restored: int = 0
    failed: int = 0
    asked_at: datetime | None = None
    expected_by: datetime | None = None
    readable_until: datetime | None = None
    reason: str | None = None
    wanted_bytes: int = 0
    available_until: datetime | None = None  # when its restored files expire
    charges: tuple[Charge, ...] = ()  # what its asking of S3 cost
    asking: str | None = None  # what it is about to ask S3, or was when somebody died; the restore intake reads it


def read_part(row: PartRow) -> Part:
    """A part as its row says it is."""
    return Part(
        request_id=RequestId(row.id),
        archive_id=ArchiveId(row.archive_id),
        state=PartState(row.state),
        project=ProjectName(row.project),
        vault_bucket=row.vault_bucket,
        vault_key=row.vault_key,
        storage_class=row.storage_class,
        files=int(row.files),
        restored=int(row.restored),
        failed=int(row.failed),
        asked_at=row.asked_at,
        expected_by=row.expected_by,
        readable_until=row.readable_until,
        reason=CANCELLED_HALF_WAY if was_cancelled_half_way(row) else row.reason,
        wanted_bytes=int(row.wanted_bytes or 0),
        available_until=row.available_until,
        charges=tuple(read_charge(text) for text in sorted(row.charges or ())),
        asking=row.asking,
    )


def was_cancelled_half_way(row: PartRow) -> bool:
    """Whether files of a cancelled part may be there. Known of every one: a worker notes that it begins before it writes anything."""
    return row.state == PartState.CANCELLED and bool(row.begun)
