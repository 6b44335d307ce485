"""What is archived already is passed over, whatever the keys; what changed, or is not there any more, is archived again."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.packer_steps import Steps, drain
from fakes.packer_world import JOB, START, FakeObject, World
from faults import Killed
from glaciate.names import ArchiveId, JobId, archive_id
from glaciate.requests import Disposition
from packer.domain.archives import ArchiveState, JobState, Seal
from packer.domain.earlier import AlreadyArchived, EarlierArchive, KnownFile
from packer.domain.sources import SourceFile

SECOND = JobId("01aaaaa00002")
FILES = {f"in/{number:02}": b"line of text\n" * number for number in range(7)} | {"in/05-big": b"big" * 1000}
KEYS = st.text(alphabet='a!#"b/', min_size=1, max_size=4)
Held = dict[str, str]  # key to ETag


def file(key: str, etag: str = "e") -> SourceFile:
    return SourceFile(key, 1, etag, START)


class Shelf:
    """Archives in the order of their rows; counts the catalogs that are read."""

    def __init__(self, *held: Held) -> None:
        self.read: list[str] = []
        self._held: dict[ArchiveId, Held] = {}
        found = []
        for number, files in enumerate(held):
            name, keys = archive_id(JOB, number), sorted(files)
            self._held[name] = files
            seal = Seal(1, None, len(files), 1, START + timedelta(days=number))
            found.append(EarlierArchive(name, JOB, f"{keys[0]}#{name}", keys[0], keys[-1], "x", seal))
        self.archives = sorted(found, key=lambda archive: archive.row_order)

    def files(self, archive: EarlierArchive) -> Iterator[KnownFile]:
        self.read.append(archive.archive_id)
        for key, etag in sorted(self._held[archive.archive_id].items()):
            yield KnownFile(key, etag, has_tags=False)

    def look(self, listed: list[SourceFile], **options: int) -> set[str]:
        known = AlreadyArchived(iter(self.archives), self.files, with_tags=False, **options)
        return {each.key for each in listed if known(each)}


@given(
    st.lists(st.dictionaries(KEYS, st.sampled_from("efg"), min_size=1, max_size=6), max_size=6),
    st.dictionaries(KEYS, st.sampled_from("efg"), max_size=20),
)
@example([{"a": "e"}, {"a!": "e"}], {"a": "e", "a!": "e"})
@example([{"a": "e"}, {"a#b": "e"}], {"a": "e", "a#": "e", "a#b": "e"})
@example([{"a": "e"}, {"a": "f"}], {"a": "e"})
def test_a_file_is_known_where_the_newest_archive_of_its_key_has_its_etag(held: list[Held], listed: Held) -> None:
    files = [file(key, etag) for key, etag in sorted(listed.items())]
    newest: Held = {}
    for shelf in held:
        newest |= shelf

    assert Shelf(*held).look(files) == {each.key for each in files if newest.get(each.key) == each.etag}


def test_a_catalog_whose_keys_are_not_listed_any_more_is_not_read() -> None:
    shelf = Shelf({"a": "e", "b": "e"}, {"c": "e"}, {"d": "e", "f": "e"})

    assert shelf.look([file("b"), file("e"), file("g")]) == {"b"}
    assert shelf.read == [archive_id(JOB, 0), archive_id(JOB, 2)]


def test_of_too_many_archives_over_the_same_keys_the_newest_are_looked_at() -> None:
    held = [{"a": f"e{number}", f"m{number}": "e", "z": "e"} for number in range(9)]
    listed = [file("a", "e8"), *(file(f"m{number}") for number in range(9))]

    assert Shelf(*held).look(listed, most_open=3) == {"a", "m6", "m7", "m8"}
    assert Shelf(*held).look([file("a", "e5")], most_open=3) == set()


def test_a_listing_out_of_order_is_archived_again_rather_than_missed() -> None:
    assert Shelf({"a": "e", "b": "e", "c": "e"}).look([file("b"), file("a"), file("c")]) == {"b", "c"}


def archived_once(**order: object) -> World:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/", max_files=3, direct_threshold_bytes=2000, **order)
    drain(world)
    return world


def again(world: World, **order: object) -> None:
    world.accept(SECOND, **{"prefix": "in/", "max_files": 3, "direct_threshold_bytes": 2000, **order})
    drain(world)


def test_an_unchanged_prefix_is_archived_once() -> None:
    world = archived_once()
    before = dict(world.vault)

    again(world)

    record = world.jobs[SECOND]
    assert record.job.state is JobState.COMPLETED
    assert (record.job.listed, record.already_archived, record.planned, record.archives) == (8, 8, 0, 0)
    assert (record.skipped, world.skipped) == (0, {})
    assert world.vault == before


def test_what_is_new_or_changed_is_archived() -> None:
    world = archived_once()
    world.put({"in/01": b"changed", "in/new": b"new"})

    again(world)

    record = world.jobs[SECOND]
    assert (record.job.listed, record.already_archived, record.archived) == (9, 7, 2)
    second = [key for archive, key in world.index if archive.startswith(SECOND)]
    assert second == ["in/01", "in/new"]


def test_a_file_that_was_changed_back_is_archived_again_for_a_restore_brings_the_newest() -> None:
    world = archived_once()
    world.put({"in/01": b"changed"})
    again(world)
    world.put({"in/01": FILES["in/01"]})

    world.accept(JobId("01aaaaa00003"), prefix="in/", max_files=3, direct_threshold_bytes=2000)
    drain(world)

    assert (world.jobs[JobId("01aaaaa00003")].already_archived, world.jobs[JobId("01aaaaa00003")].archived) == (7, 1)


def test_a_wider_job_knows_what_a_narrower_one_archived_and_the_other_way_round() -> None:
    world = archived_once()
    world.put({"a": b"a", "z": b"z"})

    again(world, prefix="")
    world.accept(JobId("01aaaaa00003"), prefix="in/0")
    drain(world)

    assert world.jobs[SECOND].already_archived == 8
    assert world.jobs[JobId("01aaaaa00003")].already_archived == 8


@pytest.mark.parametrize("order", [{"rearchive": True}, {"disposition": Disposition.DELETE}], ids=str)
def test_all_is_archived_again_where_it_is_asked_for_or_the_sources_are_to_go(order: dict[str, object]) -> None:
    world = archived_once()

    again(world, **order)

    record = world.jobs[SECOND]
    assert (record.already_archived, record.archived) == (0, 8)
    assert bool(world.source) == ("rearchive" in order)


def test_a_file_archived_without_its_tags_is_archived_again_with_them_and_then_no_more() -> None:
    world = archived_once()

    again(world, preserve_tags=True)
    world.accept(JobId("01aaaaa00003"), prefix="in/", preserve_tags=True, direct_threshold_bytes=2000)
    drain(world)

    assert (world.jobs[SECOND].already_archived, world.jobs[SECOND].archived) == (0, 8)
    assert world.jobs[JobId("01aaaaa00003")].already_archived == 8


def test_an_archive_that_is_not_in_the_vault_any_more_holds_nothing() -> None:
    world = archived_once()
    gone = next(key for key in world.vault if key.endswith("0000.zip"))
    del world.vault[gone]

    again(world)

    assert (world.jobs[SECOND].already_archived, world.jobs[SECOND].archived) == (5, 3)


def test_an_archive_that_is_not_indexed_yet_does_not_count() -> None:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/", max_files=100)
    names = Steps()
    drain(_copy_of_nothing(), names)

    def stop() -> None:
        raise Killed

    with pytest.raises(Killed):
        drain(world, Steps(names.names.index("before FakeIndex.add") + 1, stop))
    world.queue.clear()
    again(world)

    (record,) = (each for name, each in world.archives.items() if name.startswith(JOB))
    assert record.archive.state is ArchiveState.SEALED
    assert world.jobs[SECOND].archived == 8


def _copy_of_nothing() -> World:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/", max_files=100)
    return world


def test_a_planner_that_dies_at_any_step_of_the_second_job_changes_nothing_in_the_end() -> None:
    counted = archived_once()
    counted.put({"in/01": b"changed", "in/new": b"new"})
    steps = Steps()
    counted.accept(SECOND, prefix="in/", max_files=3, direct_threshold_bytes=2000)
    drain(counted, steps)

    def die() -> None:
        raise Killed

    for at in range(1, steps.taken + 1):
        world = archived_once()
        world.put({"in/01": b"changed", "in/new": b"new"})
        world.accept(SECOND, prefix="in/", max_files=3, direct_threshold_bytes=2000)

        with pytest.raises(Killed):
            drain(world, Steps(at, die))
        drain(world)

        record = world.jobs[SECOND]
        assert (record.job.listed, record.already_archived, record.archived) == (9, 7, 2)
        assert world.source["in/01"] == FakeObject(b"changed", world.source["in/01"].modified)
