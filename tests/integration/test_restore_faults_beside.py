"""The same deaths on the ways beside the straight one: a cancellation, and a large request that is resolved message by message.
Each time nobody waits for good, nothing is thawed twice, and those who are not concerned are not touched."""

from collections.abc import Iterator

import pytest

from fakes.executioner import Executioner, executioner_of
from fakes.restore_world import World, restore_world
from faults import Killed, until_nobody_dies
from glaciate.events import RestoreCompleted
from glaciate.names import RequestId
from glaciate.restores import PartState, RequestState
from glaciate.tables import WAITING_LIST, WaiterRow

pytestmark = pytest.mark.slow


@pytest.fixture
def world() -> Iterator[World]:
    with restore_world() as world:
        yield world


@pytest.fixture
def executioner(world: World, monkeypatch: pytest.MonkeyPatch) -> Executioner:
    return executioner_of(world, monkeypatch)


def sweep_until_quiet(world: World) -> None:
    world.sweep_until_quiet()
    assert list(WaiterRow.listing.query(WAITING_LIST)) == []


def state(world: World, request_id: RequestId) -> RequestState:
    request = world.requests.get(request_id)
    assert request is not None
    return request.state


def thaws_begun(world: World) -> list[str]:
    return [
        event["detail"]["object"]["key"]
        for event in world.s3.told
        if event["detail-type"] == "Object Restore Initiated"
    ]


def test_a_death_while_a_restore_is_cancelled_costs_time_and_disturbs_nobody(
    world: World, executioner: Executioner
) -> None:
    def attempt(strikes_at: int) -> bool:
        archive = world.vault.put(strikes_at, [f"{strikes_at}.csv", f"other-{strikes_at}.csv"])
        cancelled = world.post(filename=f"{strikes_at}.csv")
        other = world.post(filename=f"other-{strikes_at}.csv")
        world.drain()

        died = executioner.survive(lambda: world.cancel(cancelled), strikes_at=strikes_at)
        world.drain()
        world.s3.advance(hours=13)
        world.unpack_for_all(archive)
        sweep_until_quiet(world)

        assert (state(world, cancelled), state(world, other)) == (RequestState.CANCELLED, RequestState.COMPLETED)
        parts = {part.request_id: part.state for part in world.requests.parts(cancelled)}
        assert parts == {cancelled: PartState.CANCELLED}
        told = [event for event in world.told() if isinstance(event, RestoreCompleted)]
        assert {event.request_id: event.outcome for event in told} == {
            cancelled: RequestState.CANCELLED,
            other: RequestState.COMPLETED,
        }
        return died

    until_nobody_dies(attempt, at_least=4)


@pytest.mark.parametrize("wanted", [{"prefix": "in/"}, {"filename": "in/0.csv,in/1.csv"}], ids=["prefix", "names"])
def test_a_death_while_a_large_request_is_resolved_loses_no_file_and_takes_none_twice(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str]
) -> None:
    monkeypatch.setattr("restore_intake.application.accepting.MOST_PARTS_RECORDED", 1)
    monkeypatch.setattr("restore_intake.application.thawing.ARCHIVES_PER_MESSAGE", 1)
    monkeypatch.setattr("restore_intake.application.accepting.MOST_ARCHIVES_READ", 1)

    def attempt(strikes_at: int) -> bool:
        with restore_world() as world, monkeypatch.context() as patched:
            executioner = executioner_of(world, patched)
            archives = [world.vault.put(number, [f"in/{number}.csv"]) for number in range(2)]
            request_id = world.post(**wanted)
            died, calls_left = False, strikes_at
            messages = world.commands()
            while messages:
                executioner.arm(None if died else calls_left)
                try:
                    world.thaw_files(messages[0])
                except Killed:
                    died = True
                    continue  # the message comes back
                calls_left -= executioner.calls
                executioner.arm(None)
                messages = [*messages[1:], *world.commands()]

            world.s3.advance(hours=13)
            for archive in archives:
                world.unpack_for_all(archive)
            sweep_until_quiet(world)

            files = world.files(request_id)
            assert {key: file["state"] for key, file in files.items()} == dict.fromkeys(
                ("in/0.csv", "in/1.csv"), "RESTORED"
            )
            request = world.requests.get(request_id)
            assert request is not None
            assert (request.state, request.parts, request.files) == (RequestState.COMPLETED, 2, 2)
            assert sorted(thaws_begun(world)) == [f"archives/demo/{archive}.zip" for archive in archives]
            return died

    until_nobody_dies(attempt, at_least=20)
