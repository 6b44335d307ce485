"""From POST to a readable archive, against S3 as it really behaves."""

from datetime import timedelta

from fakes.restore_world import World
from fakes.strict_thaw import START
from glaciate.events import RestoreAccepted
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import FileResult
from glaciate.restores import PartState, RequestState


def part_state(world: World, request_id: RequestId, archive: ArchiveId) -> PartState:
    part = world.ledger.part(request_id, archive)
    assert part is not None
    return part.state


def asked_to_thaw(world: World) -> int:
    return sum(operation == "RestoreObject" for operation, _key in world.s3.asked)


def unpack(world: World, request_id: RequestId, archive: ArchiveId, **outcome: int) -> None:
    """What the unpacker does, as far as the ledger sees it."""
    part = world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    assert part is not None
    wanted = world.ledger.documents.wanted(request_id, archive)
    results = tuple(FileResult(file.key, file.destination, "RESTORED", file.size) for file in wanted)
    world.ledger.documents.put_results(request_id, archive, results)
    world.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=len(wanted), failed=0)


def test_a_cold_archive_is_thawed_and_the_caller_told_by_when(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")

    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING
    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.expected_by) == (RequestState.THAWING, START + timedelta(hours=12))
    [accepted] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    assert (accepted.files, accepted.expected_by, accepted.correlation_id) == (
        1,
        START + timedelta(hours=12),
        "trail-1",
    )


def test_a_part_whose_end_nobody_told_is_settled_by_the_sweeper(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.told()
    world.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=1, failed=0)

    world.s3.advance(hours=48)
    world.sweep(at_most=10)

    assert [event.name for event in world.told()] == ["RestoreCompleted.v1"]
    assert world.ledger.waiting_requests(archive) == ()
