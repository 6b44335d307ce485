"""Accepting a job: once for a call, never over a running one, and nothing lost by dying in between."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from archive_intake.application.accepting import AcceptArchive, ResendUnsent, SendAccepted
from archive_intake.domain.jobs import JobState, RunningJobs
from fakes.archive_intake import FakeJobs
from fakes.archive_jobs import DEMO, NOW, SOURCE, a_job, a_wanted_job
from fakes.outbox import FakeCommandQueue, FakeEventBus
from glaciate.errors import Problem, Transient
from glaciate.events import ArchiveJobAccepted
from glaciate.messages import PlanArchives
from glaciate.names import ProjectName


@dataclass
class Intake:
    """The use cases over fakes, with a clock that tests turn."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    queue: FakeCommandQueue = field(default_factory=FakeCommandQueue)
    bus: FakeEventBus = field(default_factory=FakeEventBus)
    time: datetime = NOW

    @property
    def send(self) -> SendAccepted:
        return SendAccepted(self.jobs, self.queue, self.bus)

    def accept(self, pause: Callable[[], None] = lambda: None) -> AcceptArchive:
        return AcceptArchive(self.jobs, self.send, lambda: self.time, pause)

    def resend(self) -> int:
        return ResendUnsent(self.jobs, self.send, lambda: self.time)()


@pytest.fixture
def intake() -> Intake:
    return Intake()


def test_an_accepted_job_is_recorded_sent_and_told(intake: Intake) -> None:
    job = intake.accept()(a_wanted_job("logs/"))

    assert intake.jobs.rows == {job.job_id: job}
    assert job.state is JobState.ACCEPTED
    assert job.status_url == f"https://api.example.com/live/archive/{job.job_id}"
    assert intake.queue.sent == [PlanArchives(correlation_id="trail-1", job_id=job.job_id)]
    assert intake.bus.told == [
        ArchiveJobAccepted(correlation_id="trail-1", job_id=job.job_id, project=DEMO, bucket=SOURCE, prefix="logs/")
    ]
    assert intake.jobs.waiting == set()


def test_the_same_call_gets_the_same_job_while_it_runs(intake: Intake) -> None:
    first = intake.accept()(a_wanted_job("logs/"))
    intake.jobs.change(first.job_id, state=JobState.PACKING)

    again = intake.accept()(a_wanted_job("logs/"))

    assert again.job_id == first.job_id
    assert len(intake.queue.sent) == 1


@pytest.mark.parametrize(
    ("running", "asked"), [("logs/", "logs/2026/"), ("logs/2026/", "logs/"), ("a", "a"), ("", "x/")]
)
def test_a_prefix_that_overlaps_a_running_jobs_is_refused_naming_it(intake: Intake, running: str, asked: str) -> None:
    first = intake.accept()(a_wanted_job(running, call="one"))

    with pytest.raises(Problem) as refusal:
        intake.accept()(a_wanted_job(asked, call="two"))

    assert refusal.value.status == 409
    assert refusal.value.details["job_id"] == first.job_id
    assert first.job_id in refusal.value.message
    assert list(intake.jobs.rows) == [first.job_id]


def test_prefixes_side_by_side_do_not_overlap(intake: Intake) -> None:
    for prefix in ("logs/2025/", "logs/2026/", "other/"):
        intake.accept()(a_wanted_job(prefix, call=prefix))

    assert len(intake.jobs.rows) == 3


def test_the_same_prefix_in_another_bucket_or_project_does_not_overlap(intake: Intake) -> None:
    for number, fields in enumerate(({}, {"bucket": "two"}, {"project": "other"})):
        intake.accept()(a_wanted_job("logs/", call=str(number), **fields))

    assert len(intake.jobs.rows) == 3


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.PARTIAL, JobState.FAILED])
def test_a_prefix_is_free_again_once_its_job_has_ended(intake: Intake, state: JobState) -> None:
    first = intake.accept()(a_wanted_job("logs/"))
    intake.jobs.change(first.job_id, state=state)

    second = intake.accept()(a_wanted_job("logs/"))

    assert second.job_id != first.job_id
    assert [other.job_id for other in intake.jobs.running(DEMO, SOURCE).jobs] == [second.job_id]


def test_jobs_that_have_ended_elsewhere_are_forgotten_little_by_little(intake: Intake) -> None:
    for number in range(60):
        intake.time += timedelta(seconds=1)
        job = intake.accept()(a_wanted_job(f"{number}/", call=str(number)))
        intake.jobs.change(job.job_id, state=JobState.COMPLETED)

    assert len(intake.jobs.running(DEMO, SOURCE).jobs) <= 2


def test_a_job_accepted_meanwhile_is_seen(intake: Intake) -> None:
    other = a_job("logs/2026/", at=NOW)

    @dataclass
    class Overtaken(FakeJobs):
        overtaken: bool = False

        def running(self, project: ProjectName, bucket: str) -> RunningJobs:
            seen = super().running(project, bucket)
            if not self.overtaken:
                self.overtaken = True
                assert self.accept(other, fingerprint="other", running=seen, ended=(), decision=None)
            return seen

    intake.jobs = Overtaken()

    with pytest.raises(Problem) as refusal:
        intake.accept()(a_wanted_job("logs/"))

    assert refusal.value.details["job_id"] == other.job_id


def test_endless_contention_is_given_up_as_something_to_try_again(intake: Intake) -> None:
    class Crowded(FakeJobs):
        def running(self, project: ProjectName, bucket: str) -> RunningJobs:
            seen = super().running(project, bucket)
            self.busy[project, bucket] = RunningJobs(seen.version + 1)
            return seen

    intake.jobs = Crowded()
    pauses: list[None] = []

    with pytest.raises(Transient):
        intake.accept(lambda: pauses.append(None))(a_wanted_job())

    assert len(pauses) > 3
    assert intake.queue.sent == []


def test_a_call_that_died_before_sending_is_healed_by_its_own_retry(intake: Intake) -> None:
    intake.queue.refusals = 1
    with pytest.raises(Transient):
        intake.accept()(a_wanted_job("logs/"))

    job = intake.accept()(a_wanted_job("logs/"))

    assert list(intake.jobs.rows) == [job.job_id]
    assert [command.name for command in intake.queue.sent] == ["PlanArchives.v1"]
    assert intake.jobs.waiting == set()


@pytest.mark.parametrize("dies", ["before the command", "before the event"])
def test_a_call_that_died_before_sending_is_healed_by_the_schedule(intake: Intake, dies: str) -> None:
    (intake.queue if dies == "before the command" else intake.bus).refusals = 1
    with pytest.raises(Transient):
        intake.accept()(a_wanted_job("logs/"))
    assert intake.resend() == 0  # the call may still be at it
    intake.time += timedelta(minutes=3)

    sent = intake.resend()

    assert sent == 1
    assert {command.name for command in intake.queue.sent} == {"PlanArchives.v1"}
    assert [event.name for event in intake.bus.told] == ["ArchiveJobAccepted.v1"]
    assert intake.jobs.waiting == set()
    assert intake.resend() == 0


def test_what_cannot_be_sent_yet_stays_unsent(intake: Intake) -> None:
    intake.queue.refusals = 2
    with pytest.raises(Transient):
        intake.accept()(a_wanted_job("logs/"))
    intake.time += timedelta(minutes=3)

    with pytest.raises(Transient):
        intake.resend()

    assert len(intake.jobs.waiting) == 1
