"""Accept archive jobs, and send them on their way."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from archive_intake.application.manifests import LookAtManifest
from archive_intake.domain.fallback import Decision, DecisionOutcome, DuePrefix
from archive_intake.domain.jobs import Job, JobState, RunningJobs, WantedJob, fingerprint
from archive_intake.ports import Jobs, Projects
from glaciate.api import require_deployment
from glaciate.contracts import CorrelationId
from glaciate.errors import Transient, conflict, unprocessable
from glaciate.events import ArchiveJobAccepted
from glaciate.jobs import order, too_large_for
from glaciate.messages import PlanArchives
from glaciate.names import JobId, new_job_id
from glaciate.outbox import CommandQueue, EventBus
from glaciate.requests import ArchiveRequest
from glaciate.telemetry import correlated, count, logger

_ATTEMPTS: Final = 12
_FORGET_AT_ONCE: Final = 20  # of the oldest running jobs, so many are looked at by each call: more go than come
_RESEND_AFTER: Final = timedelta(minutes=2)

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


def look_around(jobs: Jobs, wanted: WantedJob, running: RunningJobs) -> tuple[tuple[JobId, ...], Job | None]:
    """What stands where a wanted job would go: the jobs that have ended and may be forgotten, or the job that is this very call's.

    Raises:
        Problem: 409, a running job overlaps.
    """
    meeting = running.meeting(wanted.order.prefix)
    known = {other.job_id: other for other in (*meeting, *running.jobs[:_FORGET_AT_ONCE])}
    found = jobs.find(known)
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
            ended, same = look_around(self.jobs, wanted, running)
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


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Makes a call's body into the job it asks for, where the deployment and the project's configuration allow it."""

    projects: Projects
    region: str
    account: str
    topic_arn: str
    look: LookAtManifest
    worker_memory_mib: int  # of each process

    def __call__(
        self, request: ArchiveRequest, *, idempotency_key: str | None, correlation_id: CorrelationId, stage_url: str
    ) -> WantedJob:
        """Checks and fills in the project's defaults; records nothing.

        Raises:
            Problem: 422, another region or account, a manifest that cannot be used, or too little memory; 404, no such project;
                403, a bucket it may not use.
        """
        require_deployment(request, region=self.region, account=self.account)
        project = self.projects.load().require(request.project_name)
        project.require_bucket(request.bucket_name)
        uri = request.manifest.uri if request.manifest else None
        wanted = order(request, project, source=self.look(request, project, uri) if uri else None)
        if reason := too_large_for(self.worker_memory_mib, wanted):
            raise unprocessable("ThresholdTooLarge", reason, {"direct_threshold": wanted.direct_threshold_bytes})
        return WantedJob(
            order=wanted,
            fingerprint=fingerprint(request, idempotency_key),
            correlation_id=correlation_id,
            topic_arn=project.topic(None, stack_topic=self.topic_arn),
            stage_url=stage_url,
        )
