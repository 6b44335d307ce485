"""The archives whose sources are held are found, and each is counted once."""

import pytest

from contract.packer.conftest import Ground, about
from contract.packer.test_earlier import archive, member
from fakes.packer_world import JOB, START
from glaciate.messages import DeleteArchivedSources
from glaciate.names import ArchiveId, archive_id
from packer.domain.archives import ArchiveState
from packer.ports import Unknown


def deleting(ground: Ground) -> None:
    ground.holds.hold(JOB, due_at=START)
    assert ground.holds.begin(JOB, now=START, look_again_at=START)


def waiting(ground: Ground, *, after: str | None = None) -> list[ArchiveId]:
    return [found.archive_id for found in ground.held.waiting(ground.jobs.load(JOB), after=after)]


def test_finished_archives_wait_in_order_until_they_are_dealt_with(ground: Ground) -> None:
    first, second, third = (archive(ground, member(f"in/{number}")) for number in range(3))
    archive(ground, member("in/9"), until="INDEXED")
    deleting(ground)
    place = next(ground.held.waiting(ground.jobs.load(JOB), after=None)).place

    assert waiting(ground) == [first.archive_id, second.archive_id, third.archive_id]
    assert waiting(ground, after=place) == [second.archive_id, third.archive_id]
    assert ground.held.dealt_with(second, deleted=1, left=0)
    assert waiting(ground) == [first.archive_id, third.archive_id]


def test_an_archive_is_counted_once(ground: Ground) -> None:
    found = archive(ground, member("in/1"), member("in/2"))
    deleting(ground)

    assert ground.held.dealt_with(found, deleted=1, left=1)
    assert not ground.held.dealt_with(found, deleted=2, left=0)

    hold = ground.holds.find(JOB)
    assert hold is not None
    assert (hold.archives, hold.deleted, hold.left) == (1, 1, 1)
    assert ground.held.load(about(DeleteArchivedSources, found)).sources_dealt_with


def test_nothing_is_counted_where_deletion_has_not_begun(ground: Ground) -> None:
    found = archive(ground, member("in/1"))
    ground.holds.hold(JOB, due_at=START)

    assert not ground.held.dealt_with(found, deleted=1, left=0)

    assert not ground.held.load(about(DeleteArchivedSources, found)).sources_dealt_with


def test_an_archive_is_loaded_with_its_seal(ground: Ground) -> None:
    found = archive(ground, member("in/1"), member("in/2"))

    loaded = ground.held.load(about(DeleteArchivedSources, found))

    assert (loaded.state, loaded.seal, loaded.vault_key) == (ArchiveState.DONE, found.seal, found.vault_key)
    assert not loaded.sources_dealt_with
    with pytest.raises(Unknown):
        ground.held.load(about(DeleteArchivedSources, found, number=archive_id(JOB, 77)))
