"""What the sweeper makes good, and what it leaves alone."""

import pytest
from botocore.exceptions import ClientError

from fakes.restore_steps import asked_to_thaw, part_state, unpack
from fakes.restore_world import World
from fakes.vault import VAULT
from glaciate.events import ArchiveReadable, RestoreAccepted
from glaciate.restores import PartState


def test_a_lost_first_message_is_made_good(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.lose_messages()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert any(isinstance(event, RestoreAccepted) for event in world.told())


def test_nothing_is_looked_at_before_its_time(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.drain()

    world.s3.advance(minutes=14)

    assert world.sweep(at_most=100) == 0


def test_an_archive_is_not_asked_about_until_its_thaw_should_be_over(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=1)
    world.post(filename="b.csv")  # joins
    world.drain()
    about_it = ("HeadObject", f"archives/demo/{archive}.zip")
    heads = world.s3.asked.count(about_it)

    for _ in range(11 * 4):  # to the expected time
        world.s3.advance(minutes=15)
        world.sweep(at_most=100)

    assert world.s3.asked.count(about_it) == heads
    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    assert world.s3.asked.count(about_it) == heads + 2  # one for each that waits


def test_a_lost_completion_event_is_made_good(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=12)
    world.told()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)

    readable = [event for event in world.told() if isinstance(event, ArchiveReadable)]
    assert [event.archive_id for event in readable] == [archive]


def test_a_copy_that_came_as_it_was_asked_for_is_not_extended_when_somebody_looks_late(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)  # nobody has heard of it: three days from now it will not be there any more
    world.told()

    world.sweep(at_most=100)
    unpack(world, request_id, archive)

    assert asked_to_thaw(world) == 1
    assert any(isinstance(event, ArchiveReadable) for event in world.told())
    status = world.describe(request_id, limit=1, token=None)
    assert status["cost"]["total_usd"] == pytest.approx(status["estimate"]["total_usd"])


def test_a_copy_that_was_extended_is_not_extended_again_when_somebody_looks_late(world: World) -> None:
    world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)
    world.post(filename="b.csv", days=5)
    world.drain()

    world.s3.advance(days=2)
    world.sweep(at_most=100)

    assert asked_to_thaw(world) == 2


def test_a_copy_that_expired_before_it_was_read_is_thawed_again(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(days=6)

    world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert asked_to_thaw(world) == 2


def test_a_part_sent_back_by_the_unpacker_is_thawed_again_at_the_next_sweep(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(days=6)
    world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    world.ledger.thaw_again(request_id, archive)

    world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING


def test_a_thaw_that_takes_longer_than_expected_is_waited_for(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    slow = {"Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
    world.s3.restore_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip", RestoreRequest=slow)
    request_id = world.post(filename="a.csv")
    world.drain()

    for _ in range(3):
        world.s3.advance(hours=15)
        world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert asked_to_thaw(world) == 1
    world.s3.advance(hours=4)
    world.sweep(at_most=100)
    assert any(isinstance(event, ArchiveReadable) for event in world.told())


def test_an_end_that_nobody_announced_is_announced(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    unpack(world, request_id, archive, settled=False)
    world.told()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.sweep(at_most=100)

    assert [event.name for event in world.told()] == ["RestoreCompleted.v1"]
    world.s3.advance(days=1)
    world.sweep(at_most=100)
    world.s3.advance(days=1)
    assert world.sweep(at_most=100) == 0  # nothing waits any more
    assert world.told() == []


def test_sweeping_looks_at_a_bounded_number_the_longest_overdue_first(world: World) -> None:
    for number in range(3):
        world.vault.put(number, [f"{number}.csv"])
        world.post(filename=f"{number}.csv")
        world.s3.advance(minutes=1)
    world.lose_messages()
    world.s3.advance(minutes=20)

    assert world.sweep(at_most=4) == 4
    assert world.sweep(at_most=4) == 2
    assert world.sweep(at_most=4) == 0


def test_one_that_fails_does_not_keep_the_others_waiting(world: World) -> None:
    broken = world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.s3.advance(seconds=1)
    fine = world.vault.put(1, ["b.csv"])
    second = world.post(filename="b.csv")
    world.lose_messages()
    world.s3.refuse(f"archives/demo/{broken}.zip", "AccessDenied")
    world.s3.advance(minutes=20)

    with pytest.raises(ClientError, match="AccessDenied"):
        world.sweep(at_most=100)

    assert part_state(world, second, fine) is PartState.THAWING


def test_one_archive_that_cannot_be_asked_about_does_not_keep_its_requests_others_waiting(world: World) -> None:
    broken = world.vault.put(0, ["a.csv"])
    fine = world.vault.put(1, ["b.csv"])
    request_id = world.post(filename="a.csv,b.csv")
    world.s3.refuse(f"archives/demo/{broken}.zip", "AccessDenied")

    with pytest.raises(ClientError, match="AccessDenied"):
        world.drain()

    assert part_state(world, request_id, fine) is PartState.THAWING


def test_a_queue_that_takes_nothing_leaves_an_accepted_request_to_the_sweeper(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    world.queue.closed = True
    request_id = world.post(filename="a.csv")
    world.queue.closed = False

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING
