"""Builds the use cases, once, on first use."""

from functools import cache
from zoneinfo import ZoneInfo

from archive_intake.adapters.dynamo import DynamoDecisions, DynamoJobs, utc_now
from archive_intake.adapters.s3 import S3Manifests, S3SkippedFiles, S3Sources, S3Vault
from archive_intake.application.accepting import AcceptArchive, CheckRequest, ResendUnsent, SendAccepted
from archive_intake.application.estimating import EstimateArchive
from archive_intake.application.holding import DeleteDue, KeepSources
from archive_intake.application.manifests import LookAtManifest, SampleManifest
from archive_intake.application.reporting import DescribeJob, ListJobs
from archive_intake.application.scheduling import RunFallback, RunSchedule
from archive_intake.settings import IntakeSettings
from glaciate import aws, tables
from glaciate.holds import DynamoHolds
from glaciate.outbox import EventBridgeBus, SqsCommandQueue
from glaciate.projects import SsmProjects


@cache
def settings() -> IntakeSettings:
    """What the environment says."""
    return IntakeSettings()


@cache
def _projects() -> SsmProjects:
    return SsmProjects(settings().projects_parameter)


@cache
def _jobs() -> DynamoJobs:
    tables.bind(jobs=settings().jobs_table)
    return DynamoJobs()


@cache
def _decisions() -> DynamoDecisions:
    tables.bind(jobs=settings().jobs_table)
    return DynamoDecisions()


@cache
def _manifests() -> S3Manifests:
    return S3Manifests(aws.s3())


@cache
def _send() -> SendAccepted:
    return SendAccepted(
        _jobs(),
        SqsCommandQueue(aws.sqs(), settings().pack_queue_url),
        EventBridgeBus(aws.events(), settings().event_bus_name),
    )


@cache
def check_request() -> CheckRequest:
    """Checks what `POST /archive` asks for."""
    here = settings()
    return CheckRequest(
        _projects(),
        here.aws_region,
        here.account_id,
        here.topic_arn,
        LookAtManifest(_manifests()),
        here.worker_memory_mib // here.worker_vcpu,
    )


@cache
def accept_archive() -> AcceptArchive:
    """Accepts what `POST /archive` asks for."""
    return AcceptArchive(_jobs(), _send(), utc_now)


@cache
def estimate_archive() -> EstimateArchive:
    """Answers `POST /archive` with `dry_run`."""
    return EstimateArchive(_jobs(), S3Sources(aws.s3()), SampleManifest(_manifests()))


@cache
def describe_job() -> DescribeJob:
    """Answers `GET /archive/{job_id}`."""
    return DescribeJob(
        _jobs(),
        S3SkippedFiles(aws.s3(), settings().work_bucket),
        S3Vault(aws.s3(), settings().vault_bucket),
        DynamoHolds(),
    )


@cache
def keep_sources() -> KeepSources:
    """Answers `POST /archive/{job_id}/keep`."""
    return KeepSources(_jobs(), DynamoHolds(), utc_now)


@cache
def list_jobs() -> ListJobs:
    """Answers `GET /archive?project_name=`."""
    return ListJobs(_projects(), _jobs(), _decisions())


@cache
def run_schedule() -> RunSchedule:
    """Runs the schedule: what is unsent, and the fallback."""
    here = settings()
    fallback = RunFallback(
        projects=_projects(),
        jobs=_jobs(),
        decisions=_decisions(),
        accept=accept_archive(),
        now=utc_now,
        zone=ZoneInfo(here.schedule_timezone),
        topic_arn=here.topic_arn,
        stage_url=here.api_url.rstrip("/") or None,
    )
    queue = SqsCommandQueue(aws.sqs(), here.pack_queue_url)
    delete_due = DeleteDue(_jobs(), DynamoHolds(), queue, utc_now)
    return RunSchedule(ResendUnsent(_jobs(), _send(), utc_now), delete_due, fallback, utc_now)
