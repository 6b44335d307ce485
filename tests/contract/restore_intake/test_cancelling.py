"""Giving a restore up."""

import pytest

from fakes.restore_steps import asked_to_thaw, part_state, unpack
from fakes.restore_world import World
from glaciate.errors import Problem
from glaciate.events import Outcome, RestoreCompleted
from glaciate.messages import ThawFiles
from glaciate.restores import PartState, RequestState


def test_a_cancelled_part_does_not_disturb_others_waiting_for_the_same_archive(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    given_up = world.post(filename="a.csv")
    kept = world.post(filename="b.csv")
    world.drain()

    answer = world.cancel(given_up)

    assert answer["state"] == "CANCELLED"
    assert part_state(world, given_up, archive) is PartState.CANCELLED
    assert part_state(world, kept, archive) is PartState.THAWING
    assert world.ledger.waiting_requests(archive) == (kept,)
    [ended] = [event for event in world.told() if isinstance(event, RestoreCompleted)]
    assert (ended.request_id, ended.outcome) == (given_up, Outcome.CANCELLED)


def test_cancelling_twice_is_harmless_and_told_once(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")

    first = world.cancel(request_id)
    second = world.cancel(request_id)
    world.drain()

    assert first["state"] == second["state"] == "CANCELLED"
    assert len([event for event in world.told() if isinstance(event, RestoreCompleted)]) == 1
    assert asked_to_thaw(world) == 0


def test_a_request_that_has_ended_cannot_be_cancelled(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    unpack(world, request_id, archive)
    world.thaw_files(ThawFiles(correlation_id="x", request_id=request_id))

    with pytest.raises(Problem, match="has ended: it is COMPLETED"):
        world.cancel(request_id)


def test_a_cancelled_request_is_not_resolved_any_further(world: World) -> None:
    names = [f"{number}.csv" for number in range(45)]
    for number, name in enumerate(names):
        world.vault.put(number, [name])
    request_id = world.post(filename=names)  # too many archives to be recorded in the call

    world.cancel(request_id)
    world.drain()

    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.parts) == (RequestState.CANCELLED, 0)
    assert world.requests.parts(request_id) == ()


def test_what_was_restored_before_the_cancelling_stays_restored(world: World) -> None:
    first = world.vault.put(0, ["a.csv"])
    world.vault.put(1, ["b.csv"])
    request_id = world.post(filename="a.csv,b.csv")
    world.drain()
    unpack(world, request_id, first)

    world.cancel(request_id)

    files = world.files(request_id)
    assert {key: file["state"] for key, file in files.items()} == {"a.csv": "RESTORED", "b.csv": "CANCELLED"}
