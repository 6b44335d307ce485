"""The state machine of an archive's readable copy: every state, every tier, every answer's meaning."""

from datetime import UTC, datetime, timedelta

import pytest

from glaciate.requests import Tier
from restore_intake.domain.thawing import (
    Act,
    ArchiveHead,
    Copy,
    Step,
    Thaw,
    available_tier,
    copy_of,
    expected_by,
    may_be_running,
    next_step,
    read_restore_header,
    slowest,
    thaw_days,
)

NOW = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
COLD = ArchiveHead("DEEP_ARCHIVE", 1000)
THAWING = ArchiveHead("DEEP_ARCHIVE", 1000, ongoing=True)


def warm(days: float) -> ArchiveHead:
    return ArchiveHead("DEEP_ARCHIVE", 1000, expires_at=NOW + timedelta(days=days))


def running(tier: Tier, days: int = 5) -> Thaw:
    return Thaw(tier, days, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, (False, None)),
        ('ongoing-request="true"', (True, None)),
        (
            'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"',
            (False, datetime(2012, 12, 21, tzinfo=UTC)),
        ),
    ],
)
def test_s3s_restore_header_is_read(header: str | None, expected: tuple[bool, datetime | None]) -> None:
    assert read_restore_header(header) == expected


@pytest.mark.parametrize("header", ["", "ongoing", 'ongoing-request="maybe"'])
def test_a_header_that_says_neither_is_not_guessed(header: str) -> None:
    with pytest.raises(ValueError, match="not a restore header"):
        read_restore_header(header)


@pytest.mark.parametrize(
    ("head", "copy"),
    [
        (None, Copy.GONE),
        (ArchiveHead("STANDARD", 1), Copy.READABLE),
        (ArchiveHead("GLACIER_IR", 1), Copy.READABLE),
        (ArchiveHead("INTELLIGENT_TIERING", 1), Copy.READABLE),
        (COLD, Copy.COLD),
        (ArchiveHead("GLACIER", 1), Copy.COLD),
        (THAWING, Copy.THAWING),
        (warm(days=3), Copy.WARM),
        (warm(days=2.9), Copy.LUKEWARM),
        (warm(days=0), Copy.COLD),
        (warm(days=-1), Copy.COLD),
    ],
)
def test_what_s3_says_is_named(head: ArchiveHead | None, copy: Copy) -> None:
    assert copy_of(head, now=NOW, days=3) is copy


@pytest.mark.parametrize(
    ("head", "step"),
    [
        (None, Step(Act.GIVE_UP)),
        (ArchiveHead("STANDARD", 1), Step(Act.ANNOUNCE)),
        (COLD, Step(Act.ASK, Tier.STANDARD, 4)),
        (THAWING, Step(Act.JOIN)),
        (warm(days=9), Step(Act.ANNOUNCE, readable_until=NOW + timedelta(days=9))),
        (warm(days=1), Step(Act.EXTEND, Tier.STANDARD, 4, NOW + timedelta(days=1))),
    ],
)
def test_each_state_has_its_act(head: ArchiveHead | None, step: Step) -> None:
    assert next_step(head, now=NOW, tier=Tier.STANDARD, days=4, running=None) == step


@pytest.mark.parametrize(
    ("asked", "runs", "step"),
    [
        (Tier.STANDARD, Tier.BULK, Step(Act.ASK, Tier.STANDARD, 5)),
        (Tier.EXPEDITED, Tier.BULK, Step(Act.ASK, Tier.EXPEDITED, 5)),
        (Tier.EXPEDITED, Tier.STANDARD, Step(Act.ASK, Tier.EXPEDITED, 5)),
        (Tier.STANDARD, Tier.STANDARD, Step(Act.JOIN)),
        (Tier.BULK, Tier.STANDARD, Step(Act.JOIN)),
        (Tier.BULK, Tier.BULK, Step(Act.JOIN)),
    ],
)
def test_only_a_faster_tier_asks_again_and_never_changes_the_days(asked: Tier, runs: Tier, step: Step) -> None:
    assert next_step(THAWING, now=NOW, tier=asked, days=9, running=running(runs)) == step


def test_a_copy_is_asked_for_so_long_that_a_bulk_thaw_cannot_lapse_as_it_completes() -> None:
    assert [thaw_days(days) for days in (1, 2, 3, 30)] == [3, 3, 3, 30]


def test_the_expected_time_comes_from_tier_and_class() -> None:
    assert expected_by("DEEP_ARCHIVE", tier=Tier.BULK, asked_at=NOW) == NOW + timedelta(hours=48)
    assert expected_by("GLACIER", tier=Tier.STANDARD, asked_at=NOW) == NOW + timedelta(hours=5)
    assert expected_by("STANDARD", tier=Tier.STANDARD, asked_at=NOW) == NOW


def test_a_thaw_of_ours_is_the_one_that_runs_until_its_copy_may_have_lapsed() -> None:
    asked_now = Thaw(Tier.BULK, 5, expected_by("DEEP_ARCHIVE", tier=Tier.BULK, asked_at=NOW))

    runs = [
        may_be_running(asked_now, "DEEP_ARCHIVE", now=NOW + timedelta(days=days)) for days in (0, 2.5, 4.999, 5, 20)
    ]

    assert runs == [True, True, True, False, False]


def test_somebody_elses_thaw_is_taken_for_the_slowest() -> None:
    assert slowest("DEEP_ARCHIVE") is Tier.BULK
    assert slowest("STANDARD") is Tier.STANDARD


def test_an_archive_moved_to_a_class_without_the_tier_is_thawed_by_standard() -> None:
    assert available_tier(COLD, Tier.EXPEDITED) is Tier.STANDARD
    assert available_tier(ArchiveHead("GLACIER", 1), Tier.EXPEDITED) is Tier.EXPEDITED
    assert available_tier(None, Tier.BULK) is Tier.BULK
