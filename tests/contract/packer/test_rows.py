"""Jobs and archives move by conditions: once, twice, and against others."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from contract.packer.conftest import Ground
from fakes.packer_world import JOB
from glaciate.errors import Busy
from glaciate.events import Outcome
from glaciate.messages import PackArchive
from glaciate.names import ArchiveId, JobId, archive_id
from packer.domain.archives import Archive, ArchiveState, Job, JobState, NewArchive, Seal
from packer.domain.planning import PlannedArchive, Span
from packer.ports import LostRace, Unknown

SEAL = Seal(
    size_bytes=500, checksum="AAAAAAAAAAA=", members=2, bytes_in=900, sealed_at=datetime(2026, 7, 1, tzinfo=UTC)
)


def span_of(*keys: str, skipped: int = 0, already: int = 0) -> Span:
    planned = PlannedArchive("zip", keys[0], keys[-1], len(keys), 300 * len(keys), gzip.compress(b""))
    return Span(keys[-1], len(keys) + skipped + already, len(keys), skipped, already, (planned,), b"")


def new(job: Job, span: Span) -> tuple[NewArchive, ...]:
    return tuple(
        NewArchive(archive_id(JOB, job.next_number + place), planned, "plans/x", f"archives/{place}.zip")
        for place, planned in enumerate(span.archives)
    )


def plan(ground: Ground, *keys: str, skipped: int = 0) -> Job:
    ground.jobs.begin_planning(JOB)
    job = ground.jobs.load(JOB)
    span = span_of(*keys, skipped=skipped)
    return ground.jobs.record(job, span, new(job, span))


def message(number: int = 0, first_key: str = "in/a") -> PackArchive:
    return PackArchive.model_validate(
        {
            "correlation_id": "c-1",
            "job_id": JOB,
            "archive_id": archive_id(JOB, number),
            "project": "demo",
            "bucket": "source",
            "first_key": first_key,
        }
    )


def through(ground: Ground, archive: Archive, seal: Seal = SEAL) -> Archive:
    return ground.archives.finish(ground.archives.mark_indexed(ground.archives.seal(archive, seal)))


def test_planning_begins_once_and_remembers_where_it_is(ground: Ground) -> None:
    moved = plan(ground, "in/a", "in/b", "in/c", skipped=2)
    ground.jobs.begin_planning(JOB)

    job = ground.jobs.load(JOB)

    assert job == moved
    assert (job.state, job.checkpoint_key, job.next_number, job.listed) == (JobState.PLANNING, "in/c", 1, 5)
    assert job.last_planned == ((archive_id(JOB, 0), "in/a"),)
    assert (ground.counts()["planned"], ground.counts()["skipped"]) == (3, 2)


def test_what_is_archived_already_is_counted_and_told(ground: Ground) -> None:
    ground.jobs.begin_planning(JOB)
    job = ground.jobs.load(JOB)
    span = span_of("in/a", already=7)

    moved = ground.jobs.record(job, span, new(job, span))
    through(ground, ground.archives.claim(message(), owner="me"), replace(SEAL, members=1))
    ground.jobs.finish_planning(moved)

    assert (moved.listed, ground.counts()["planned"], ground.counts()["skipped"]) == (8, 1, 0)
    event = ground.jobs.close_if_last(JOB)
    assert event is not None
    assert (event.outcome, event.already_archived) == (Outcome.COMPLETED, 7)


def test_of_two_planners_one_loses_and_leaves_nothing(ground: Ground) -> None:
    before = ground.jobs.load(JOB)
    plan(ground, "in/a", "in/b")
    late = span_of("in/other")

    with pytest.raises(LostRace):
        ground.jobs.record(before, late, new(before, late))
    with pytest.raises(LostRace):
        ground.jobs.finish_planning(before)

    assert ground.jobs.load(JOB).checkpoint_key == "in/b"
    assert ground.archives.claim(message(), owner="me").first_key == "in/a"
    assert ground.counts()["planned"] == 2


def test_a_planner_that_comes_after_the_end_of_planning_loses(ground: Ground) -> None:
    job = plan(ground, "in/a")
    ground.jobs.finish_planning(job)
    span = span_of("in/b")

    with pytest.raises(LostRace):
        ground.jobs.record(job, span, new(job, span))


def test_an_archive_goes_through_its_states_and_is_counted_once(ground: Ground) -> None:
    ground.jobs.finish_planning(plan(ground, "in/a", "in/b", "in/c"))

    claimed = ground.archives.claim(message(), owner="me")
    indexed = ground.archives.mark_indexed(ground.archives.seal(claimed, SEAL))
    done = ground.archives.finish(indexed)

    assert (claimed.state, done.state) == (ArchiveState.PACKING, ArchiveState.DONE)
    assert (claimed.planned_files, claimed.planned_bytes, claimed.kind, claimed.plan_key) == (3, 900, "zip", "plans/x")
    counts = ground.counts()
    assert (counts["archives"], counts["archived"], counts["skipped"]) == (1, 2, 1)
    assert (counts["bytes_in"], counts["bytes_out"]) == (900, 500)
    with pytest.raises(LostRace):
        ground.archives.finish(indexed)
    assert ground.counts() == counts


def test_a_live_lease_keeps_others_out_and_says_for_how_long(ground: Ground) -> None:
    plan(ground, "in/a")
    ground.archives.claim(message(), owner="me")

    with pytest.raises(Busy) as busy:
        ground.archives.claim(message(), owner="other")

    assert busy.value.retry_after_seconds == 301


def test_a_lease_that_ran_out_is_taken_over_and_the_late_one_can_do_nothing(ground: Ground) -> None:
    plan(ground, "in/a", "in/b")
    late = ground.archives.claim(message(), owner="late")
    ground.pass_time(seconds=301)

    mine = ground.archives.claim(message(), owner="me")

    for attempt in (
        lambda: ground.archives.seal(late, SEAL),
        lambda: ground.archives.fail(late, "too late"),
    ):
        with pytest.raises(LostRace):
            attempt()
    assert through(ground, mine).state is ArchiveState.DONE
    assert ground.counts()["archives_failed"] == 0


def test_a_lease_given_back_lets_the_next_one_in_at_once(ground: Ground) -> None:
    plan(ground, "in/a")
    mine = ground.archives.claim(message(), owner="me")

    with pytest.raises(KeyError), ground.archives.held(mine):
        raise KeyError

    assert ground.archives.claim(message(), owner="other").lease_owner == "other"


def test_a_later_claim_finds_the_seal(ground: Ground) -> None:
    plan(ground, "in/a", "in/b")
    ground.archives.seal(ground.archives.claim(message(), owner="me"), SEAL)
    ground.pass_time(seconds=301)

    again = ground.archives.claim(message(), owner="other")

    assert (again.state, again.seal) == (ArchiveState.SEALED, SEAL)


def test_a_failed_archive_counts_its_files_once_and_stays_failed(ground: Ground) -> None:
    ground.jobs.finish_planning(plan(ground, "in/a", "in/b"))
    mine = ground.archives.claim(message(), owner="me")

    ground.archives.fail(mine, "the vault holds another object")

    with pytest.raises(LostRace):
        ground.archives.fail(mine, "again")
    assert ground.archives.claim(message(), owner="other").state is ArchiveState.FAILED
    assert (ground.counts()["archives_failed"], ground.counts()["failed"]) == (1, 2)
    event = ground.jobs.close_if_last(JOB)
    assert event is not None
    assert event.outcome is Outcome.FAILED


def test_a_job_ends_with_its_last_archive_and_tells_until_it_is_marked_as_told(ground: Ground) -> None:
    job = plan(ground, "in/a", "in/b")
    through(ground, ground.archives.claim(message(), owner="me"))
    assert ground.jobs.close_if_last(JOB) is None, "planning goes on"
    ground.jobs.finish_planning(job)

    event = ground.jobs.close_if_last(JOB)

    assert event is not None
    assert ground.jobs.close_if_last(JOB) == event
    assert (event.outcome, event.archived, event.archives) == (Outcome.COMPLETED, 2, 1)
    assert (event.bucket, event.prefix, event.bytes_in, event.bytes_out) == ("source", "in/", 900, 500)
    ground.jobs.mark_announced(JOB)
    assert ground.jobs.close_if_last(JOB) is None
    assert ground.jobs.load(JOB).state is JobState.COMPLETED


def test_a_job_with_a_skipped_file_is_partial(ground: Ground) -> None:
    ground.jobs.finish_planning(plan(ground, "in/a", "in/b", "in/c"))
    through(ground, ground.archives.claim(message(), owner="me"))

    event = ground.jobs.close_if_last(JOB)

    assert event is not None
    assert (event.outcome, event.skipped) == (Outcome.PARTIAL, 1)


def test_planning_that_failed_fails_the_job_with_its_reason(ground: Ground) -> None:
    ground.jobs.begin_planning(JOB)
    ground.jobs.finish_planning(ground.jobs.load(JOB), reason="2 files are there")

    event = ground.jobs.close_if_last(JOB)

    assert event is not None
    assert (event.outcome, event.reason) == (Outcome.FAILED, "2 files are there")


def test_what_nobody_knows_is_said_so(ground: Ground) -> None:
    with pytest.raises(Unknown):
        ground.jobs.load(JobId("01zzzzz00001"))
    with pytest.raises(Unknown):
        ground.archives.claim(message(7), owner="me")


def test_archive_ids_do_not_collide_over_spans(ground: Ground) -> None:
    plan(ground, "in/a")
    job = plan(ground, "in/b")

    assert job.next_number == 2
    assert ground.archives.claim(message(1, "in/b"), owner="me").archive_id == ArchiveId(f"{JOB}0001")
