"""An index that was lost is written again from the catalogs, whoever dies meanwhile."""

from dataclasses import replace

import pytest

from fakes.packer_steps import Steps, drain
from fakes.packer_world import JOB, World, build
from faults import Killed
from glaciate.messages import IndexArchive, PlanArchives, RebuildIndex
from glaciate.names import ArchiveId, ProjectName
from packer.domain.archives import ArchiveState
from packer.ports import NotIndexed

FILES = {f"in/{number:02}": b"line of text\n" * number for number in range(12)}
BIG = {"in/05-big": b"big" * 1000}
VANISHED = "in/03"


def archived() -> World:
    """A job has ended."""
    world = World()
    world.put(FILES | BIG)
    world.accept(prefix="in/", max_files=3, direct_threshold_bytes=2000)
    drain(world)
    return world


def lost(project: str | None = "demo") -> World:
    """Then its index was lost, and the command to write it again is sent."""
    world = archived()
    world.index.clear()
    world.queue.append(RebuildIndex(correlation_id="c-1", project=project and ProjectName(project)))
    return world


@pytest.mark.parametrize("project", ["demo", None])
def test_every_file_is_found_again_as_it_was(project: str | None) -> None:
    world = lost(project)

    drain(world)

    assert world.index == archived().index
    assert {key for _, key in world.index} == set(FILES | BIG)
    assert world.queue == []


def test_other_projects_are_left_alone() -> None:
    world = lost("another")

    drain(world)

    assert not world.index


def test_a_file_that_is_not_in_its_archive_gets_no_row() -> None:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/")
    build(world)[PlanArchives](world.queue.pop(0))
    world.source.pop(VANISHED)
    drain(world)
    world.index.clear()
    world.queue.append(RebuildIndex(correlation_id="c-1"))

    drain(world)

    assert sorted(key for _, key in world.index) == sorted(set(FILES) - {VANISHED})


def test_a_worker_that_dies_at_any_step_changes_nothing_in_the_end() -> None:
    reference, steps = lost(), Steps()
    drain(reference, steps)
    assert steps.taken > 30

    for at in range(1, steps.taken + 1):
        world = lost()

        def die() -> None:
            raise Killed

        with pytest.raises(Killed):
            drain(world, Steps(at=at, do=die))
        drain(world)

        assert world.index == reference.index, steps.names[at - 1]


def message_for(world: World, archive_id: ArchiveId) -> IndexArchive:
    archive = world.archives[archive_id].archive
    return IndexArchive(
        correlation_id="c-1",
        job_id=JOB,
        archive_id=archive_id,
        project=archive.project,
        bucket=archive.bucket,
        first_key=archive.first_key,
    )


def test_a_catalog_of_another_object_is_not_believed_and_its_message_stays() -> None:
    world = lost()
    first, second, *_ = sorted(world.archives)
    world.catalogs[first] = world.catalogs[second]

    with pytest.raises(NotIndexed):
        build(world)[IndexArchive](message_for(world, first))

    assert not world.index


def test_an_archive_that_is_not_indexed_yet_is_left_to_who_packs_it() -> None:
    world = lost()
    archive_id = min(world.archives)
    record = world.archives[archive_id]
    record.archive = replace(record.archive, state=ArchiveState.SEALED)

    build(world)[IndexArchive](message_for(world, archive_id))

    assert not world.index
