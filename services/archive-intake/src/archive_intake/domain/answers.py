"""What the API answers: how a job stands, and lists of jobs and decisions."""

from dataclasses import dataclass, field
from datetime import datetime

from archive_intake.domain.fallback import Decision, DecisionOutcome
from archive_intake.domain.jobs import Counts, Job, JobState
from glaciate.costs import Cost, lifecycle_cost, packed_cost, price_list
from glaciate.holds import Hold, HoldState
from glaciate.names import ArchiveId, JobId
from glaciate.requests import DeleteAfterDays, Disposition


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A source file that was left where it is."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveObject:
    """An archive of a job that is complete in the vault."""

    archive_id: ArchiveId
    location: str
    size_bytes: int
    storage_class: str


@dataclass(frozen=True, slots=True)
class PriceNote:
    """Which prices a cost was reckoned with."""

    date: str
    region: str
    currency: str


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """What the archived files have cost, and what moving them by a lifecycle rule would have."""

    packed: Cost
    lifecycle_rule: Cost
    prices: PriceNote


def price_note() -> PriceNote:
    """The price file's own words about itself."""
    prices = price_list()
    return PriceNote(date=prices["date"], region=prices["region"], currency=prices["currency"])


def cost_so_far(job: Job) -> CostSoFar:
    """The cost of what is archived until now, by the price file."""
    counts, storage_class = job.counts, job.order.storage_class
    return CostSoFar(
        packed=packed_cost(
            files=counts.archived,
            size_bytes=counts.bytes_out,
            archives=counts.archives,
            storage_class=storage_class,
            tagged=job.order.preserve_tags,
        ),
        lifecycle_rule=lifecycle_cost(files=counts.archived, size_bytes=counts.bytes_in, storage_class=storage_class),
        prices=price_note(),
    )


@dataclass(frozen=True, slots=True)
class HeldSources:
    """What becomes of the sources of a job that deletes them some days after. `due_at` is known once the job has ended.

    `deleted` and `left` count as deletion goes on; left are files that had changed since, or whose archive is gone.
    """

    state: HoldState
    delete_after_days: int
    due_at: datetime | None
    deleted: int
    left: int
    decided_at: datetime | None
    deleted_at: datetime | None


def sources_of(job: Job, hold: Hold | None) -> HeldSources | None:
    """None for a job that holds nothing: it keeps or deletes at once, or has archived nothing."""
    disposition = job.order.disposition
    if not isinstance(disposition, DeleteAfterDays) or (hold is None and job.state.ended and not job.counts.archived):
        return None
    hold = hold or Hold(job.job_id, HoldState.HELD)
    return HeldSources(
        state=hold.state,
        delete_after_days=disposition.delete_after_days,
        due_at=hold.due_at,
        deleted=hold.deleted,
        left=hold.left,
        decided_at=hold.decided_at,
        deleted_at=hold.ended_at,
    )


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer of `POST /archive/{job_id}/keep`."""

    job_id: JobId
    state: JobState
    sources: HeldSources | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The answer of `GET /archive/{job_id}`; `next_token` asks for more of `skipped`, `archives_next_token` of `archives`."""

    job_id: JobId
    state: JobState
    project: str
    bucket: str
    prefix: str
    manifest_uri: str | None  # the list that names the files; None where the prefix is listed
    storage_class: str
    output_prefix: str
    disposition: Disposition | DeleteAfterDays
    sources: HeldSources | None
    counts: Counts
    skipped: tuple[SkippedFile, ...]
    next_token: str | None
    archives: tuple[ArchiveObject, ...]
    archives_next_token: str | None
    accepted_at: datetime
    finished_at: datetime | None
    scheduled_for: str | None
    reason: str | None
    status_url: str | None
    cost: CostSoFar


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """Some of a job's skipped files, and the token to go on with, if there are more."""

    files: tuple[SkippedFile, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class ArchivesPage:
    """Some of a job's archives, and the token to go on with, if there are more."""

    archives: tuple[ArchiveObject, ...]
    next_token: str | None


def status_of(job: Job, *, skipped: SkippedPage, archives: ArchivesPage, hold: Hold | None = None) -> JobStatus:
    """How a job stands."""
    order = job.order
    return JobStatus(
        job_id=job.job_id,
        state=job.state,
        project=order.project,
        bucket=order.bucket,
        prefix=order.prefix,
        manifest_uri=order.source.uri if order.source else None,
        storage_class=order.storage_class,
        output_prefix=order.output_prefix,
        disposition=order.disposition,
        sources=sources_of(job, hold),
        counts=job.counts,
        skipped=skipped.files,
        next_token=skipped.next_token,
        archives=archives.archives,
        archives_next_token=archives.next_token,
        accepted_at=job.accepted_at,
        finished_at=job.finished_at,
        scheduled_for=job.scheduled_for,
        reason=job.reason,
        status_url=job.status_url,
        cost=cost_so_far(job),
    )


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list."""

    job_id: JobId
    state: JobState
    bucket: str
    prefix: str
    counts: Counts
    accepted_at: datetime
    finished_at: datetime | None
    scheduled_for: str | None
    reason: str | None
    status_url: str | None


@dataclass(frozen=True, slots=True)
class DecisionSummary:
    """A fallback decision in a list."""

    day: str
    bucket: str
    prefix: str
    outcome: DecisionOutcome
    decided_at: datetime
    job_id: JobId | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ProjectJobs:
    """The answer of `GET /archive?project_name=`: jobs newest first, and on the first page the fallback's last decisions."""

    project_name: str
    jobs: tuple[JobSummary, ...]
    fallback: tuple[DecisionSummary, ...] = field(default=())
    next_token: str | None = None


def summary_of(job: Job) -> JobSummary:
    """A job as a list shows it."""
    return JobSummary(
        job_id=job.job_id,
        state=job.state,
        bucket=job.order.bucket,
        prefix=job.order.prefix,
        counts=job.counts,
        accepted_at=job.accepted_at,
        finished_at=job.finished_at,
        scheduled_for=job.scheduled_for,
        reason=job.reason,
        status_url=job.status_url,
    )


def decision_summary_of(decision: Decision) -> DecisionSummary:
    """A decision as a list shows it."""
    return DecisionSummary(
        day=decision.due.label,
        bucket=decision.due.bucket,
        prefix=decision.due.prefix,
        outcome=decision.outcome,
        decided_at=decision.decided_at,
        job_id=decision.job_id,
        reason=decision.reason,
    )
