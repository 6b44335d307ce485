"""Held sources: deleted when due, kept on request, and shown."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus

import pytest

from archive_intake.application.holding import DeleteDue, KeepSources
from archive_intake.domain.answers import sources_of
from archive_intake.domain.jobs import Counts, Job, JobState
from fakes.archive_intake import FakeJobs
from fakes.archive_jobs import NOW, a_job
from fakes.holds import FakeHolds
from fakes.outbox import FakeCommandQueue
from glaciate.errors import Problem, Transient
from glaciate.holds import HoldState
from glaciate.messages import DeleteHeldSources
from glaciate.names import JobId

DUE = NOW + timedelta(days=30)


@dataclass
class Place:
    jobs: FakeJobs = field(default_factory=FakeJobs)
    holds: FakeHolds = field(default_factory=FakeHolds)
    queue: FakeCommandQueue = field(default_factory=FakeCommandQueue)
    now: datetime = NOW

    def job(self, disposition: object = None, **fields: object) -> Job:
        job = a_job(disposition=disposition or {"delete_after_days": 30})
        job = replace(job, **{"state": JobState.COMPLETED, "counts": Counts(archived=5), **fields})  # type: ignore[arg-type]
        self.jobs.rows[job.job_id] = job
        return job

    def held(self) -> JobId:
        job_id = self.job().job_id
        self.holds.hold(job_id, due_at=DUE)
        return job_id

    def sweep(self) -> int:
        return DeleteDue(self.jobs, self.holds, self.queue, lambda: self.now)()

    def keep(self, job_id: str) -> HoldState | None:
        answer = KeepSources(self.jobs, self.holds, lambda: self.now)(job_id)
        return answer.sources.state if answer.sources else None

    def refused(self, job_id: str) -> Problem:
        with pytest.raises(Problem) as problem:
            self.keep(job_id)
        return problem.value


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_job_whose_day_has_come_gets_one_command(place: Place) -> None:
    job_id = place.held()
    assert place.sweep() == 0

    place.now = DUE
    assert place.sweep() == 1
    assert place.sweep() == 0

    (command,) = place.queue.sent
    assert isinstance(command, DeleteHeldSources)
    assert (command.job_id, command.after) == (job_id, None)
    assert command.correlation_id == place.jobs.rows[job_id].correlation_id


def test_a_command_that_was_not_sent_is_sent_an_hour_later(place: Place) -> None:
    place.held()
    place.now = DUE
    place.queue.refusals = 1

    with pytest.raises(Transient):
        place.sweep()
    place.now += timedelta(minutes=59)
    assert place.sweep() == 0
    place.now += timedelta(minutes=1)

    assert place.sweep() == 1
    assert len(place.queue.sent) == 1


def test_kept_sources_get_no_command(place: Place) -> None:
    job_id = place.held()

    assert place.keep(job_id) is HoldState.KEPT
    assert place.keep(job_id) is HoldState.KEPT
    place.now = DUE + timedelta(days=1)

    assert place.sweep() == 0
    assert place.queue.sent == []


def test_sources_may_be_kept_while_the_job_runs(place: Place) -> None:
    job_id = place.job(state=JobState.PACKING).job_id

    assert place.keep(job_id) is HoldState.KEPT

    assert not place.holds.hold(job_id, due_at=DUE)


def test_it_is_too_late_once_deletion_has_begun(place: Place) -> None:
    job_id = place.held()
    place.now = DUE
    place.sweep()

    problem = place.refused(job_id)

    assert (problem.status, problem.code) == (HTTPStatus.CONFLICT, "DeletionBegan")
    assert problem.details["sources"].state is HoldState.DELETING


@pytest.mark.parametrize("disposition", ["keep", "delete"])
def test_a_job_that_holds_nothing_has_nothing_to_keep(place: Place, disposition: str) -> None:
    problem = place.refused(place.job(disposition).job_id)

    assert (problem.status, problem.code) == (HTTPStatus.CONFLICT, "NothingHeld")
    assert disposition in problem.message


def test_what_is_no_job_is_refused(place: Place) -> None:
    assert place.refused("01zzzzz00001").status is HTTPStatus.NOT_FOUND
    assert place.refused("r-01zzzzz00001").status is HTTPStatus.BAD_REQUEST


def test_what_becomes_of_the_sources_is_shown_at_every_stage(place: Place) -> None:
    running, empty = place.job(state=JobState.PACKING), place.job(counts=Counts())
    job = place.jobs.rows[place.held()]

    def shown(job: Job) -> tuple[HoldState, datetime | None, int, int] | None:
        sources = sources_of(job, place.holds.find(job.job_id))
        return (sources.state, sources.due_at, sources.deleted, sources.left) if sources else None

    assert shown(place.job("delete")) is None
    assert shown(running) == (HoldState.HELD, None, 0, 0)
    assert shown(empty) is None
    assert shown(job) == (HoldState.HELD, DUE, 0, 0)
    place.holds.begin(job.job_id, now=DUE, look_again_at=DUE)
    place.holds.count(job.job_id, deleted=4, left=1)
    assert shown(job) == (HoldState.DELETING, DUE, 4, 1)
    place.holds.end(job.job_id, archives=1, now=DUE)
    assert shown(job) == (HoldState.DELETED, DUE, 4, 1)
