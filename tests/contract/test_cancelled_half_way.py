"""A cancel while a worker unpacks: whatever the order, and whoever dies, what is told of the request is true, and says one thing."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import pytest

from fakes.mortal import Life
from fakes.restore_halves import FILES, Halves
from fakes.restore_world import restore_world
from fakes.unpacking import zip_of
from faults import Killed
from glaciate.errors import Problem
from glaciate.events import RestoreCompleted
from glaciate.names import ArchiveId, RequestId
from glaciate.restore_ledger import RestoreLedger
from glaciate.restores import CANCELLED_HALF_WAY

pytestmark = pytest.mark.slow


@dataclass
class Cancelling(Life):
    """A worker's life in which somebody cancels before call number `cancel_before`."""

    cancel_before: int | None = None
    cancel: Callable[[], Any] = lambda: None

    def live(self, call: Callable[[], Any]) -> Any:
        if self.calls == self.cancel_before:
            self.cancel()
        return Life.live(self, call)


class Cancelled(Halves):
    """With a request that somebody cancels."""

    def cancel(self, request_id: RequestId) -> None:
        """Somebody cancels; too late is harmless."""
        with suppress(Problem):
            self.world.cancel(request_id)

    def steps(self) -> int:
        """How many calls a worker makes that nobody disturbs."""
        life = Life()
        self.work(self.ask()[1], life)
        self.world.told()
        return life.calls

    def told_truly(self, request_id: RequestId, archive: ArchiveId) -> str:
        """How it ended. The status, the message and the bucket say the same, and nobody waits any more."""
        status = self.world.describe(request_id, limit=100, token=None)
        [part] = status["parts"]
        ends = [event for event in self.world.told() if isinstance(event, RestoreCompleted)]
        there = {key for key in FILES if f"demo/{request_id}/{key}" in self.restored.files}
        restored = {file["key"] for file in status["files"] if file["state"] == "RESTORED"}

        assert ends
        for end in ends:
            assert (end.outcome, end.restored, end.failed) == (status["state"], len(restored), 0)
            assert (end.available_until, end.reason) == (status["available_until"], status["reason"])
        assert status["counts"] == {"files": 2, "restored": len(restored), "failed": 0, "missing": 0}
        assert {file["key"] for file in status["files"]} == set(FILES)
        assert restored in (set(), set(FILES))
        assert restored <= there
        for file in status["files"]:
            place = (file["location"], file["available_until"])
            if restored:
                assert place == (f"s3://restored/demo/{request_id}/{file['key']}", status["available_until"])
                assert file["available_until"] is not None
            else:
                assert (file["state"], *place, file["expected_by"]) == ("CANCELLED", None, None, None)
                assert file["reason"] == part["reason"]
        if there - restored:
            assert part["reason"] == CANCELLED_HALF_WAY
            assert part["available_until"] is not None
            assert status["reason"] == f"2 of its files: {CANCELLED_HALF_WAY}"
        assert self.world.ledger.waiting_requests(archive) == ()
        assert part["restored"] == len(restored)
        return f"{status['state']}, {len(restored)} of {len(there)} counted"


@pytest.fixture
def halves() -> Iterator[Cancelled]:
    with restore_world() as world:
        yield Cancelled(world)


@pytest.mark.slow
def test_a_cancel_before_any_step_of_the_worker_is_told_truly(halves: Cancelled) -> None:
    ends = []
    for step in range(halves.steps()):
        request_id, archive = halves.ask()
        halves.work(archive, Cancelling(cancel_before=step, cancel=lambda one=request_id: halves.cancel(one)))
        ends.append(halves.told_truly(request_id, archive))

    assert [end for end, _same in groupby(ends)] == [
        "CANCELLED, 0 of 0 counted",
        "CANCELLED, 0 of 2 counted",
        "CANCELLED, 2 of 2 counted",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_cancel_between_the_death_of_a_worker_and_its_message_again_is_told_truly(
    halves: Cancelled, after_effect: bool
) -> None:
    ends = []
    for step in range(halves.steps()):
        request_id, archive = halves.ask()
        with pytest.raises(Killed):
            halves.work(archive, Life(step, after_effect=after_effect))

        halves.cancel(request_id)
        halves.work(archive)
        ends.append(halves.told_truly(request_id, archive))

    assert "CANCELLED, 0 of 1 counted" in ends


@pytest.mark.slow
def test_a_worker_that_dies_after_the_cancel_leaves_the_truth(halves: Cancelled) -> None:
    for step in range(halves.steps()):
        request_id, archive = halves.ask()
        life = Cancelling(step, cancel_before=step, cancel=lambda one=request_id: halves.cancel(one))
        with pytest.raises(Killed):
            halves.work(archive, life)

        halves.work(archive)
        halves.told_truly(request_id, archive)


def test_a_cancel_that_dies_is_ended_by_the_sweeper_and_told_truly(halves: Cancelled) -> None:
    """The request is cancelled, the worker writes everything and ends its part as if nothing were, and only then is the cancel seen."""
    request_id, archive = halves.ask()
    halves.work(archive, Cancelling(cancel_before=2, cancel=lambda: halves.world.requests.cancel(request_id)))

    halves.world.s3.advance(days=2)
    halves.world.sweep(at_most=10)
    halves.world.drain()

    assert halves.told_truly(request_id, archive) == "CANCELLED, 2 of 2 counted"
    assert halves.world.files(request_id)["a.csv"]["state"] == "RESTORED"


def test_a_part_that_waits_for_another_thaw_when_it_is_cancelled_says_that_files_may_be_there(
    halves: Cancelled,
) -> None:
    request_id, archive = halves.ask()
    halves.world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    halves.restored.files[f"demo/{request_id}/a.csv"] = (FILES["a.csv"], zip_of(FILES)[1][0])
    halves.world.ledger.thaw_again(request_id, archive)

    halves.cancel(request_id)

    assert halves.told_truly(request_id, archive) == "CANCELLED, 0 of 1 counted"


def test_a_part_that_nobody_had_begun_is_cancelled_and_nothing_else(halves: Cancelled) -> None:
    request_id, archive = halves.ask()

    halves.cancel(request_id)

    status = halves.world.describe(request_id, limit=10, token=None)
    assert (status["reason"], status["parts"][0]["reason"]) == (None, "cancelled")
    assert halves.told_truly(request_id, archive) == "CANCELLED, 0 of 0 counted"


def test_a_cancel_while_the_last_part_closes_its_request_says_until_when_its_files_stay(halves: Cancelled) -> None:
    request_id, archive = halves.ask()
    world, moments = halves.world, []

    def clock() -> datetime:
        moments.append(world.s3.clock())
        if len(moments) == 2:  # the first: a part is begun; this one: the request is closed, having been read
            world.requests.cancel(request_id)
        return moments[-1]

    world.ledger = RestoreLedger(world.ledger.documents, restored_days=14, kept_days=90, now=clock)

    halves.work(archive)

    assert halves.told_truly(request_id, archive) == "CANCELLED, 2 of 2 counted"
    assert halves.world.files(request_id)["a.csv"]["state"] == "RESTORED"
