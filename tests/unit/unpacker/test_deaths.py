"""Killing a worker at every step: the message comes back, and it ends in the same state."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from fakes.mortal import Life
from fakes.restore_ledger import FakeRestoreLedger
from fakes.unpack_world import ARCHIVE, FILES, LARGE, ONE, OTHER, THIRD, VAULT_KEY, World, readable
from fakes.unpacking import (
    header_of,
    member,
)
from faults import Killed
from glaciate.contracts import Command
from glaciate.events import Outcome
from glaciate.messages import ThawFiles
from glaciate.names import RequestId
from glaciate.parts import FileResult
from glaciate.restores import PartState


def eventful(world: World) -> None:
    """Two requests, files shared and not, one damaged, one unknown."""
    world.archive()
    world.flip("in/c ü.txt")
    world.want(ONE, "in/a.txt", "in/large.bin", "in/c ü.txt")
    world.want(OTHER, "in/a.txt", "in/deep/b.txt", "in/empty", "in/unknown")
    before, after = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC)
    world.originals.objects = {
        ("sources", "in/deep/b.txt"): (b"there when it was asked for", before),
        ("sources", "in/a.txt"): (b"written since", after),
    }
    world.want_back(THIRD, *FILES, replaces=datetime(2026, 6, 2, tzinfo=UTC))


def end_of(world: World) -> tuple[object, ...]:
    return (
        world.contents(),
        world.originals.objects,
        world.documents.outcomes,
        world.ledger.parts,
        world.ledger.waiters,
        world.ledger.announced,
        world.told(),
    )


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_worker_killed_at_any_step_ends_in_the_same_state(after_effect: bool) -> None:
    undisturbed = World()
    eventful(undisturbed)
    life = Life()
    undisturbed.unpack(life, read_concurrency=1, write_concurrency=1)(readable())
    assert life.calls > 20

    for step in range(life.calls):
        world = World()
        eventful(world)
        with pytest.raises(Killed):
            world.unpack(Life(step, after_effect=after_effect), read_concurrency=1, write_concurrency=1)(readable())
        _nothing_is_reported_that_is_not_there(world)

        world.unpack()(readable())

        assert end_of(world) == end_of(undisturbed), f"killed at step {step}"
        assert len(world.sent.events) - len(undisturbed.sent.events) <= 1


def _nothing_is_reported_that_is_not_there(world: World) -> None:
    contents = world.contents()
    originals = {key: content for (_, key), (content, _) in world.originals.objects.items()}
    assert originals["in/a.txt"] == b"written since"
    for results in world.documents.outcomes.values():
        for result in results:
            if result.state == "RESTORED":
                there = contents if result.bucket is None else originals
                assert there[result.destination] == FILES[result.key]
    assert all(content in FILES.values() for content in contents.values())


def test_a_result_says_restored_only_of_files_that_are_there() -> None:
    world = World()
    eventful(world)

    world.unpack()(readable())

    _nothing_is_reported_that_is_not_there(world)
    assert world.documents.outcomes[ONE, ARCHIVE][0] == FileResult(
        "in/a.txt", f"{ONE}/in/a.txt", "RESTORED", len(FILES["in/a.txt"])
    )


def _object(world: World) -> str:
    """A big file that was kept as it is, wanted by two, and by a third where it came from."""
    header = header_of(ARCHIVE, "object")
    world.vault.archives[header.vault_key] = LARGE
    world.catalogs.keep(header, (member("in/large.bin", LARGE),))
    for request_id in (ONE, OTHER):
        world.want(request_id, "in/large.bin")
    world.want_back(THIRD, "in/large.bin")
    return header.vault_key


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_worker_killed_at_any_step_of_copying_a_big_file_ends_in_the_same_state(after_effect: bool) -> None:
    undisturbed = World()
    vault_key = _object(undisturbed)
    life = Life()
    undisturbed.unpack(life, read_concurrency=1, write_concurrency=1)(readable(vault_key))
    assert undisturbed.told() == dict.fromkeys((ONE, OTHER, THIRD), Outcome.COMPLETED)

    for step in range(life.calls):
        world = World()
        _object(world)
        with pytest.raises(Killed):
            world.unpack(Life(step, after_effect=after_effect), read_concurrency=1, write_concurrency=1)(
                readable(vault_key)
            )
        assert {part.restored for part in world.ledger.parts.values()} <= {0, 1}
        assert set(world.contents().values()) <= {LARGE}

        world.unpack()(readable(vault_key))

        assert end_of(world) == end_of(undisturbed), f"killed at step {step}"


@dataclass
class PromptIntake:
    """The thaw queue with a consumer that is faster than the worker: it handles a message while that is being sent."""

    ledger: FakeRestoreLedger
    thaws: set[RequestId] = field(default_factory=set)

    def send(self, *commands: Command) -> None:
        """As the intake does, it asks S3 for what is `PENDING`, and leaves everything else alone."""
        for command in commands:
            assert isinstance(command, ThawFiles)
            part = self.ledger.parts[command.request_id, ARCHIVE]
            if part.state is PartState.PENDING:
                self.ledger.parts[command.request_id, ARCHIVE] = replace(part, state=PartState.THAWING)
                self.thaws.add(command.request_id)


def _cold(world: World) -> PromptIntake:
    """An archive whose copy has expired, wanted by two."""
    world.archive()
    world.vault.cold.add(VAULT_KEY)
    world.want(ONE, "in/a.txt", "in/large.bin")
    world.want(OTHER, "in/a.txt")
    return PromptIntake(world.ledger)


def _deliver(world: World, intake: PromptIntake, life: Life | None = None) -> None:
    unpack = world.unpack(life, read_concurrency=1, write_concurrency=1)
    replace(unpack, thaw_queue=life.wrap(intake) if life else intake)(readable())


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_worker_killed_at_a_cold_archive_has_it_thawed_again_for_everybody(after_effect: bool) -> None:
    undisturbed, life = World(), Life()
    intake = _cold(undisturbed)
    _deliver(undisturbed, intake, life)
    assert intake.thaws == {ONE, OTHER}

    for step in range(life.calls):
        world = World()
        intake = _cold(world)
        with pytest.raises(Killed):
            _deliver(world, intake, Life(step, after_effect=after_effect))
        assert world.told() == {}

        _deliver(world, intake)
        assert intake.thaws == {ONE, OTHER}, f"killed at step {step}"
        assert {world.state(ONE), world.state(OTHER)} == {PartState.THAWING}
        assert world.ledger.waiting_requests(ARCHIVE) == (ONE, OTHER)
        assert world.contents() == {}

        world.vault.cold.clear()
        _deliver(world, intake)
        assert world.told() == {ONE: Outcome.COMPLETED, OTHER: Outcome.COMPLETED}
