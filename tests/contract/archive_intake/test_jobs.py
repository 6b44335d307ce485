"""The book of jobs and the fallback's decisions: the fake and DynamoDB keep the same promises."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import boto3
import pytest
from moto import mock_aws

from archive_intake.adapters.dynamo import DynamoDecisions, DynamoJobs
from archive_intake.domain.fallback import Decision, DecisionOutcome, DuePrefix
from archive_intake.domain.jobs import Counts, Job, JobState, RunningJob, RunningJobs
from archive_intake.ports import Decisions, Jobs
from fakes.archive_intake import FakeDecisions, FakeJobs
from fakes.archive_jobs import DEMO, NOW, SOURCE, a_job
from fakes.aws import make_tables
from glaciate.names import JobId, ProjectName
from glaciate.tables import JOB_ITEM, JobRow, bind


@dataclass(frozen=True)
class Book:
    """What is tested, and what others do to it."""

    jobs: Jobs
    decisions: Decisions

    def accept(self, job: Job, *, decision: Decision | None = None, ended: tuple[JobId, ...] = ()) -> bool:
        running = self.jobs.running(job.order.project, job.order.bucket)
        return self.jobs.accept(job, fingerprint="print", running=running, ended=ended, decision=decision)


@pytest.fixture(scope="module")
def table() -> Iterator[None]:
    with mock_aws():
        bind(jobs="jobs")
        make_tables(JobRow)
        yield


@pytest.fixture
def dynamodb(table: None) -> Book:
    rows = boto3.client("dynamodb")
    for item in rows.scan(TableName="jobs")["Items"]:
        rows.delete_item(TableName="jobs", Key={name: item[name] for name in ("id", "item")})
    return Book(DynamoJobs(), DynamoDecisions())


@pytest.fixture(params=["fake", "dynamodb"])
def book(request: pytest.FixtureRequest) -> Book:
    if request.param == "dynamodb":
        found: Book = request.getfixturevalue("dynamodb")
        return found
    decisions = FakeDecisions()
    return Book(FakeJobs(decisions), decisions)


def a_decision(outcome: DecisionOutcome, *, day: int = 1, job_id: JobId | None = None) -> Decision:
    due = DuePrefix(SOURCE, f"in/202607{day:02}/", date(2026, 7, day), NOW, f"2026-07-{day:02}#rule")
    return Decision(due, outcome, NOW, job_id, "because")


def test_an_accepted_job_is_found_as_it_was_given(book: Book) -> None:
    job = replace(a_job(older_than=NOW, include=("*.csv",), manifest={"file_count": 3}), scheduled_for="2026-07-01")

    assert book.accept(job)

    assert book.jobs.find([job.job_id, JobId("0" * 12)]) == {job.job_id: job}


def test_finding_nothing_finds_nothing(book: Book) -> None:
    assert book.jobs.find([]) == {}


def test_an_accepted_job_takes_its_prefix_and_is_unsent(book: Book) -> None:
    job = a_job("logs/")

    book.accept(job)

    assert book.jobs.running(DEMO, SOURCE) == RunningJobs(1, (RunningJob(job.job_id, "logs/", "print"),))
    assert list(book.jobs.unsent(accepted_before=NOW + timedelta(seconds=1))) == [job.job_id]


def test_only_one_of_two_calls_that_saw_the_same_is_accepted(book: Book) -> None:
    seen = book.jobs.running(DEMO, SOURCE)
    first, second = a_job("a/"), a_job("b/")

    taken = [
        book.jobs.accept(job, fingerprint="print", running=seen, ended=(), decision=None) for job in (first, second)
    ]

    assert taken == [True, False]
    assert set(book.jobs.find([first.job_id, second.job_id])) == {first.job_id}
    assert [other.job_id for other in book.jobs.running(DEMO, SOURCE).jobs] == [first.job_id]
    assert list(book.jobs.unsent(accepted_before=NOW + timedelta(days=1))) == [first.job_id]


def test_buckets_and_projects_do_not_disturb_one_another(book: Book) -> None:
    seen = {
        key: book.jobs.running(ProjectName(key[0]), key[1])
        for key in (("demo", SOURCE), ("demo", "two"), ("other", SOURCE))
    }

    taken = [
        book.jobs.accept(
            a_job(project=project, bucket=bucket), fingerprint="p", running=running, ended=(), decision=None
        )
        for (project, bucket), running in seen.items()
    ]

    assert taken == [True, True, True]


def test_an_id_that_is_taken_is_not_accepted_again(book: Book) -> None:
    job = a_job("a/")
    book.accept(job)

    assert not book.accept(replace(a_job("b/"), job_id=job.job_id))

    assert book.jobs.find([job.job_id])[job.job_id].order.prefix == "a/"


def test_ended_jobs_are_forgotten(book: Book) -> None:
    first, second, third = (a_job(f"{number}/", at=NOW + timedelta(seconds=number)) for number in range(3))
    book.accept(first)
    book.accept(second)

    book.accept(third, ended=(first.job_id,))

    running = book.jobs.running(DEMO, SOURCE)
    assert (running.version, [other.job_id for other in running.jobs]) == (3, [second.job_id, third.job_id])


def test_more_ended_jobs_than_a_transaction_takes_do_not_hinder_anybody(book: Book) -> None:
    ended = tuple(JobId(f"{number:012}") for number in range(150))

    assert book.accept(a_job(), ended=ended)


def test_a_sent_job_is_no_longer_unsent_and_may_be_noted_twice(book: Book) -> None:
    job = a_job()
    book.accept(job)

    book.jobs.sent(job.job_id)
    book.jobs.sent(job.job_id)

    assert list(book.jobs.unsent(accepted_before=NOW + timedelta(days=1))) == []


def test_a_job_accepted_just_now_is_not_yet_unsent(book: Book) -> None:
    book.accept(a_job())

    assert list(book.jobs.unsent(accepted_before=NOW)) == []


def test_jobs_are_listed_newest_first_page_by_page(book: Book) -> None:
    jobs = [a_job(f"{number}/", at=NOW + timedelta(minutes=number)) for number in range(5)]
    for job in jobs:
        book.accept(job)
    book.accept(a_job(project="other"))

    first = book.jobs.page(DEMO, limit=2, before=None)
    second = book.jobs.page(DEMO, limit=2, before=first.before)
    third = book.jobs.page(DEMO, limit=2, before=second.before)

    assert [page.jobs for page in (first, second, third)] == [(jobs[4], jobs[3]), (jobs[2], jobs[1]), (jobs[0],)]
    assert third.before is None
    assert book.jobs.page(DEMO, limit=5, before=None).before is None
    assert book.jobs.page(ProjectName("nobody"), limit=5, before=None).jobs == ()


def test_jobs_of_a_period_are_found(book: Book) -> None:
    jobs = [a_job(f"{number}/", at=NOW + timedelta(minutes=number)) for number in range(3)]
    for job in jobs:
        book.accept(job)

    assert list(book.jobs.accepted_since(DEMO, NOW + timedelta(minutes=1))) == [jobs[2], jobs[1]]


def test_a_decision_is_recorded_with_its_job(book: Book) -> None:
    job = a_job()
    decision = a_decision(DecisionOutcome.STARTED, job_id=job.job_id)

    book.accept(job, decision=decision)

    assert book.decisions.find(DEMO, decision.due.decision_id) == decision


def test_a_decision_starts_one_job_only(book: Book) -> None:
    first, second = a_job("a/"), a_job("b/")
    book.accept(first, decision=a_decision(DecisionOutcome.STARTED, job_id=first.job_id))

    assert not book.accept(second, decision=a_decision(DecisionOutcome.STARTED, job_id=second.job_id))

    assert book.jobs.find([second.job_id]) == {}
    assert list(book.jobs.unsent(accepted_before=NOW + timedelta(days=1))) == [first.job_id]


def test_a_decision_that_started_nothing_may_be_taken_again(book: Book) -> None:
    job = a_job()
    book.decisions.note(DEMO, a_decision(DecisionOutcome.SKIPPED))
    book.decisions.note(DEMO, a_decision(DecisionOutcome.FAILED))

    assert book.accept(job, decision=a_decision(DecisionOutcome.STARTED, job_id=job.job_id))


def test_a_decision_that_started_a_job_stays(book: Book) -> None:
    job = a_job()
    started = a_decision(DecisionOutcome.STARTED, job_id=job.job_id)
    book.accept(job, decision=started)

    book.decisions.note(DEMO, a_decision(DecisionOutcome.SKIPPED))

    assert book.decisions.find(DEMO, started.due.decision_id) == started


def test_the_latest_decisions_come_first(book: Book) -> None:
    decisions = [a_decision(DecisionOutcome.SKIPPED, day=day) for day in (3, 1, 2)]
    for decision in decisions:
        book.decisions.note(DEMO, decision)
    book.decisions.note(ProjectName("other"), a_decision(DecisionOutcome.FAILED, day=4))

    assert book.decisions.latest(DEMO, limit=2) == (decisions[0], decisions[2])
    assert book.decisions.find(DEMO, "2026-07-09#rule") is None


def test_what_the_packer_counts_is_read_back(dynamodb: Book) -> None:
    job = a_job()
    dynamodb.accept(job)
    JobRow(job.job_id, JOB_ITEM).update(
        actions=[
            JobRow.state.set("PARTIAL"),
            JobRow.listed.add(5),
            JobRow.planned.add(4),
            JobRow.archived.add(3),
            JobRow.skipped.add(2),
            JobRow.failed.add(1),
            JobRow.archives.add(1),
            JobRow.bytes_in.add(4000),
            JobRow.bytes_out.add(900),
            JobRow.finished_at.set(NOW),
            JobRow.reason.set("two files changed"),
        ]
    )

    found = dynamodb.jobs.find([job.job_id])[job.job_id]

    assert found == replace(
        job,
        state=JobState.PARTIAL,
        counts=Counts(5, 4, 3, 2, 1, 1, 4000, 900),
        finished_at=NOW,
        reason="two files changed",
    )
