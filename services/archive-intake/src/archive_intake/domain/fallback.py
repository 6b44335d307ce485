"""Which prefix a fallback rule makes due, and what may be decided about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import to_json

from archive_intake.domain.jobs import Job, covers
from glaciate.names import JobId
from glaciate.projects import FallbackSchedule
from glaciate.requests import Moment


def _filled_in(value: object) -> object:
    return None if isinstance(value, str) and value.startswith("<aws.scheduler.") else value


class ScheduledRun(BaseModel):
    """What the schedule asks for. A placeholder that nobody has filled in counts as left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: Literal["fallback", "resend"] = "fallback"
    scheduled_time: Annotated[Moment | None, BeforeValidator(_filled_in)] = None


class DecisionOutcome(StrEnum):
    """What the fallback did."""

    STARTED = "STARTED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class DuePrefix:
    """One fallback rule on one day; `period_start` is the day's first moment in the schedule's time zone."""

    bucket: str
    prefix: str
    day: date
    period_start: datetime
    decision_id: str

    @property
    def label(self) -> str:
        """The day, for people and for the job's row."""
        return self.day.isoformat()


def due_prefix(rule: FallbackSchedule, *, at: datetime, zone: ZoneInfo) -> DuePrefix:
    """What a rule wants archived by a run at `at`. The same rule and day give the same `decision_id`."""
    day = date.fromordinal(at.astimezone(zone).date().toordinal() - rule.days_ago)
    rule_digest = sha256(to_json([rule.bucket, rule.prefix])).hexdigest()[:16]
    return DuePrefix(
        bucket=rule.bucket,
        prefix=rule.prefix_of(day),
        day=day,
        period_start=datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC),
        decision_id=f"{day.isoformat()}#{rule_digest}",
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What the fallback decided about a due prefix, and why."""

    due: DuePrefix
    outcome: DecisionOutcome
    decided_at: datetime
    job_id: JobId | None = None
    reason: str | None = None


def covering_job(due: DuePrefix, jobs: Iterable[Job]) -> Job | None:
    """The first of the jobs that takes everything under a due prefix, if there is one.

    A job with filters or a manifest does not take everything; one that the fallback started for another day does not count for this one.
    """
    for job in jobs:
        order = job.order
        whole = not (order.include or order.exclude or order.older_than or order.source)
        of_this_day = job.scheduled_for in {None, due.label}
        if order.bucket == due.bucket and covers(order.prefix, due.prefix) and whole and of_this_day:
            return job
    return None
