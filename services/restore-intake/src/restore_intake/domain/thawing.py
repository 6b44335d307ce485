"""The state machine of an archive's readable copy: what S3 says of it, and what to do next.

    copy      what S3 says                                  what to do
    READABLE  a storage class that is read at once          announce it
    COLD      no copy, none on its way                      ask for one
    THAWING   a copy is on its way                          join it; a faster tier asked for: ask again, days unchanged
    WARM      a copy that outlives the wanted period        announce it
    LUKEWARM  a copy that expires within the wanted period  extend it, then announce it
    GONE      no such archive                               give up

What S3 answers to the asking decides the rest: 202 it has begun, 200 the copy is there and its period renewed, 409 one is on its
way already, `ObjectAlreadyInActiveTierError` it can be read, 404 it is gone.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from glaciate.costs import tiers_of
from glaciate.names import RequestId
from glaciate.requests import StorageClass, Tier

LEAST_THAW_DAYS: Final = (
    3  # S3 counts a copy's days from the request: with fewer, a Bulk thaw may lapse as it completes
)
_RESTORE_HEADER: Final = re.compile(r'ongoing-request="(true|false)"(?:, expiry-date="([^"]+)")?')
_SPEED: Final = {Tier.BULK: 0, Tier.STANDARD: 1, Tier.EXPEDITED: 2}


class Copy(StrEnum):
    """What there is of an archive that could be read."""

    READABLE = "READABLE"
    COLD = "COLD"
    THAWING = "THAWING"
    WARM = "WARM"
    LUKEWARM = "LUKEWARM"
    GONE = "GONE"


class Act(StrEnum):
    """What to do about it."""

    ANNOUNCE = "ANNOUNCE"
    ASK = "ASK"
    EXTEND = "EXTEND"
    JOIN = "JOIN"
    GIVE_UP = "GIVE_UP"


class Answer(StrEnum):
    """What S3 answers when it is asked to thaw."""

    BEGUN = "BEGUN"  # 202
    RENEWED = "RENEWED"  # 200
    RUNNING = "RUNNING"  # 409 RestoreAlreadyInProgress
    READABLE = "READABLE"  # ObjectAlreadyInActiveTierError, or a storage class that is not archived
    GONE = "GONE"  # 404


@dataclass(frozen=True, slots=True)
class ArchiveHead:
    """What S3 says of an archive: its storage class, its size, and of its readable copy whether it is on its way or until when it stays."""

    storage_class: str
    size_bytes: int
    ongoing: bool = False
    expires_at: datetime | None = None

    @property
    def needs_thaw(self) -> bool:
        """Whether its class is one that must be thawed."""
        known = known_class(self.storage_class)
        return known is not None and known.needs_thaw


@dataclass(frozen=True, slots=True)
class Thaw:
    """A thaw that we asked for: an upgrade may not change its days. `asked_by` is the request for which it was asked."""

    tier: Tier
    days: int
    expected_by: datetime
    asked_by: RequestId | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next; `tier` and `days` where S3 is to be asked, `readable_until` where a copy is there."""

    act: Act
    tier: Tier | None = None
    days: int | None = None
    readable_until: datetime | None = None


def known_class(storage_class: str) -> StorageClass | None:
    """A storage class as we know it, or None for one that Glaciate never writes."""
    try:
        return StorageClass(storage_class)
    except ValueError:
        return None


def read_restore_header(header: str | None) -> tuple[bool, datetime | None]:
    """S3's `x-amz-restore`: whether a copy is on its way, and until when one is there.

    Raises:
        ValueError: it does not say either.
    """
    if header is None:
        return False, None
    found = _RESTORE_HEADER.fullmatch(header)
    if found is None:
        msg = f"not a restore header: {header!r}"
        raise ValueError(msg)
    ongoing, expiry = found.groups()
    return ongoing == "true", parsedate_to_datetime(expiry).astimezone(UTC) if expiry else None


def copy_of(head: ArchiveHead | None, *, now: datetime, days: int, since: datetime | None = None) -> Copy:
    """What there is to read, for somebody who wants it for so many days, counted from when S3 was asked; left out: from now."""
    if head is None:
        return Copy.GONE
    if not head.needs_thaw:
        return Copy.READABLE
    if head.ongoing:
        return Copy.THAWING
    if head.expires_at is None or head.expires_at <= now:
        return Copy.COLD
    return Copy.WARM if head.expires_at >= (since or now) + timedelta(days=days) else Copy.LUKEWARM


def thaw_days(days: int) -> int:
    """How many days to ask S3 for."""
    return max(days, LEAST_THAW_DAYS)


def next_step(
    head: ArchiveHead | None,
    *,
    now: datetime,
    tier: Tier,
    days: int,
    running: Thaw | None,
    since: datetime | None = None,
) -> Step:
    """What to do about an archive that is wanted for `days`, thawed by `tier` at the latest; `running`: the last thaw we asked for.

    `since`: when S3 was asked for it, so that a copy which came as it was asked for is not extended whenever somebody looks.
    """
    wanted_days = thaw_days(days)
    copy = copy_of(head, now=now, days=wanted_days, since=since)
    expires_at = head.expires_at if head else None
    match copy:
        case Copy.GONE:
            return Step(Act.GIVE_UP)
        case Copy.READABLE | Copy.WARM:
            return Step(Act.ANNOUNCE, readable_until=expires_at)
        case Copy.LUKEWARM:
            return Step(Act.EXTEND, tier, wanted_days, expires_at)
        case Copy.COLD:
            return Step(Act.ASK, tier, wanted_days)
        case Copy.THAWING:
            may_upgrade = running is not None and is_faster(tier, running.tier)
            return Step(Act.ASK, tier, running.days) if running and may_upgrade else Step(Act.JOIN)


def is_faster(tier: Tier, other: Tier) -> bool:
    """Whether a tier is faster than another: S3 speeds a thaw up, and never slows one down."""
    return _SPEED[tier] > _SPEED[other]


def expected_by(storage_class: str, *, tier: Tier, asked_at: datetime) -> datetime:
    """By when S3 has thawed what was asked for at that moment."""
    return asked_at + _time_of(storage_class, tier)


def may_be_running(thaw: Thaw, storage_class: str, *, now: datetime) -> bool:
    """Whether a thaw that we asked for can be the one that S3 says is on its way now.

    No other begins before the copy of this one has lapsed, and that is at the earliest its days after the asking: S3 counts them from
    there (S3 User Guide).
    """
    return now < thaw.expected_by - _time_of(storage_class, thaw.tier) + timedelta(days=thaw.days)


def ready_by(head: ArchiveHead, *, now: datetime, tier: Tier, days: int, last: Thaw | None) -> datetime:
    """By when an archive can be read that is wanted now, a thaw that runs already taken into account; `last`: the last we asked for."""
    running = last if last is not None and may_be_running(last, head.storage_class, now=now) else None
    step = next_step(head, now=now, tier=tier, days=days, running=running)
    if step.act is Act.ASK:
        return expected_by(head.storage_class, tier=step.tier or tier, asked_at=now)
    if step.act is not Act.JOIN:
        return now
    longest = expected_by(head.storage_class, tier=slowest(head.storage_class), asked_at=now)
    return max(running.expected_by if running else longest, now)


def _time_of(storage_class: str, tier: Tier) -> timedelta:
    known = known_class(storage_class)
    return timedelta(hours=tiers_of(known).get(tier, 0.0) if known else 0.0)


def slowest(storage_class: str) -> Tier:
    """The tier to expect when somebody else asked and did not say by which."""
    known = known_class(storage_class)
    tiers = tiers_of(known) if known else {}
    return Tier(max(tiers, key=lambda name: tiers[name], default=Tier.STANDARD))


def available_tier(head: ArchiveHead | None, asked: Tier) -> Tier:
    """The tier asked for; where a lifecycle rule moved the archive to a class that has it not, Standard."""
    known = known_class(head.storage_class) if head else None
    return asked if known is None or not known.needs_thaw or asked in tiers_of(known) else Tier.STANDARD
