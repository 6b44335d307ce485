"""Keeps `workers = min(max, ceil(backlog / per worker))` running: counts the backlog and the live jobs, submits what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Protocol

from glaciate.telemetry import count, logger

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.literals import JobStatusType
    from mypy_boto3_sqs import SQSClient

_LIVE: Final[tuple["JobStatusType", ...]] = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
_ENDED: Final = ("SUCCEEDED", "FAILED")
_LARGEST_ARRAY: Final = 10_000
_DESCRIBE_LIMIT: Final = 100
_SCHEDULED: Final = "Scheduled Event"  # what EventBridge Scheduler sends where its target names no input


def announces_work(event: Mapping[str, Any]) -> bool:
    """Whether a launcher was woken by an event of the bus, which reaches the queue at the same time, and not by the schedule."""
    return bool(event.get("detail-type", _SCHEDULED) != _SCHEDULED)


class Backlog(Protocol):
    """The work that is waiting or being done."""

    def messages(self) -> int:
        """How many messages the queue holds, visible and in flight."""


class Fleet(Protocol):
    """The workers."""

    def live(self) -> int:
        """How many are running or about to."""

    def start(self, workers: int) -> None:
        """Starts so many more."""


@dataclass(frozen=True, slots=True)
class KeepWorkersRunning:
    """Calling it twice at once starts too many workers at the worst: they find the queue empty and leave."""

    backlog: Backlog
    fleet: Fleet
    messages_per_worker: int
    max_workers: int

    def __call__(self, *, announced: bool = False) -> int:
        """Returns how many workers it started. Where work was `announced`, there is some, though the queue may not show it yet."""
        backlog = max(self.backlog.messages(), int(announced))
        wanted = min(self.max_workers, ceil(backlog / self.messages_per_worker))
        live = self.fleet.live() if wanted else 0
        missing = max(0, wanted - live)
        logger().info("workers counted", extra={"backlog": backlog, "wanted": wanted, "live": live, "started": missing})
        if missing:
            self.fleet.start(missing)
            count("WorkersStarted", missing)
        return missing


@dataclass(frozen=True, slots=True)
class SqsBacklog:
    """Counts an SQS queue; its numbers are approximate, which is why the launcher runs every minute as well."""

    sqs: "SQSClient"
    url: str

    def messages(self) -> int:
        """Visible messages and those in flight; a delayed one counts when it is due."""
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
        attributes = answer["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


@dataclass(frozen=True, slots=True)
class BatchFleet:
    """The live jobs of one Batch job queue, which belongs to one service."""

    batch: "BatchClient"
    job_queue: str
    job_definition: str
    job_name: str

    def live(self) -> int:
        """Jobs that have not ended; of an array, its children that have not."""
        job_ids: list[str] = []
        for status in _LIVE:
            for page in self.batch.get_paginator("list_jobs").paginate(jobQueue=self.job_queue, jobStatus=status):
                job_ids += [job["jobId"] for job in page["jobSummaryList"]]
        total = 0
        for start in range(0, len(job_ids), _DESCRIBE_LIMIT):
            for job in self.batch.describe_jobs(jobs=job_ids[start : start + _DESCRIBE_LIMIT])["jobs"]:
                array = job.get("arrayProperties", {})
                size = array.get("size", 1)
                ended = sum(array.get("statusSummary", {}).get(status, 0) for status in _ENDED)
                total += size - ended
        return total

    def start(self, workers: int) -> None:
        """Submits one job, or one array job (2 to 10,000 children)."""
        if workers == 1:
            self.batch.submit_job(jobName=self.job_name, jobQueue=self.job_queue, jobDefinition=self.job_definition)
            return
        size = min(workers, _LARGEST_ARRAY)
        self.batch.submit_job(
            jobName=self.job_name,
            jobQueue=self.job_queue,
            jobDefinition=self.job_definition,
            arrayProperties={"size": size},
        )
