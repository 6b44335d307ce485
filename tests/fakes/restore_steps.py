"""Steps of a restore that tests have in common, and looks at it."""

from fakes.restore_world import World
from glaciate.names import ArchiveId, RequestId
from glaciate.restores import PartState


def part_state(world: World, request_id: RequestId, archive: ArchiveId) -> PartState:
    part = world.ledger.part(request_id, archive)
    assert part is not None
    return part.state


def asked_to_thaw(world: World) -> int:
    return sum(operation == "RestoreObject" for operation, _key in world.s3.asked)


def unpack(world: World, request_id: RequestId, archive: ArchiveId, *, settled: bool = True) -> None:
    """What the unpacker does with a part that has not ended, as far as the ledger sees it."""
    assert world.unpack(request_id, archive, settled=settled)
