"""S3's completion event before anybody waits, before S3 is asked, twice, hours late, or never: each request gets its files once."""

from collections.abc import Iterator

import pytest

from fakes.restore_halves import FILES, Halves
from fakes.restore_world import restore_world
from fakes.unpacking import header_of
from fakes.vault import VAULT
from glaciate.events import ArchiveReadable, RestoreCompleted
from glaciate.names import ArchiveId, RequestId
from glaciate.restores import RequestState


@pytest.fixture
def halves() -> Iterator[Halves]:
    with restore_world() as world:
        yield Halves(world)


def thaw_by_somebody_else(halves: Halves, archive: ArchiveId) -> None:
    request = {"Days": 5, "GlacierJobParameters": {"Tier": "Standard"}}
    halves.world.s3.restore_object(Bucket=VAULT, Key=header_of(archive).vault_key, RestoreRequest=request)
    halves.world.s3.advance(hours=12)
    assert len(halves.world.s3.completions()) == 1


def assert_restored_once(halves: Halves, request_id: RequestId, *, ends_told: int = 1) -> None:
    status = halves.world.describe(request_id, limit=100, token=None)
    assert (status["state"], status["counts"]["restored"]) == (RequestState.COMPLETED, len(FILES))
    there = {key: content for key, (content, *_about) in halves.restored.files.items()}
    assert {key: there[f"demo/{request_id}/{key}"] for key in FILES} == FILES
    assert len([event for event in halves.world.told() if isinstance(event, RestoreCompleted)]) == ends_told


def asked_to_thaw(halves: Halves) -> int:
    return sum(operation == "RestoreObject" for operation, _key in halves.world.s3.asked)


def test_an_event_before_anybody_waits_is_nobody_s_and_who_asks_then_is_served_at_once(halves: Halves) -> None:
    archive = halves.put()
    thaw_by_somebody_else(halves, archive)
    halves.work(archive)

    request_id = halves.world.post(archive_id=archive)
    halves.world.drain()

    assert any(isinstance(event, ArchiveReadable) for event in halves.world.told())
    halves.work(archive)
    assert_restored_once(halves, request_id)
    assert asked_to_thaw(halves) == 1  # by somebody else


def test_an_event_before_the_message_that_would_ask_for_it_is_enough(halves: Halves) -> None:
    archive = halves.put()
    thaw_by_somebody_else(halves, archive)
    request_id = halves.world.post(archive_id=archive)

    halves.work(archive)
    halves.world.drain()

    assert_restored_once(halves, request_id)
    assert asked_to_thaw(halves) == 1


@pytest.mark.parametrize("hours", [0, 5, 24 * 30])
def test_an_event_again_changes_nothing_however_late(halves: Halves, hours: int) -> None:
    request_id, archive = halves.ask()
    halves.world.s3.advance(hours=12)
    halves.work(archive)
    assert_restored_once(halves, request_id)
    before = dict(halves.restored.files)

    halves.world.s3.advance(hours=hours)
    halves.work(archive)

    assert_restored_once(halves, request_id, ends_told=0)
    assert halves.restored.files == before


def test_an_event_that_comes_after_the_sweeper_has_done_its_work_changes_nothing(halves: Halves) -> None:
    request_id, archive = halves.ask()
    halves.world.s3.advance(hours=12, minutes=16)
    halves.world.sweep(at_most=100)
    assert any(isinstance(event, ArchiveReadable) for event in halves.world.told())
    halves.work(archive)  # the sweeper's
    assert_restored_once(halves, request_id)

    halves.work(archive)  # S3's

    assert_restored_once(halves, request_id, ends_told=0)
