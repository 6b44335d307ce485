"""Accept archive jobs, say how they stand, and archive by schedule what nobody asked for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final
from zoneinfo import ZoneInfo

from archive_intake.domain import (
    Decision,
    DecisionOutcome,
    DecisionSummary,
    DuePrefix,
    Job,
    JobState,
    JobStatus,
    ProjectJobs,
    RunningJobs,
    ScheduledRun,
    WantedJob,
    covering_job,
    decision_summary_of,
    due_prefix,
    fingerprint,
    status_of,
    summary_of,
)
from archive_intake.ports import Decisions, Jobs, Projects, SkippedFiles
from glaciate.api import require_deployment
from glaciate.contracts import CorrelationId
from glaciate.errors import Problem, Transient, conflict, invalid, not_found
from glaciate.events import ArchiveJobAccepted
from glaciate.jobs import order
from glaciate.messages import PlanArchives
from glaciate.names import JobId, ProjectName, is_job_id, is_request_id, new_job_id
from glaciate.outbox import CommandQueue, EventBus
from glaciate.projects import Project
from glaciate.requests import ArchiveRequest
from glaciate.telemetry import correlated, count, logger

_ATTEMPTS: Final = 12
_FORGET_AT_ONCE: Final = 20  # of the oldest running jobs, so many are looked at by each call: more go than come
_RESEND_AFTER: Final = timedelta(minutes=2)
_DECISIONS_LISTED: Final = 50

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class SendAccepted:
    """Sends an accepted job on its way. Harmless twice: planning goes on from the job's checkpoint."""

    jobs: Jobs
    pack_queue: CommandQueue
    bus: EventBus

    def __call__(self, job: Job) -> None:
        """Sends the command, tells the event, and notes both; the note comes last, so that a crash means sending again."""
        order = job.order
        self.pack_queue.send(PlanArchives(correlation_id=job.correlation_id, job_id=job.job_id))
        self.bus.publish(
            ArchiveJobAccepted(
                correlation_id=job.correlation_id,
                job_id=job.job_id,
                project=order.project,
                bucket=order.bucket,
                prefix=order.prefix,
            )
        )
        self.jobs.sent(job.job_id)


@dataclass(frozen=True, slots=True)
class ResendUnsent:
    """Sends what a crash between recording and sending has left. Harmless twice, as sending is."""

    jobs: Jobs
    send: SendAccepted
    now: Clock

    def __call__(self) -> int:
        """Returns how many jobs were sent again."""
        waiting = tuple(self.jobs.unsent(accepted_before=self.now() - _RESEND_AFTER))
        found = self.jobs.find(waiting)
        for job_id in waiting:
            job = found.get(job_id)
            if job is None:  # expired by its time to live
                self.jobs.sent(job_id)
                continue
            with correlated(job.correlation_id):
                self.send(job)
                logger().warning("accepted job sent again", extra={"job_id": job_id})
                count("ArchiveJobSentAgain")
        return len(found)


def _pause() -> None:
    time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 - it only spreads the attempts


@dataclass(frozen=True, slots=True)
class AcceptArchive:
    """Accepts a job over a prefix that no running job of the project covers or lies in.

    Harmless twice: while the job runs, the same call gets the same job; afterwards the API's idempotency record answers it.
    """

    jobs: Jobs
    send: SendAccepted
    now: Clock
    pause: Callable[[], None] = _pause

    def __call__(self, wanted: WantedJob, *, due: DuePrefix | None = None) -> Job:
        """Records the job and sends it on its way. `due`: the fallback's decision is recorded with it.

        Raises:
            Problem: 409, a running job overlaps.
            Transient: too many calls for one bucket at once.
        """
        for _ in range(_ATTEMPTS):
            running = self.jobs.running(wanted.order.project, wanted.order.bucket)
            ended, same = self._look_around(wanted, running)
            if same is not None:
                if same.state is JobState.ACCEPTED:  # perhaps the first call died before it could send
                    self.send(same)
                return same
            now = self.now()
            job = wanted.accepted(new_job_id(now), now)
            decision = Decision(due, DecisionOutcome.STARTED, now, job.job_id) if due else None
            if self.jobs.accept(job, fingerprint=wanted.fingerprint, running=running, ended=ended, decision=decision):
                logger().info("job accepted", extra={"job_id": job.job_id, "project": job.order.project})
                count("ArchiveJobAccepted")
                self.send(job)
                return job
            self.pause()
        msg = f"too many jobs are being accepted for {wanted.order.bucket} at once"
        raise Transient(msg)

    def _look_around(self, wanted: WantedJob, running: RunningJobs) -> tuple[tuple[JobId, ...], Job | None]:
        meeting = running.meeting(wanted.order.prefix)
        known = {other.job_id: other for other in (*meeting, *running.jobs[:_FORGET_AT_ONCE])}
        found = self.jobs.find(known)
        for other in meeting:
            job = found.get(other.job_id)
            if job is None or job.state.ended:
                continue
            if other.fingerprint == wanted.fingerprint:
                return (), job
            raise conflict(
                "Overlap",
                f"job {job.job_id} is archiving {job.order.bucket}/{job.order.prefix}, which overlaps; wait until it has ended",
                {"job_id": job.job_id, "state": job.state, "prefix": job.order.prefix, "status_url": job.status_url},
            )
        return tuple(name for name in known if name not in found or found[name].state.ended), None


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Makes a call's body into the job it asks for, where the deployment and the project's configuration allow it."""

    projects: Projects
    region: str
    account: str
    topic_arn: str

    def __call__(
        self, request: ArchiveRequest, *, idempotency_key: str | None, correlation_id: CorrelationId, stage_url: str
    ) -> WantedJob:
        """Checks and fills in the project's defaults; records nothing.

        Raises:
            Problem: 422, another region or account; 404, no such project; 403, a bucket the project may not use.
        """
        require_deployment(request, region=self.region, account=self.account)
        project = self.projects.load().require(request.project_name)
        project.require_bucket(request.bucket_name)
        return WantedJob(
            order=order(request, project),
            fingerprint=fingerprint(request, idempotency_key),
            correlation_id=correlation_id,
            topic_arn=project.topic(None, stack_topic=self.topic_arn),
            stage_url=stage_url,
        )


def _job_id(text: str) -> JobId:
    if is_request_id(text):
        raise invalid(f"{text} is a restore request: ask GET /restore/{text}")
    if not is_job_id(text):
        raise invalid(f"{text!r} is not a job's id: that has 12 of the characters 0-9 and a-z without i, l, o, u")
    return JobId(text)


def _token(text: str | None) -> JobId | None:
    if text is not None and not is_job_id(text):
        raise invalid("next_token is none of this list's")
    return JobId(text) if text else None


@dataclass(frozen=True, slots=True)
class DescribeJob:
    """Says how a job stands, with a page of its skipped files."""

    jobs: Jobs
    skipped: SkippedFiles

    def __call__(self, name: str, *, limit: int, token: str | None) -> JobStatus:
        """Reads the job's row and its lists of skipped files.

        Raises:
            Problem: 404, no such job; 400, not a job's id, or a token that is none of ours.
        """
        job_id = _job_id(name)
        job = self.jobs.find([job_id]).get(job_id)
        if job is None:
            raise not_found("JobNotFound", f"there is no archive job {job_id}")
        page = self.skipped.page(job_id, limit=limit, token=token)
        return status_of(job, skipped=page.files, next_token=page.next_token)


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Lists a project's jobs, newest first, and what the fallback decided."""

    projects: Projects
    jobs: Jobs
    decisions: Decisions

    def __call__(self, project_name: str, *, limit: int, token: str | None) -> ProjectJobs:
        """Reads one page. Its token is the id of its last job.

        Raises:
            Problem: 404, no such project; 400, a token that is none of ours.
        """
        before = _token(token)
        project = ProjectName(self.projects.load().require(project_name).name)
        page = self.jobs.page(project, limit=limit, before=before)
        latest = self.decisions.latest(project, limit=_DECISIONS_LISTED) if before is None else ()
        return ProjectJobs(
            project_name=project,
            jobs=tuple(summary_of(job) for job in page.jobs),
            fallback=tuple(decision_summary_of(decision) for decision in latest),
            next_token=page.before,
        )


@dataclass(frozen=True, slots=True)
class RunFallback:
    """Starts a job for each due prefix that no job of the period covers, and records every decision.

    Harmless twice: a decision that started a job is recorded with the job, once for each rule and day.
    """

    projects: Projects
    jobs: Jobs
    decisions: Decisions
    accept: AcceptArchive
    now: Clock
    zone: ZoneInfo
    topic_arn: str
    stage_url: str | None

    def __call__(self, at: datetime, *, correlation_id: str) -> tuple[Decision, ...]:
        """Decides for a run that was due at `at`. A failure is recorded and stops nobody else.

        Raises:
            ExceptionGroup: at the end, what failed.
        """
        taken: list[Decision] = []
        failures: list[Exception] = []
        for project in self.projects.load().projects:
            for rule in project.fallback:
                due = due_prefix(rule, at=at, zone=self.zone)
                try:
                    decision = self._decide(project, due, f"{correlation_id}/{project.name}/{due.decision_id}"[:128])
                except Exception as error:  # noqa: BLE001 - raised again at the end, when everybody has had their turn
                    failures.append(error)
                    reason = f"{type(error).__name__}: {error}"
                    decision = Decision(due, DecisionOutcome.FAILED, self.now(), reason=reason)
                    logger().exception("fallback failed", extra={"project": project.name, "prefix": due.prefix})
                self._record(ProjectName(project.name), decision, failures)
                taken.append(decision)
        if failures:
            msg = f"{len(failures)} of the fallback's steps failed"
            raise ExceptionGroup(msg, failures)
        return tuple(taken)

    def _decide(self, project: Project, due: DuePrefix, correlation_id: str) -> Decision:
        name = ProjectName(project.name)
        before = self.decisions.find(name, due.decision_id)
        if before is not None and before.outcome is DecisionOutcome.STARTED:
            return before
        job = covering_job(due, self.jobs.accepted_since(name, due.period_start))
        if job is not None:
            reason = (
                f"job {job.job_id} over {job.order.prefix!r} was accepted at {job.accepted_at:%Y-%m-%d %H:%M:%S} UTC"
            )
            return Decision(due, DecisionOutcome.SKIPPED, self.now(), job.job_id, reason)
        wanted = WantedJob(
            order=order(ArchiveRequest(project_name=name, bucket_name=due.bucket, prefix=due.prefix), project),
            fingerprint=f"fallback#{name}#{due.decision_id}",
            correlation_id=correlation_id,
            topic_arn=project.topic(None, stack_topic=self.topic_arn),
            stage_url=self.stage_url,
            scheduled_for=due.label,
        )
        try:
            started = self.accept(wanted, due=due)
        except Problem as problem:
            if problem.status is not HTTPStatus.CONFLICT:
                raise
            return Decision(due, DecisionOutcome.SKIPPED, self.now(), reason=problem.message)
        return Decision(due, DecisionOutcome.STARTED, started.accepted_at, started.job_id)

    def _record(self, project: ProjectName, decision: Decision, failures: list[Exception]) -> None:
        try:
            if decision.outcome is not DecisionOutcome.STARTED:  # that is recorded with its job
                self.decisions.note(project, decision)
        except Exception as error:  # noqa: BLE001 - raised again at the end, when everybody has had their turn
            failures.append(error)
            logger().exception("decision not recorded", extra={"project": project})
        logger().info(
            "fallback decided",
            extra={
                "project": project,
                "bucket": decision.due.bucket,
                "prefix": decision.due.prefix,
                "day": decision.due.label,
                "outcome": decision.outcome,
                "job_id": decision.job_id,
                "reason": decision.reason,
            },
        )
        count(f"Fallback{decision.outcome.capitalize()}")


@dataclass(frozen=True, slots=True)
class ScheduleReport:
    """What a run of the schedule did."""

    sent_again: int
    decisions: tuple[DecisionSummary, ...]


@dataclass(frozen=True, slots=True)
class RunSchedule:
    """Sends again what is unsent; and, where the fallback is due, runs it. Harmless twice, as both are."""

    resend: ResendUnsent
    fallback: RunFallback
    now: Clock

    def __call__(self, run: ScheduledRun, *, correlation_id: str) -> ScheduleReport:
        """Whatever becomes of the fallback, the unsent is sent.

        Raises:
            ExceptionGroup: some of the fallback's steps failed.
        """
        decisions: tuple[Decision, ...] = ()
        try:
            if run.task == "fallback":
                decisions = self.fallback(run.scheduled_time or self.now(), correlation_id=correlation_id)
        finally:
            sent_again = self.resend()
        return ScheduleReport(sent_again, tuple(decision_summary_of(decision) for decision in decisions))
