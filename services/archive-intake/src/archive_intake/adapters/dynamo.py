"""The book of jobs and the fallback's decisions over DynamoDB."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError
from pynamodb.transactions import TransactWrite

from archive_intake.domain.fallback import Decision, DecisionOutcome, DuePrefix
from archive_intake.domain.jobs import Counts, Job, JobState, RunningJob, RunningJobs
from archive_intake.ports import JobPage
from glaciate.jobs import JobOrder
from glaciate.names import JobId, ProjectName, encode_time
from glaciate.tables import (
    JOB_ITEM,
    RUNNING_VERSION_ITEM,
    UNSENT,
    FallbackRow,
    JobRow,
    RunningRow,
    UnsentRow,
    fallback_key,
    jobs_connection,
    jobs_list_key,
    running_key,
)

_FORGOTTEN_AT_ONCE: Final = 90  # a transaction takes 100 items
_CONTENTION: Final = {"ConditionalCheckFailed", "TransactionConflict"}
_NOTHING_STARTED = FallbackRow.outcome.does_not_exist() | (FallbackRow.outcome != DecisionOutcome.STARTED)


def _row_of(job: Job) -> JobRow:
    return JobRow(
        job.job_id,
        JOB_ITEM,
        list_key=jobs_list_key(job.order.project),
        list_order=job.job_id,
        state=job.state,
        project=job.order.project,
        bucket=job.order.bucket,
        prefix=job.order.prefix,
        request=job.order.model_dump(mode="json"),
        correlation_id=job.correlation_id,
        topic_arn=job.topic_arn,
        status_url=job.status_url,
        scheduled_for=job.scheduled_for,
        accepted_at=job.accepted_at,
    )


def _job_of(row: JobRow) -> Job:
    return Job(
        job_id=JobId(row.id),
        order=JobOrder.model_validate(row.request),
        correlation_id=row.correlation_id,
        topic_arn=row.topic_arn,
        accepted_at=row.accepted_at,
        status_url=row.status_url,
        scheduled_for=row.scheduled_for,
        state=JobState(row.state),
        counts=Counts(
            listed=int(row.listed),
            planned=int(row.planned),
            archived=int(row.archived),
            skipped=int(row.skipped),
            failed=int(row.failed),
            archives=int(row.archives),
            bytes_in=int(row.bytes_in),
            bytes_out=int(row.bytes_out),
            already_archived=int(row.already_archived),
        ),
        finished_at=row.finished_at,
        reason=row.reason,
    )


def _row_of_decision(project: ProjectName, decision: Decision) -> FallbackRow:
    due = decision.due
    return FallbackRow(
        fallback_key(project),
        due.decision_id,
        outcome=decision.outcome,
        bucket=due.bucket,
        prefix=due.prefix,
        day=due.label,
        period_start=due.period_start,
        decided_at=decision.decided_at,
        job_id=decision.job_id,
        reason=decision.reason,
    )


def _decision_of(row: FallbackRow) -> Decision:
    return Decision(
        due=DuePrefix(
            bucket=row.bucket,
            prefix=row.prefix,
            day=date.fromisoformat(row.day),
            period_start=row.period_start,
            decision_id=row.item,
        ),
        outcome=DecisionOutcome(row.outcome),
        decided_at=row.decided_at,
        job_id=JobId(row.job_id) if row.job_id else None,
        reason=row.reason,
    )


@dataclass(frozen=True, slots=True)
class DynamoJobs:
    """The jobs table."""

    def running(self, project: ProjectName, bucket: str) -> RunningJobs:
        """The version sorts first, so that what is read after it is at least as new."""
        version = 0
        jobs: list[RunningJob] = []
        for row in RunningRow.query(running_key(project, bucket), consistent_read=True):
            if row.item == RUNNING_VERSION_ITEM:
                version = int(row.version or 0)
            else:
                jobs.append(RunningJob(JobId(row.item), row.prefix or "", row.fingerprint or ""))
        return RunningJobs(version, tuple(jobs))

    def accept(
        self, job: Job, *, fingerprint: str, running: RunningJobs, ended: Iterable[JobId], decision: Decision | None
    ) -> bool:
        """One transaction."""
        partition = running_key(job.order.project, job.order.bucket)
        nobody_came_between = (
            RunningRow.version == running.version if running.version else RunningRow.version.does_not_exist()
        )
        try:
            with TransactWrite(connection=jobs_connection()) as transaction:
                transaction.update(
                    RunningRow(partition, RUNNING_VERSION_ITEM),
                    actions=[RunningRow.version.set(running.version + 1)],
                    condition=nobody_came_between,
                )
                transaction.save(_row_of(job), condition=JobRow.id.does_not_exist())
                transaction.save(UnsentRow(UNSENT, job.job_id))
                taken = RunningRow(partition, job.job_id, prefix=job.order.prefix, fingerprint=fingerprint)
                transaction.save(taken)
                if decision is not None:
                    transaction.save(_row_of_decision(job.order.project, decision), condition=_NOTHING_STARTED)
                for job_id in islice(ended, _FORGOTTEN_AT_ONCE):
                    transaction.delete(RunningRow(partition, job_id))
        except TransactWriteError as error:
            reasons = {reason.code for reason in error.cancellation_reasons if reason is not None}
            if reasons and reasons <= _CONTENTION:
                return False
            raise
        return True

    def find(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Job]:
        """Read consistently."""
        keys = [(job_id, JOB_ITEM) for job_id in dict.fromkeys(job_ids)]
        if not keys:
            return {}
        return {JobId(row.id): _job_of(row) for row in JobRow.batch_get(keys, consistent_read=True)}

    def sent(self, job_id: JobId) -> None:
        """Deletes the row; gone already is as well."""
        UnsentRow(UNSENT, job_id).delete()

    def unsent(self, *, accepted_before: datetime) -> Iterator[JobId]:
        """Job ids sort by time."""
        for row in UnsentRow.query(UNSENT, UnsentRow.item < encode_time(accepted_before), consistent_read=True):
            yield JobId(row.item)

    def page(self, project: ProjectName, *, limit: int, before: JobId | None) -> JobPage:
        """One query of the listing index, one row more than asked for."""
        older = JobRow.list_order < before if before else None
        rows = JobRow.listing.query(
            jobs_list_key(project), older, scan_index_forward=False, limit=limit + 1, page_size=limit + 1
        )
        jobs = tuple(_job_of(row) for row in rows)
        more = len(jobs) > limit
        return JobPage(jobs[:limit], jobs[limit - 1].job_id if more else None)

    def accepted_since(self, project: ProjectName, moment: datetime) -> Iterator[Job]:
        """By the listing index, whose order is the order of acceptance."""
        since = JobRow.list_order >= encode_time(moment)
        for row in JobRow.listing.query(jobs_list_key(project), since, scan_index_forward=False):
            yield _job_of(row)


@dataclass(frozen=True, slots=True)
class DynamoDecisions:
    """The fallback's decisions, in the jobs table."""

    def find(self, project: ProjectName, decision_id: str) -> Decision | None:
        """Read consistently."""
        try:
            return _decision_of(FallbackRow.get(fallback_key(project), decision_id, consistent_read=True))
        except DoesNotExist:
            return None

    def note(self, project: ProjectName, decision: Decision) -> None:
        """On condition that nothing was started."""
        try:
            _row_of_decision(project, decision).save(condition=_NOTHING_STARTED)
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise

    def latest(self, project: ProjectName, *, limit: int) -> tuple[Decision, ...]:
        """The ids begin with the day."""
        rows = FallbackRow.query(fallback_key(project), scan_index_forward=False, limit=limit)
        return tuple(_decision_of(row) for row in rows)


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)
