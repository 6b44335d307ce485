"""The archives whose index rows are to be written again: those that were indexed, of a project or of all, each once."""

import pytest

from contract.packer.conftest import Ground, about
from contract.packer.test_earlier import archive, member
from fakes.packer_world import JOB
from glaciate.messages import IndexArchive
from glaciate.names import ProjectName, archive_id
from packer.domain.archives import ArchiveState
from packer.ports import Unknown


def test_archives_that_were_indexed_and_have_members_are_found(ground: Ground) -> None:
    for key, state in (("1", "PACKING"), ("2", "SEALED"), ("3", "INDEXED"), ("4", "DONE")):
        archive(ground, member(f"in/{key}"), until=state)
    archive(ground, member("in/5"), planned=1)

    found = tuple(ground.to_index.found(None, after=None))

    assert [(one.first_key, one.job_id, one.project, one.bucket) for one in found] == [
        ("in/3", JOB, "demo", "source"),
        ("in/4", JOB, "demo", "source"),
    ]


def test_only_a_project_s_own_are_found(ground: Ground) -> None:
    archive(ground, member("in/1"))

    assert len(tuple(ground.to_index.found(ProjectName("demo"), after=None))) == 1
    assert not tuple(ground.to_index.found(ProjectName("dem"), after=None))


def test_the_rest_is_found_from_any_place_on(ground: Ground) -> None:
    for number in range(5):
        archive(ground, member(f"in/{number}"))
    everything = tuple(ground.to_index.found(None, after=None))
    assert len({one.archive_id for one in everything}) == 5

    for number, one in enumerate(everything, start=1):
        assert tuple(ground.to_index.found(None, after=one.place)) == everything[number:]


def test_an_archive_is_loaded_as_it_was_sealed(ground: Ground) -> None:
    found = archive(ground, member("in/1"), member("in/2"))

    loaded = ground.to_index.load(about(IndexArchive, found))

    assert (loaded.state, loaded.seal) == (ArchiveState.DONE, found.seal)
    with pytest.raises(Unknown):
        ground.to_index.load(about(IndexArchive, found, number=archive_id(JOB, 77)))
