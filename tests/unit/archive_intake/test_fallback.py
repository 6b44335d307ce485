"""The fallback: what nobody asked for is archived once, and every decision can be seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from archive_intake.application.accepting import AcceptArchive, ResendUnsent, SendAccepted
from archive_intake.application.holding import DeleteDue
from archive_intake.application.scheduling import RunFallback, RunSchedule
from archive_intake.domain.fallback import Decision, DecisionOutcome, ScheduledRun, due_prefix
from archive_intake.domain.jobs import Job, JobState
from fakes.archive_intake import FakeDecisions, FakeJobs, FakeProjects
from fakes.archive_jobs import DEMO, NOW, SOURCE, TOPIC, a_job, a_wanted_job
from fakes.holds import FakeHolds
from fakes.outbox import FakeCommandQueue, FakeEventBus
from glaciate.messages import DeleteHeldSources
from glaciate.names import ProjectName
from glaciate.projects import FallbackSchedule, Project, ProjectsDocument

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = FallbackSchedule(bucket=SOURCE, prefix="in/{date:%Y%m%d}/")


def a_project(name: str = "demo", *rules: FallbackSchedule, **fields: Any) -> Project:
    return Project(name=name, source_buckets=(SOURCE,), fallback=rules or (DAILY,), **fields)


@dataclass
class Schedule:
    """The fallback over fakes, with a clock that tests turn."""

    projects: tuple[Project, ...] = (a_project(),)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    time: datetime = NOW
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    queue: FakeCommandQueue = field(default_factory=FakeCommandQueue)
    bus: FakeEventBus = field(default_factory=FakeEventBus)

    def __post_init__(self) -> None:
        self.jobs = FakeJobs(self.decisions)

    @property
    def send(self) -> SendAccepted:
        return SendAccepted(self.jobs, self.queue, self.bus)

    @property
    def accept(self) -> AcceptArchive:
        return AcceptArchive(self.jobs, self.send, lambda: self.time, lambda: None)

    @property
    def fallback(self) -> RunFallback:
        return RunFallback(
            projects=FakeProjects(ProjectsDocument(projects=self.projects)),
            jobs=self.jobs,
            decisions=self.decisions,
            accept=self.accept,
            now=lambda: self.time,
            zone=self.zone,
            topic_arn=TOPIC,
            stage_url="https://api.example.com/live",
        )

    def run(self, at: datetime | None = None) -> tuple[Decision, ...]:
        return self.fallback(at or self.time, correlation_id="run-1")

    def asked_for(self, prefix: str, *, at: datetime, ended: bool = True, **fields: Any) -> Job:
        """Somebody asked for a prefix at a moment."""
        before, self.time = self.time, at
        job = self.accept(a_wanted_job(prefix, call=f"{prefix}{at}", **fields))
        self.time = before
        if ended:
            self.jobs.change(job.job_id, state=JobState.COMPLETED)
        return job


@pytest.fixture
def schedule() -> Schedule:
    return Schedule()


def test_a_prefix_that_nobody_asked_for_is_archived(schedule: Schedule) -> None:
    [decision] = schedule.run()

    assert decision.outcome is DecisionOutcome.STARTED
    job = schedule.jobs.rows[decision.job_id or ""]  # type: ignore[index]
    assert (job.order.bucket, job.order.prefix, job.order.project) == (SOURCE, "in/20260630/", DEMO)
    assert job.scheduled_for == "2026-06-30"
    assert job.topic_arn == TOPIC
    assert job.status_url == f"https://api.example.com/live/archive/{job.job_id}"
    assert [command.name for command in schedule.queue.sent] == ["PlanArchives.v1"]
    assert schedule.decisions.latest(DEMO, limit=9) == (decision,)


def test_a_run_that_comes_twice_starts_one_job(schedule: Schedule) -> None:
    first = schedule.run()
    schedule.jobs.change(next(iter(schedule.jobs.rows)), state=JobState.COMPLETED)
    schedule.time += timedelta(hours=2)

    again = schedule.run(at=NOW)

    assert again == first
    assert len(schedule.jobs.rows) == 1
    assert len(schedule.queue.sent) == 1


def test_the_next_day_is_another_decision(schedule: Schedule) -> None:
    schedule.run()
    schedule.time += timedelta(days=1)

    [decision] = schedule.run()

    assert decision.outcome is DecisionOutcome.STARTED
    assert {job.order.prefix for job in schedule.jobs.rows.values()} == {"in/20260630/", "in/20260701/"}


@pytest.mark.parametrize("prefix", ["in/20260630/", "in/", "", "in/2026"])
def test_a_prefix_that_a_job_of_the_period_covers_is_skipped_saying_which(schedule: Schedule, prefix: str) -> None:
    asked = schedule.asked_for(prefix, at=NOW - timedelta(hours=5))

    [decision] = schedule.run()

    assert (decision.outcome, decision.job_id) == (DecisionOutcome.SKIPPED, asked.job_id)
    assert asked.job_id in (decision.reason or "")
    assert list(schedule.jobs.rows) == [asked.job_id]
    assert schedule.decisions.latest(DEMO, limit=9) == (decision,)


@pytest.mark.parametrize(
    ("prefix", "at", "fields"),
    [
        ("in/20260629/", NOW - timedelta(hours=5), {}),
        ("in/20260630/part/", NOW - timedelta(hours=5), {}),
        ("in/20260630/", datetime(2026, 6, 29, 23, 59, tzinfo=UTC), {}),
        ("in/20260630/", NOW - timedelta(hours=5), {"bucket": "second-bucket"}),
        ("in/20260630/", NOW - timedelta(hours=5), {"project": "other"}),
        ("in/", NOW - timedelta(hours=5), {"include": ("*.csv",)}),
        ("in/", NOW - timedelta(hours=5), {"exclude": ("*.csv",)}),
        ("in/", NOW - timedelta(hours=5), {"older_than": NOW}),
    ],
)
def test_a_job_that_does_not_take_everything_in_the_period_does_not_count(
    schedule: Schedule, prefix: str, at: datetime, fields: dict[str, Any]
) -> None:
    schedule.asked_for(prefix, at=at, **fields)

    [decision] = schedule.run()

    assert decision.outcome is DecisionOutcome.STARTED


def test_a_running_job_in_the_way_is_a_reason_to_skip_and_to_decide_again(schedule: Schedule) -> None:
    part = schedule.asked_for("in/20260630/part/", at=NOW - timedelta(hours=5), ended=False)
    [skipped] = schedule.run()
    schedule.jobs.change(part.job_id, state=JobState.COMPLETED)

    [started] = schedule.run()

    assert skipped.outcome is DecisionOutcome.SKIPPED
    assert part.job_id in (skipped.reason or "")
    assert started.outcome is DecisionOutcome.STARTED
    assert schedule.decisions.latest(DEMO, limit=9) == (started,)


def test_a_prefix_without_a_date_is_archived_every_day(schedule: Schedule) -> None:
    schedule.projects = (a_project("demo", FallbackSchedule(bucket=SOURCE, prefix="inbox/")),)
    outcomes = []
    for _ in range(3):
        [decision] = schedule.run()
        outcomes.append(decision.outcome)
        schedule.jobs.change(decision.job_id, state=JobState.COMPLETED)  # type: ignore[arg-type]
        schedule.time += timedelta(days=1)

    assert outcomes == [DecisionOutcome.STARTED] * 3


def test_the_day_is_the_time_zones() -> None:
    shortly_after_midnight = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)

    in_berlin = due_prefix(DAILY, at=shortly_after_midnight, zone=BERLIN)
    in_utc = due_prefix(DAILY, at=shortly_after_midnight, zone=ZoneInfo("UTC"))

    assert (in_berlin.prefix, in_utc.prefix) == ("in/20260701/", "in/20260630/")
    assert in_berlin.period_start == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_the_day_is_counted_back_over_a_change_of_the_clock() -> None:
    after_the_change = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # 00:30 on the 30th in Berlin; the 29th had 23 hours

    due = due_prefix(DAILY, at=after_the_change, zone=BERLIN)

    assert due.prefix == "in/20260329/"
    assert due.period_start == datetime(2026, 3, 28, 23, tzinfo=UTC)


def test_today_is_due_where_the_rule_says_so() -> None:
    rule = FallbackSchedule(bucket=SOURCE, prefix="in/{date:%Y/%m/%d}/", days_ago=0)

    assert due_prefix(rule, at=NOW, zone=ZoneInfo("UTC")).prefix == "in/2026/07/01/"


def test_one_projects_failure_stops_nobody_and_is_seen(schedule: Schedule) -> None:
    @dataclass
    class Broken(FakeJobs):
        def accepted_since(self, project: ProjectName, moment: datetime) -> Iterable[Job]:
            if project == "broken":
                msg = "the table is gone"
                raise RuntimeError(msg)
            return super().accepted_since(project, moment)

    schedule.jobs = Broken(schedule.decisions)
    schedule.projects = (a_project("broken"), a_project("demo"))

    with pytest.raises(ExceptionGroup) as raised:
        schedule.run()

    assert [str(error) for error in raised.value.exceptions] == ["the table is gone"]
    [started] = schedule.decisions.latest(DEMO, limit=9)
    [failed] = schedule.decisions.latest(ProjectName("broken"), limit=9)
    assert started.outcome is DecisionOutcome.STARTED
    assert (failed.outcome, failed.reason) == (DecisionOutcome.FAILED, "RuntimeError: the table is gone")


def test_a_failed_decision_is_taken_again_by_the_retry(schedule: Schedule) -> None:
    schedule.queue.refusals = 1
    with pytest.raises(ExceptionGroup):
        schedule.run()

    [decision] = schedule.run()

    assert decision.outcome is DecisionOutcome.STARTED
    assert len(schedule.jobs.rows) == 1
    assert schedule.decisions.latest(DEMO, limit=9) == (decision,)


def test_every_rule_of_every_project_is_decided_and_projects_without_rules_are_left_alone(schedule: Schedule) -> None:
    rules = (DAILY, FallbackSchedule(bucket=SOURCE, prefix="out/{date:%Y}/"))
    schedule.projects = (
        a_project("demo", *rules),
        Project(name="quiet", source_buckets=(SOURCE,)),
        a_project("other"),
    )

    decisions = schedule.run()

    assert [decision.due.prefix for decision in decisions] == ["in/20260630/", "out/2026/", "in/20260630/"]
    assert len({job.order.project for job in schedule.jobs.rows.values()}) == 2


def test_the_projects_own_defaults_and_topic_hold(schedule: Schedule) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:team"
    schedule.projects = (a_project("demo", DAILY, default_topic=topic),)

    [decision] = schedule.run()

    assert schedule.jobs.rows[decision.job_id].topic_arn == topic  # type: ignore[index]


def test_the_schedule_sends_what_is_unsent_and_due_even_when_the_fallback_fails(schedule: Schedule) -> None:
    schedule.queue.refusals = 1
    holds = FakeHolds()
    held = a_job("held/", at=NOW, disposition={"delete_after_days": 1})
    schedule.jobs.rows[held.job_id] = held
    holds.hold(held.job_id, due_at=NOW)
    run = RunSchedule(
        ResendUnsent(schedule.jobs, schedule.send, lambda: schedule.time),
        DeleteDue(schedule.jobs, holds, schedule.queue, lambda: schedule.time),
        schedule.fallback,
        lambda: NOW,
    )
    with pytest.raises(ExceptionGroup):
        run(ScheduledRun(), correlation_id="run-1")
    assert len(schedule.jobs.waiting) == 1
    assert DeleteHeldSources(correlation_id=held.correlation_id, job_id=held.job_id) in schedule.queue.sent
    schedule.time += timedelta(minutes=5)

    report = run(ScheduledRun(task="resend"), correlation_id="run-2")

    assert (report.sent_again, report.due, report.decisions) == (1, 0, ())
    assert schedule.jobs.waiting == set()


def test_a_time_that_nobody_filled_in_counts_as_left_out() -> None:
    assert ScheduledRun.model_validate({"scheduled_time": "<aws.scheduler.scheduled-time>"}) == ScheduledRun()
    assert ScheduledRun.model_validate({"scheduled_time": "2026-07-01T02:00:00Z"}).scheduled_time == datetime(
        2026, 7, 1, 2, tzinfo=UTC
    )
    with pytest.raises(ValidationError):
        ScheduledRun.model_validate({"scheduled_time": "whenever"})


@pytest.mark.parametrize(
    "template", ["{day}/", "{date.year}/", "{0}/", "{}", "{date!r}", "{date", "a}", "{date:%Y}{other}"]
)
def test_a_template_with_anything_but_the_date_is_refused_when_it_is_configured(template: str) -> None:
    with pytest.raises(ValidationError):
        FallbackSchedule(bucket=SOURCE, prefix=template)


def test_a_template_may_hold_the_date_several_times_and_braces_of_its_own() -> None:
    rule = FallbackSchedule(bucket=SOURCE, prefix="{{x}}/{date:%Y}/{date:%m}/{date}")

    assert rule.prefix_of(date(2026, 7, 1)) == "{x}/2026/07/2026-07-01"


def test_changing_nothing_about_a_rule_keeps_its_decision() -> None:
    first, again = (due_prefix(DAILY, at=NOW + shift, zone=BERLIN) for shift in (timedelta(), timedelta(hours=3)))
    other = due_prefix(FallbackSchedule(bucket=SOURCE, prefix="in/{date:%Y-%m-%d}/"), at=NOW, zone=BERLIN)

    assert first == again
    assert first.decision_id != other.decision_id
    assert first.decision_id.startswith("2026-06-30#")
