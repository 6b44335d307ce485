"""What became of an asking whose answer nobody has kept: told by what S3 says, and by what other requests have noted."""

from datetime import UTC, datetime, timedelta

import pytest

from glaciate.costs import Asked, Charge
from glaciate.names import RequestId
from glaciate.requests import StorageClass, Tier
from restore_intake.domain.asking import Asking, Fate, asking_for, fate, read_asking
from restore_intake.domain.thawing import Act, ArchiveHead, Step, Thaw

NOW = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
MINE, OTHERS = RequestId("r-1"), RequestId("r-2")
COLD = ArchiveHead("DEEP_ARCHIVE", 1000)
ONGOING = ArchiveHead("DEEP_ARCHIVE", 1000, ongoing=True)


def copied(days: float) -> ArchiveHead:
    return ArchiveHead("DEEP_ARCHIVE", 1000, expires_at=NOW + timedelta(days=days))


def asking(asked: Asked, *, readable_days: float | None = None) -> Asking:
    charge = Charge(asked, StorageClass.DEEP_ARCHIVE, Tier.STANDARD, 1000, 3, "1")
    until = None if readable_days is None else NOW + timedelta(days=readable_days)
    return Asking(charge, 3, NOW - timedelta(minutes=30), until)


def noted(by: RequestId, tier: Tier = Tier.STANDARD, hours: float = 12) -> Thaw:
    return Thaw(tier, 3, NOW + timedelta(hours=hours), asked_by=by)


@pytest.mark.parametrize(
    ("asked", "head", "thaw", "expected"),
    [
        (asking(Asked.THAW), COLD, None, Fate.UNKNOWN),
        (asking(Asked.THAW), None, None, Fate.UNKNOWN),
        (asking(Asked.THAW), ONGOING, None, Fate.GRANTED),
        (asking(Asked.THAW), copied(2), None, Fate.GRANTED),
        (asking(Asked.THAW), ONGOING, noted(MINE), Fate.GRANTED),
        (asking(Asked.THAW), ONGOING, noted(OTHERS), Fate.ANOTHERS),
        (asking(Asked.THAW), copied(2), noted(OTHERS), Fate.ANOTHERS),
        (asking(Asked.THAW), ONGOING, noted(OTHERS, hours=-1), Fate.GRANTED),  # over before this one was asked for
        (asking(Asked.EXTENSION, readable_days=1), copied(1), None, Fate.UNKNOWN),
        (asking(Asked.EXTENSION, readable_days=1), copied(4), None, Fate.GRANTED),
        (asking(Asked.EXTENSION, readable_days=1), COLD, None, Fate.UNKNOWN),
        (asking(Asked.UPGRADE), ONGOING, noted(OTHERS, Tier.BULK), Fate.UNKNOWN),
        (asking(Asked.UPGRADE), ONGOING, noted(OTHERS), Fate.ANOTHERS),
        (asking(Asked.UPGRADE), ONGOING, noted(MINE), Fate.GRANTED),
        (asking(Asked.UPGRADE), copied(2), noted(OTHERS, Tier.BULK), Fate.GRANTED),
    ],
)
def test_what_s3_and_the_notes_say_tells_what_became_of_an_asking(
    asked: Asking, head: ArchiveHead | None, thaw: Thaw | None, expected: Fate
) -> None:
    assert fate(asked, head=head, noted=thaw, request_id=MINE, now=NOW) is expected


def test_an_asking_survives_being_kept() -> None:
    kept = asking(Asked.EXTENSION, readable_days=1)

    assert read_asking(kept.text) == kept
    assert read_asking(None) is None


def test_asked_again_the_same_is_charged_as_the_same_and_expected_from_now() -> None:
    step = Step(Act.ASK, Tier.STANDARD, 3)
    first = asking_for(step, COLD, now=NOW, before=None)

    again = asking_for(step, COLD, now=NOW + timedelta(hours=1), before=first)

    assert again.charge == first.charge
    assert again.thaw(MINE).expected_by == NOW + timedelta(hours=13)


def test_another_asking_is_another_charge() -> None:
    first = asking_for(Step(Act.ASK, Tier.BULK, 3), COLD, now=NOW, before=None)

    faster = asking_for(Step(Act.ASK, Tier.STANDARD, 3), COLD, now=NOW + timedelta(hours=1), before=first)

    assert faster.charge.id != first.charge.id


@pytest.mark.parametrize(
    ("head", "asked", "days"),
    [(COLD, Asked.THAW, 9), (copied(-1), Asked.THAW, 9), (ONGOING, Asked.UPGRADE, 0), (copied(2), Asked.EXTENSION, 7)],
)
def test_what_is_asked_for_and_for_how_many_days_more(head: ArchiveHead, asked: Asked, days: float) -> None:
    charge = asking_for(Step(Act.ASK, Tier.STANDARD, 9), head, now=NOW, before=None).charge

    assert (charge.asked, charge.days) == (asked, days)


def test_what_s3_did_otherwise_than_asked_is_charged_as_it_did() -> None:
    lapsed_meanwhile = asking(Asked.EXTENSION, readable_days=1).begun
    copied_meanwhile = asking(Asked.THAW).renewed

    assert (lapsed_meanwhile.asked, lapsed_meanwhile.days) == (Asked.THAW, 3)
    assert (copied_meanwhile.asked, copied_meanwhile.days) == (Asked.EXTENSION, 0)
