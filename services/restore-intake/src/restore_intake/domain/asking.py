"""What a part is about to ask S3, noted before S3 is asked, and what becomes of it where nobody has heard the answer."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter

from glaciate.costs import Asked, Charge
from glaciate.names import RequestId
from glaciate.requests import StorageClass
from restore_intake.domain.thawing import ArchiveHead, Step, Thaw, expected_by, is_faster, known_class


class Fate(StrEnum):
    """What became of an asking whose answer nobody has kept."""

    GRANTED = "GRANTED"  # S3 did it: it is paid for
    ANOTHERS = "ANOTHERS"  # what S3 did, it did for another request
    UNKNOWN = "UNKNOWN"  # it was not asked, as far as can be seen: ask (again)


@dataclass(frozen=True, slots=True)
class Asking:
    """One RestoreObject: what it will cost, its `days`, when S3 is asked, and until when a copy stayed at that moment."""

    charge: Charge
    days: int
    asked_at: datetime
    readable_until: datetime | None = None

    @property
    def text(self) -> str:
        """As it is kept on the part."""
        return _ASKING.dump_json(self).decode()

    def thaw(self, request_id: RequestId) -> Thaw:
        """The thaw that runs, if S3 grants it."""
        charge = self.charge
        by = expected_by(charge.storage_class, tier=charge.tier, asked_at=self.asked_at)
        return Thaw(charge.tier, self.days, by, asked_by=request_id)

    @property
    def begun(self) -> Charge:
        """What it costs where S3 says that it has begun (202)."""
        if self.charge.asked is Asked.EXTENSION:  # the copy has lapsed just before
            return replace(self.charge, asked=Asked.THAW, days=self.days)
        return self.charge

    @property
    def renewed(self) -> Charge:
        """What it costs where S3 says that a copy is there, its period renewed (200)."""
        if self.charge.asked is Asked.EXTENSION:
            return self.charge
        return replace(
            self.charge, asked=Asked.EXTENSION, days=0
        )  # it came just before; for how long was another's matter


_ASKING: Final = TypeAdapter(Asking)


def read_asking(text: str | None) -> Asking | None:
    """An asking from its text; None where there is none."""
    return None if text is None else _ASKING.validate_json(text)


def asking_for(step: Step, head: ArchiveHead, *, now: datetime, before: Asking | None) -> Asking:
    """What such a step asks. Asked again, its charge stays what it was `before`, so that it is kept once."""
    if step.tier is None or step.days is None:
        msg = f"{step.act} asks S3 for nothing"
        raise ValueError(msg)
    asked, days = _kind(head, step.days, now)
    charge = Charge(
        asked,
        known_class(head.storage_class) or StorageClass.STANDARD,
        step.tier,
        head.size_bytes,
        days,
        now.isoformat(),
    )
    if before is not None and (before.charge.asked, before.charge.tier) == (asked, step.tier):
        charge = before.charge
    return Asking(charge, step.days, now, head.expires_at)


def _kind(head: ArchiveHead, days: int, now: datetime) -> tuple[Asked, float]:
    """What is asked for, and how many days longer the copy stays for it."""
    if head.ongoing:
        return Asked.UPGRADE, 0.0
    if head.expires_at is None or head.expires_at <= now:
        return Asked.THAW, float(days)
    return Asked.EXTENSION, days - (head.expires_at - now) / timedelta(days=1)


def fate(asking: Asking, *, head: ArchiveHead | None, noted: Thaw | None, request_id: RequestId, now: datetime) -> Fate:
    """What became of an asking of this request, by what S3 says now and the last thaw that we noted.

    S3 runs one thaw of an object at a time and does not say whose it is. One that another request noted, and that was still
    expected when this one was about to ask, is the other's; one that nobody noted is this one's. A copy that stays longer than it did
    was extended by this one. Whether a running thaw was sped up cannot be seen: S3 is to be asked again, which then says 409; where
    it runs no more, it counts as asked.
    """
    anothers = noted is not None and noted.asked_by != request_id and noted.expected_by > asking.asked_at
    copied = head is not None and head.expires_at is not None and head.expires_at > now
    ongoing = head is not None and head.ongoing
    match asking.charge.asked:
        case Asked.THAW if ongoing or copied:
            return Fate.ANOTHERS if anothers else Fate.GRANTED
        case Asked.EXTENSION if head is not None and head.expires_at is not None and asking.readable_until is not None:
            return Fate.GRANTED if head.expires_at > asking.readable_until else Fate.UNKNOWN
        case Asked.UPGRADE if not ongoing:
            return Fate.GRANTED
        case Asked.UPGRADE if noted is not None and not is_faster(asking.charge.tier, noted.tier):
            return Fate.ANOTHERS if anothers else Fate.GRANTED
        case _:
            return Fate.UNKNOWN
