"""Never lose a file: the worker dies, or the world changes, at every single step; the end is the same."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.packer_steps import Steps, drain
from fakes.packer_world import JOB, FakeObject, World, build
from faults import Killed
from glaciate.catalog import read_catalog
from glaciate.errors import Busy, Transient
from glaciate.messages import PackArchive, PlanArchives
from glaciate.requests import Disposition
from packer.domain.archives import ArchiveState, JobState

FILES = {f"in/{number:02}": b"line of text\n" * number for number in range(7)}
BIG = {"in/05-big": b"big" * 1000}


def new_world(disposition: Disposition = Disposition.DELETE) -> World:
    world = World()
    world.put(FILES | BIG)
    world.put({"in/frozen": b"ice"}, storage_class="GLACIER")
    world.accept(prefix="in/", max_files=3, disposition=disposition, direct_threshold_bytes=2000)
    return world


def count_steps(disposition: Disposition = Disposition.DELETE) -> Steps:
    steps = Steps()
    drain(new_world(disposition), steps)
    return steps


def steps_of(share: int) -> range:
    """A quarter of all steps."""
    return range(1 + share, count_steps().taken + 1, 4)


def assert_nothing_is_lost(world: World) -> None:
    """What holds whatever happened."""
    indexed = [key for _, key in world.index]
    assert sorted(indexed) == sorted(world.members()), "every member is indexed, once"
    for archive_id, record in world.archives.items():
        assert record.archive.state.has_ended
        if record.archive.vault_key in world.vault:
            stored = world.vault[record.archive.vault_key]
            catalog, draft = world.catalogs[archive_id]
            assert (draft.size_bytes, draft.checksum) == (len(stored.body), stored.checksum)
            assert stored.storage_class == "DEEP_ARCHIVE"
            assert len(read_catalog(catalog).members) == draft.members
    assert len(world.vault) == world.completions, "an archive's object is written once"
    assert not world.open_uploads, "no upload is left open"
    assert world.record.job.state.has_ended
    assert world.record.announced


def assert_all_is_archived(world: World) -> None:
    assert_nothing_is_lost(world)
    assert world.record.job.state is JobState.COMPLETED
    assert sorted(world.members()) == sorted(FILES | BIG)
    assert set(world.source) == {"in/frozen"}
    record = world.record
    assert (record.job.listed, record.planned, record.archived, record.skipped, record.failed) == (9, 8, 8, 1, 0)
    assert (record.archives, record.archives_failed) == (4, 0)
    assert record.bytes_in == sum(map(len, (FILES | BIG).values()))
    assert record.bytes_out == sum(len(found.body) for found in world.vault.values())
    assert world.skipped == {"in/frozen": "it is in storage class GLACIER already"}


def test_a_job_runs_to_its_end() -> None:
    world = new_world()

    drain(world)

    assert_all_is_archived(world)
    assert len(world.named("ArchiveSealed.v1")) == 4
    assert len(world.named("ArchiveJobCompleted.v1")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_a_worker_that_dies_at_any_step_changes_nothing_in_the_end(share: int) -> None:
    def die() -> None:
        raise Killed

    for at in steps_of(share):
        world = new_world()

        with pytest.raises(Killed):
            drain(world, Steps(at, die))
        drain(world)

        assert_all_is_archived(world)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_a_transient_failure_at_any_step_changes_nothing_in_the_end(share: int) -> None:
    def fail() -> None:
        raise Transient("SlowDown")

    for at in steps_of(share):
        world = new_world()

        drain(world, Steps(at, fail))

        assert_all_is_archived(world)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_a_second_worker_that_takes_everything_over_at_any_step_changes_nothing_in_the_end(share: int) -> None:
    """The first one's lease is thought to have run out, and its messages come to another: then it goes on, late."""
    for at in steps_of(share):
        world = new_world()

        def take_over(world: World = world) -> None:
            world.now += timedelta(hours=1)
            world.queue.extend(command for command in [world.in_hand] if command)
            drain(world)

        drain(world, Steps(at, take_over))

        assert_all_is_archived(world)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_a_worker_that_was_taken_over_while_a_source_could_not_be_read_spoils_nothing(share: int) -> None:
    """The second worker's archives lack the source; the first one, late, has read it and would say that it is archived."""
    for at in steps_of(share):
        world = new_world()

        def take_over(world: World = world) -> None:
            world.unreadable.add("in/01")
            world.now += timedelta(hours=1)
            world.queue.extend(command for command in [world.in_hand] if command)
            drain(world)
            world.unreadable.discard("in/01")

        drain(world, Steps(at, take_over))

        assert_nothing_is_lost(world)
        assert "in/01" in world.source or "in/01" in world.members()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["in/02", "in/05-big"])
@pytest.mark.parametrize("disposition", list(Disposition))
@pytest.mark.parametrize("change", ["rewritten", "deleted", "unreadable"])
def test_a_source_that_changes_at_any_step_is_archived_or_reported_and_never_lost(
    key: str, disposition: Disposition, change: str
) -> None:
    names = count_steps(disposition).names
    first_and_last = {names.index(name) for name in names} | {
        len(names) - 1 - names[::-1].index(name) for name in names
    }
    for at in (step + 1 for step in first_and_last):
        world = new_world(disposition)
        before = world.source[key]

        def meddle(world: World = world, before: FakeObject = before) -> None:
            if change == "rewritten":
                world.source[key] = replace(before, body=b"new" * 1000)
            elif change == "deleted":
                world.source.pop(key, None)
            else:
                world.unreadable.add(key)

        drain(world, Steps(at, meddle))

        assert_nothing_is_lost(world)
        if change == "rewritten":
            new = replace(before, body=b"new" * 1000)
            archived = {member.key: member.etag for member in world.archived()}
            assert world.source.get(key) == new or archived[key] == new.etag, "the new content is not lost"
        if key not in world.members():
            assert change == "deleted" or key in world.source
            listed_after = world.record.planned == 7
            assert key in world.skipped or listed_after
        if world.record.job.state is JobState.COMPLETED:
            assert world.record.archived == world.record.planned


def test_a_source_rewritten_between_index_and_delete_is_kept_and_reported() -> None:
    world = new_world()
    steps = count_steps()
    at = steps.names.index("before FakeSources.delete") + 1

    def rewrite() -> None:
        world.source["in/02"] = FakeObject(b"new", world.now)

    drain(world, Steps(at, rewrite))

    assert world.source["in/02"].body == b"new"
    assert world.skipped["in/02"] == "archived, but the source was rewritten since and is kept"
    assert world.record.job.state is JobState.COMPLETED


def test_an_archive_whose_every_member_vanished_is_done_without_an_object() -> None:
    world = World()
    world.put(FILES)
    command = world.accept(prefix="in/")
    build(world)[PlanArchives](command)

    world.source.clear()
    drain(world)

    (record,) = world.archives.values()
    assert record.archive.state is ArchiveState.DONE
    assert not world.vault
    assert not world.index
    assert world.record.job.state is JobState.PARTIAL
    assert set(world.skipped) == set(FILES)
    assert world.record.skipped == len(FILES)


def test_another_object_under_the_archives_name_fails_loudly_and_touches_no_source() -> None:
    world = new_world()
    key = f"archives/demo/{JOB}0000.zip"
    world.vault[key] = FakeObject(b"somebody else's", world.now, "DEEP_ARCHIVE")

    drain(world)

    record = world.archives[next(iter(world.archives))]
    assert record.archive.state is ArchiveState.FAILED
    assert key in (record.reason or "")
    assert world.vault[key].body == b"somebody else's"
    assert {"in/00", "in/01", "in/02"} <= set(world.source)
    assert world.record.job.state is JobState.PARTIAL
    assert (world.record.failed, world.record.archives_failed) == (3, 1)


def test_a_damaged_object_in_the_vault_fails_the_archive_and_keeps_the_sources() -> None:
    world = new_world()
    steps = count_steps()
    at = steps.names.index("after FakeUpload.complete") + 1

    def damage() -> None:
        (key,) = world.vault
        world.vault[key] = replace(world.vault[key], body=world.vault[key].body[:-1] + b"?")

    drain(world, Steps(at, damage))

    assert {"in/00", "in/01", "in/02"} <= set(world.source)
    assert world.record.archives_failed == 1
    assert not [key for _, key in world.index if key in {"in/00", "in/01", "in/02"}]


def test_a_live_lease_sends_the_message_back_until_it_runs_out() -> None:
    world = new_world()
    at = count_steps().names.index("before FakeUpload.write") + 1
    seen: list[Callable[[], None]] = []

    def meet() -> None:
        archive = next(iter(world.archives.values())).archive
        message = PackArchive(
            correlation_id="c-1",
            job_id=JOB,
            archive_id=archive.archive_id,
            project=archive.project,
            bucket=archive.bucket,
            first_key=archive.first_key,
        )
        with pytest.raises(Busy) as busy:
            build(world)[PackArchive](message)
        assert busy.value.retry_after_seconds == 301
        seen.append(meet)

    drain(world, Steps(at, meet))

    assert seen
    assert_all_is_archived(world)


def test_the_last_message_again_after_the_end_tells_nothing_twice() -> None:
    world = new_world()
    command = world.queue[0]
    drain(world)

    world.queue.append(command)
    drain(world)

    assert_all_is_archived(world)
    assert len(world.named("ArchiveJobCompleted.v1")) == 1


@pytest.mark.parametrize("preserve_tags", [True, False])
def test_tags_are_in_the_catalog_where_they_are_asked_for(preserve_tags: bool) -> None:
    world = World()
    world.put({"in/1": b"1", "in/big": b"big" * 1000}, tags={"colour": "blue"})
    world.put({"in/2": b"2"})
    world.accept(prefix="in/", direct_threshold_bytes=2000, preserve_tags=preserve_tags)

    drain(world)

    tags = {member.key: member.tags for member in world.archived()}
    blue = {"colour": "blue"} if preserve_tags else None
    assert tags == {"in/1": blue, "in/big": blue, "in/2": {} if preserve_tags else None}
    (copy,) = (found for key, found in world.vault.items() if key.endswith(".object"))
    assert copy.tags == (blue or {})


def test_a_file_whose_tags_are_denied_is_skipped_and_its_source_kept() -> None:
    world = World()
    world.put({"in/1": b"1", "in/2": b"2", "in/big": b"big" * 1000}, tags={"colour": "blue"})
    world.tags_denied |= {"in/2", "in/big"}
    world.accept(prefix="in/", direct_threshold_bytes=2000, preserve_tags=True, disposition=Disposition.DELETE)

    drain(world)

    assert set(world.source) == set(world.skipped) == {"in/2", "in/big"}
    assert set(world.skipped.values()) == {"its tags, which were asked for, can't be read: AccessDenied"}
    assert world.record.job.state is JobState.PARTIAL
    assert world.members() == ["in/1"]
