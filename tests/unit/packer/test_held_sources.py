"""Sources that are deleted some days after: held, kept or deleted, whoever dies or changes what at any step."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.packer_steps import Steps, drain
from fakes.packer_world import JOB, FakeObject, World
from faults import Killed
from glaciate.errors import Transient
from glaciate.events import ArchiveJobCompleted, SourcesDeleted
from glaciate.holds import DeletionBegan, Hold, HoldState
from glaciate.messages import DeleteArchivedSources, DeleteHeldSources
from glaciate.names import JobId
from glaciate.requests import DeleteAfterDays, Disposition
from packer.domain.archives import JobState

FILES = {f"in/{number:02}": b"line of text\n" * number for number in range(7)}
BIG = {"in/05-big": b"big" * 1000}
LATER = JobId("01aaaaa00002")
AFTER_30_DAYS = DeleteAfterDays(delete_after_days=30)


def archived() -> World:
    """A job has ended; its sources are held."""
    world = World()
    world.put(FILES | BIG)
    world.accept(prefix="in/", max_files=3, disposition=AFTER_30_DAYS, direct_threshold_bytes=2000)
    drain(world)
    return world


def sweep(world: World) -> None:
    """What archive-intake's schedule does when the day has come."""
    for job_id in world.holds.due(world.now, at_most=10):
        if world.holds.begin(job_id, now=world.now, look_again_at=world.now + timedelta(hours=1)):
            world.queue.append(DeleteHeldSources(correlation_id="c-1", job_id=job_id))


def due() -> World:
    """The day has come, and the command is sent."""
    world = archived()
    world.now += timedelta(days=31)
    sweep(world)
    return world


def hold_of(world: World) -> Hold:
    hold = world.holds.find(JOB)
    assert hold is not None
    return hold


def steps_of_deleting() -> Steps:
    steps = Steps()
    drain(due(), steps)
    return steps


def assert_deleted(world: World) -> None:
    assert world.source == {}
    assert sorted(world.members()) == sorted(FILES | BIG)
    hold = hold_of(world)
    assert (hold.state, hold.deleted, hold.left, hold.archives) == (HoldState.DELETED, 8, 0, 4)
    assert hold.announced
    assert world.holds.due(world.now + timedelta(days=1), at_most=10) == ()
    told = [event for event in world.heard if isinstance(event, SourcesDeleted)]
    assert {(event.deleted, event.left) for event in told} == {(8, 0)}
    assert world.queue == []


def test_the_sources_of_a_job_that_has_ended_are_held_and_people_are_told_until_when() -> None:
    world = archived()

    assert set(world.source) == set(FILES | BIG)
    assert world.record.job.state is JobState.COMPLETED
    assert world.record.finished_at is not None
    hold = hold_of(world)
    assert (hold.state, hold.due_at) == (HoldState.HELD, world.record.finished_at + timedelta(days=30))
    (event,) = (event for event in world.heard if isinstance(event, ArchiveJobCompleted))
    assert event.sources_due_at == hold.due_at


def test_nothing_is_deleted_before_the_day() -> None:
    world = archived()

    world.now += timedelta(days=29)
    sweep(world)
    drain(world)

    assert set(world.source) == set(FILES | BIG)


def test_the_sources_are_deleted_when_the_day_has_come_and_people_are_told() -> None:
    world = due()

    drain(world)

    assert_deleted(world)
    assert len(world.named("SourcesDeleted.v1")) == 1


def test_a_job_that_was_kept_while_it_ran_is_never_held() -> None:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/", disposition=AFTER_30_DAYS)
    world.holds.keep(JOB, now=world.now)
    drain(world)

    world.now += timedelta(days=31)
    sweep(world)
    drain(world)

    assert set(world.source) == set(FILES)
    (event,) = (event for event in world.heard if isinstance(event, ArchiveJobCompleted))
    assert event.sources_due_at is None


def test_a_job_that_archived_nothing_holds_nothing() -> None:
    world = World()
    world.accept(prefix="in/", disposition=AFTER_30_DAYS)

    drain(world)

    assert world.record.job.state is JobState.COMPLETED
    assert world.holds.rows == {}


@pytest.mark.parametrize("disposition", list(Disposition))
def test_other_jobs_hold_nothing(disposition: Disposition) -> None:
    world = World()
    world.put(FILES)
    world.accept(prefix="in/", disposition=disposition)

    drain(world)

    assert world.holds.rows == {}


def test_a_worker_that_dies_at_any_step_of_deleting_changes_nothing_in_the_end() -> None:
    def die() -> None:
        raise Killed

    for at in range(1, steps_of_deleting().taken + 1):
        world = due()

        with pytest.raises(Killed):
            drain(world, Steps(at, die))
        drain(world)

        assert_deleted(world)


def test_a_worker_that_dies_at_any_step_of_the_job_still_holds_its_sources() -> None:
    def die() -> None:
        raise Killed

    def job() -> World:
        world = World()
        world.put({"in/1": b"1", "in/2": b"2"})
        world.accept(prefix="in/", disposition=AFTER_30_DAYS)
        return world

    steps = Steps()
    drain(job(), steps)
    for at in range(1, steps.taken + 1):
        world = job()

        with pytest.raises(Killed):
            drain(world, Steps(at, die))
        drain(world)

        assert hold_of(world).state is HoldState.HELD
        assert set(world.source) == {"in/1", "in/2"}
        world.now += timedelta(days=31)
        sweep(world)
        drain(world)
        assert world.source == {}


def test_a_transient_failure_at_any_step_of_deleting_changes_nothing_in_the_end() -> None:
    def fail() -> None:
        raise Transient("SlowDown")

    for at in range(1, steps_of_deleting().taken + 1):
        world = due()

        drain(world, Steps(at, fail))

        assert_deleted(world)


def test_a_second_worker_with_every_message_at_any_step_changes_nothing_in_the_end() -> None:
    for at in range(1, steps_of_deleting().taken + 1):
        world = due()

        def meanwhile(world: World = world) -> None:
            world.queue.extend(command for command in [world.in_hand] if command)
            drain(world)

        drain(world, Steps(at, meanwhile))

        assert_deleted(world)


def test_lost_commands_are_sent_again_by_a_later_sweep() -> None:
    steps = steps_of_deleting()
    for at in [at for at, name in enumerate(steps.names, 1) if name == "after World.send"]:
        world = due()

        def lose(world: World = world) -> None:
            world.queue.clear()

        drain(world, Steps(at, lose))
        assert hold_of(world).state is HoldState.DELETING
        world.now += timedelta(hours=1)
        sweep(world)
        drain(world)

        assert_deleted(world)


def test_every_message_again_long_after_the_end_changes_nothing() -> None:
    world = due()
    commands = [*world.queue]
    steps = Steps()
    drain(world, steps)
    world.put({"in/01": FILES["in/01"]})  # somebody brought it back, just as it was

    for record in world.archives.values():
        found = record.archive
        commands.append(
            DeleteArchivedSources(
                correlation_id="c-1",
                job_id=JOB,
                archive_id=found.archive_id,
                project=found.project,
                bucket=found.bucket,
                first_key=found.first_key,
            )
        )
    world.queue.extend(commands)
    drain(world)

    assert set(world.source) == {"in/01"}
    assert len(world.named("SourcesDeleted.v1")) == 1


@pytest.mark.parametrize("key", ["in/02", "in/05-big"])
@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_source_that_changes_at_any_step_is_not_lost(key: str, change: str) -> None:
    new = b"new" * 1000
    for at in range(1, steps_of_deleting().taken + 1):
        world = due()

        def meddle(world: World = world) -> None:
            if change == "rewritten":
                world.source[key] = FakeObject(new, world.now)
            else:
                world.source.pop(key, None)

        drain(world, Steps(at, meddle))

        hold = hold_of(world)
        assert hold.state is HoldState.DELETED
        assert hold.deleted + hold.left == 8
        assert set(world.source) == ({key} if change == "rewritten" else set())
        if change == "rewritten":
            assert world.source[key].body == new
        if hold.left:
            assert world.skipped[key] == "archived, but the source was rewritten since and is kept"


def test_a_keep_at_any_step_is_either_refused_or_keeps_everything() -> None:
    answered = set()
    sweeping = 3
    for at in range(sweeping + 1):
        world = archived()
        world.now += timedelta(days=31)
        (job_id,) = world.holds.due(world.now, at_most=10)
        moments: list[Callable[[], object]] = [
            lambda world=world: world.holds.begin(JOB, now=world.now, look_again_at=world.now + timedelta(hours=1)),
            lambda world=world: world.queue.append(DeleteHeldSources(correlation_id="c-1", job_id=JOB)),
            lambda world=world: drain(world),
        ]

        kept = None
        for moment, do in enumerate([*moments, lambda: None]):
            if moment == at:
                try:
                    kept = world.holds.keep(job_id, now=world.now).state is HoldState.KEPT
                except DeletionBegan:
                    kept = False
            do()

        answered.add(kept)
        assert bool(world.source) == kept
        if kept:
            assert set(world.source) == set(FILES | BIG)
    assert answered == {True, False}


@pytest.mark.parametrize("damage", ["gone", "another"])
def test_sources_whose_archive_is_not_in_the_vault_any_more_are_left_and_reported(damage: str) -> None:
    world = due()
    gone = next(key for key in world.vault if key.endswith("0000.zip"))
    if damage == "gone":
        del world.vault[gone]
    else:
        world.vault[gone] = replace(world.vault[gone], body=world.vault[gone].body[::-1])

    drain(world)

    assert set(world.source) == {"in/00", "in/01", "in/02"}
    hold = hold_of(world)
    assert (hold.state, hold.deleted, hold.left) == (HoldState.DELETED, 5, 3)
    assert set(world.skipped) == set(world.source)
    assert "not in the vault" in world.skipped["in/00"]


def again(world: World, **order: object) -> None:
    world.accept(LATER, **{"prefix": "in/", "direct_threshold_bytes": 2000, "disposition": AFTER_30_DAYS, **order})
    drain(world)


@pytest.mark.parametrize("state", [HoldState.HELD, HoldState.DELETING])
def test_files_that_another_job_is_to_delete_are_passed_over_by_the_next_one(state: HoldState) -> None:
    world = archived()
    world.holds.rows[JOB] = replace(hold_of(world), state=state)
    world.put({"in/new": b"new"})

    again(world)

    assert (world.jobs[LATER].already_archived, world.jobs[LATER].archived) == (8, 1)


@pytest.mark.parametrize("why", ["kept", "archived by a job that keeps", "brought back after their deletion"])
def test_files_that_nobody_else_will_delete_are_archived_by_the_job_that_is_to_delete_them(why: str) -> None:
    world = archived()
    if why == "kept":
        world.holds.keep(JOB, now=world.now)
    elif why == "archived by a job that keeps":
        world.holds.rows.clear()
    else:
        world.holds.rows[JOB] = replace(hold_of(world), state=HoldState.DELETED)

    again(world)

    assert (world.jobs[LATER].already_archived, world.jobs[LATER].archived) == (0, 8)


def test_a_file_changed_back_to_what_is_held_is_archived_as_the_newest_again() -> None:
    world = archived()
    old = world.source["in/01"]
    world.put({"in/01": b"changed"})
    world.accept(JobId("01aaaaa00003"), prefix="in/", disposition=Disposition.KEEP)
    drain(world)
    world.source["in/01"] = old

    again(world)

    assert (world.jobs[LATER].already_archived, world.jobs[LATER].archived) == (7, 1)


def test_a_job_that_keeps_passes_over_what_another_holds() -> None:
    world = archived()

    again(world, disposition=Disposition.KEEP)

    assert (world.jobs[LATER].already_archived, world.jobs[LATER].archived) == (8, 0)
