"""Held sources: of "keep" and "delete now" one wins; the fake and DynamoDB keep the same promises."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws
from pynamodb.transactions import TransactWrite

from fakes.aws import make_tables
from fakes.holds import FakeHolds
from glaciate.holds import DeletionBegan, DynamoHolds, HoldState, dealt_with
from glaciate.names import JobId
from glaciate.tables import HOLD_ITEM, HoldRow, JobRow, bind, jobs_connection

JOB, OTHER = JobId("01aaaaa00001"), JobId("01aaaaa00002")
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DUE = NOW + timedelta(days=30)
HOUR = timedelta(hours=1)


@dataclass
class Ground:
    holds: FakeHolds | DynamoHolds

    def count(self, *, deleted: int = 1, left: int = 0) -> None:
        if isinstance(self.holds, FakeHolds):
            self.holds.count(JOB, deleted=deleted, left=left)
            return
        actions, condition = dealt_with(deleted=deleted, left=left)
        with TransactWrite(connection=jobs_connection()) as transaction:
            transaction.update(HoldRow(JOB, HOLD_ITEM), actions=actions, condition=condition)

    def begin(self, *, now: datetime = DUE) -> bool:
        return self.holds.begin(JOB, now=now, look_again_at=now + HOUR)

    def due(self, now: datetime) -> tuple[JobId, ...]:
        return tuple(self.holds.due(now, at_most=10))


@pytest.fixture(scope="module")
def table() -> Iterator[None]:
    with mock_aws():
        bind(jobs="jobs")
        make_tables(JobRow)
        yield


@pytest.fixture(params=["fake", "dynamodb"])
def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param == "fake":
        return Ground(FakeHolds())
    request.getfixturevalue("table")
    rows = boto3.client("dynamodb")
    for item in rows.scan(TableName="jobs")["Items"]:
        rows.delete_item(TableName="jobs", Key={name: item[name] for name in ("id", "item")})
    return Ground(DynamoHolds())


def test_sources_are_held_until_their_day_and_found_then(ground: Ground) -> None:
    assert ground.holds.find(JOB) is None

    assert ground.holds.hold(JOB, due_at=DUE)
    assert ground.holds.hold(OTHER, due_at=DUE + HOUR)

    hold = ground.holds.find(JOB)
    assert hold is not None
    assert (hold.state, hold.due_at, hold.deleted, hold.left) == (HoldState.HELD, DUE, 0, 0)
    assert ground.due(DUE - timedelta(seconds=1)) == ()
    assert ground.due(DUE) == (JOB,)
    assert ground.due(DUE + 2 * HOUR) == (JOB, OTHER)
    assert tuple(ground.holds.due(DUE + 2 * HOUR, at_most=1)) == (JOB,)


def test_holding_again_changes_nothing(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=DUE)

    assert ground.holds.hold(JOB, due_at=DUE + HOUR)

    hold = ground.holds.find(JOB)
    assert hold is not None
    assert hold.due_at == DUE


def test_what_is_kept_is_never_deleted(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=DUE)

    for _ in range(2):
        assert ground.holds.keep(JOB, now=NOW).state is HoldState.KEPT

    assert ground.due(DUE + HOUR) == ()
    assert not ground.begin()
    assert not ground.holds.hold(JOB, due_at=DUE)
    hold = ground.holds.find(JOB)
    assert hold is not None
    assert (hold.state, hold.decided_at) == (HoldState.KEPT, NOW)


def test_sources_may_be_kept_before_they_are_held(ground: Ground) -> None:
    ground.holds.keep(JOB, now=NOW)

    assert not ground.holds.hold(JOB, due_at=DUE)
    assert ground.due(DUE + HOUR) == ()
    assert not ground.begin()


def test_once_deletion_has_begun_it_is_too_late_to_keep(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=DUE)
    assert ground.begin()

    with pytest.raises(DeletionBegan):
        ground.holds.keep(JOB, now=DUE)

    hold = ground.holds.find(JOB)
    assert hold is not None
    assert (hold.state, hold.decided_at) == (HoldState.DELETING, DUE)
    ground.holds.end(JOB, archives=0, now=DUE)
    with pytest.raises(DeletionBegan):
        ground.holds.keep(JOB, now=DUE)


def test_deletion_does_not_begin_before_the_day_or_without_a_hold(ground: Ground) -> None:
    assert not ground.begin()

    ground.holds.hold(JOB, due_at=DUE)

    assert not ground.begin(now=DUE - timedelta(seconds=1))
    hold = ground.holds.find(JOB)
    assert hold is not None
    assert hold.state is HoldState.HELD


def test_deletion_that_goes_on_is_looked_at_again_until_its_end_is_told(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=DUE)
    ground.begin()

    assert ground.due(DUE + timedelta(minutes=59)) == ()
    assert ground.due(DUE + HOUR) == (JOB,)
    assert ground.begin(now=DUE + HOUR)
    assert ground.due(DUE + HOUR) == ()
    ground.holds.end(JOB, archives=0, now=DUE)
    assert ground.due(DUE + 2 * HOUR) == (JOB,)
    assert ground.begin(now=DUE + 2 * HOUR)
    ground.holds.mark_announced(JOB)
    assert ground.due(DUE + 9 * HOUR) == ()
    assert not ground.begin(now=DUE + 9 * HOUR)


def test_a_hold_ends_with_its_last_archive_and_is_given_until_it_is_announced(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=DUE)
    assert ground.holds.end(JOB, archives=0, now=DUE) is None, "nothing has begun"
    ground.begin()
    ground.count(deleted=5, left=2)
    assert ground.holds.end(JOB, archives=2, now=DUE) is None
    ground.count(deleted=3)

    for _ in range(2):
        hold = ground.holds.end(JOB, archives=2, now=DUE + HOUR)

        assert hold is not None
        assert (hold.state, hold.deleted, hold.left, hold.archives) == (HoldState.DELETED, 8, 2, 2)
        assert hold.ended_at == DUE + HOUR
    ground.holds.mark_announced(JOB)
    assert ground.holds.end(JOB, archives=2, now=DUE) is None
