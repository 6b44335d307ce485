"""Archive by schedule what nobody asked for."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from archive_intake.application.accepting import AcceptArchive, Clock, ResendUnsent
from archive_intake.application.holding import DeleteDue
from archive_intake.domain.answers import (
    DecisionSummary,
    decision_summary_of,
)
from archive_intake.domain.fallback import Decision, DecisionOutcome, DuePrefix, ScheduledRun, covering_job, due_prefix
from archive_intake.domain.jobs import WantedJob
from archive_intake.ports import Decisions, Jobs, Projects
from glaciate.errors import Problem
from glaciate.jobs import order
from glaciate.names import ProjectName
from glaciate.projects import Project
from glaciate.requests import ArchiveRequest
from glaciate.telemetry import count, logger


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
    due: int  # jobs whose held sources are being deleted
    decisions: tuple[DecisionSummary, ...]


@dataclass(frozen=True, slots=True)
class RunSchedule:
    """Sends again what is unsent, has held sources deleted when due, and runs the fallback when due. Harmless twice, as all are."""

    resend: ResendUnsent
    delete_due: DeleteDue
    fallback: RunFallback
    now: Clock

    def __call__(self, run: ScheduledRun, *, correlation_id: str) -> ScheduleReport:
        """Whatever becomes of one of them, the others are done.

        Raises:
            ExceptionGroup: some of the fallback's steps failed.
        """
        decisions: tuple[Decision, ...] = ()
        try:
            if run.task == "fallback":
                decisions = self.fallback(run.scheduled_time or self.now(), correlation_id=correlation_id)
        finally:
            try:
                sent_again = self.resend()
            finally:
                due = self.delete_due()
        return ScheduleReport(sent_again, due, tuple(decision_summary_of(decision) for decision in decisions))
