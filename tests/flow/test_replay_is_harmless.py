"""Every message may be replayed, twice, long after its work is done: the real consumers, on the local cloud."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from glaciate.contracts import Command, Contract
from glaciate.events import EVENTS
from glaciate.messages import (
    COMMANDS,
    ArchiveCommand,
    DeleteArchivedSources,
    DeleteHeldSources,
    IndexArchive,
    PackArchive,
    PlanArchives,
    RebuildIndex,
    ThawFiles,
)
from glaciate.names import ArchiveId, archive_of_vault_key
from glaciate_cli.addressees import AddressedFunction, AddressedQueue
from glaciate_cli.api import Document
from glaciate_cli.dead_letters import DeadLetterQueue, Selection
from glaciate_cli.deployment import FUNCTIONS
from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud

CORRELATION = "replayed"


@dataclass(frozen=True)
class Past:
    """A job and a restore that have ended long ago, and what they left."""

    glaciate: LocalGlaciate
    prefix: str
    job: Document
    request: Document
    vault_key: str

    @property
    def archive_id(self) -> ArchiveId:
        return archive_of_vault_key(self.vault_key)

    @property
    def vault_bucket(self) -> str:
        return self.glaciate.place.bucket("vault")

    def traces(self) -> dict[str, Any]:
        """All that a second handling must not change."""
        api = self.glaciate.place.api
        return {
            "job": api.whole_status(self.job["job_id"]),
            "request": api.whole_status(self.request["request_id"]),
            "files": self.glaciate.found(prefix=self.prefix),
            "vault": self.glaciate.keys("vault", ""),
            "sources": self.glaciate.keys("source", self.prefix),
            "restored": [self.glaciate.content(file["location"]) for file in self.request["files"]],
        }


@pytest.fixture(scope="module")
def past(glaciate: LocalGlaciate) -> Past:
    prefix = "replayed/"
    glaciate.upload({f"{prefix}{number}.txt": b"again " * number for number in range(5)})
    job = glaciate.archive(prefix, disposition="delete")
    request = glaciate.restore(prefix=prefix)
    assert (job["state"], request["state"]) == ("COMPLETED", "COMPLETED")
    (vault_key,) = glaciate.keys("vault", f"{job['output_prefix']}{job['job_id']}")
    return Past(glaciate, prefix, job, request, vault_key)


def event(name: str, source: str, detail: dict[str, Any]) -> str:
    envelope = {
        "version": "0",
        "id": CORRELATION,
        "detail-type": name,
        "source": source,
        "account": "000000000000",
        "time": datetime.now(UTC).isoformat(),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
    return json.dumps(envelope)


def fact(name: str, make: Callable[[Past], dict[str, Any]]) -> Callable[[Past], str]:
    return lambda past: event(name, "glaciate", {"correlation_id": CORRELATION, "project": "demo", **make(past)})


def told(past: Past) -> dict[str, Any]:
    """What every notified event says."""
    return {"topic_arn": past.glaciate.place.local["topic_arn"]}


def about_archive(
    contract: type[ArchiveCommand],
) -> Callable[[Past], str]:
    """A command about the archive of the past."""
    return lambda past: contract(
        correlation_id=CORRELATION,
        job_id=past.job["job_id"],
        archive_id=past.archive_id,
        project=past.job["project"],
        bucket=past.job["bucket"],
        first_key=f"{past.prefix}0.txt",
    ).to_body()


MESSAGES: dict[str, tuple[str, Callable[[Past], str]]] = {
    "PlanArchives.v1": (
        "pack",
        lambda past: PlanArchives(correlation_id=CORRELATION, job_id=past.job["job_id"]).to_body(),
    ),
    "PackArchive.v1": ("pack", about_archive(PackArchive)),
    "DeleteHeldSources.v1": (
        "pack",
        lambda past: DeleteHeldSources(correlation_id=CORRELATION, job_id=past.job["job_id"]).to_body(),
    ),
    "DeleteArchivedSources.v1": ("pack", about_archive(DeleteArchivedSources)),
    "RebuildIndex.v1": (
        "pack",
        lambda past: RebuildIndex(correlation_id=CORRELATION, project=past.job["project"]).to_body(),
    ),
    "IndexArchive.v1": ("pack", about_archive(IndexArchive)),
    "ThawFiles.v1": (
        "thaw",
        lambda past: ThawFiles(correlation_id=CORRELATION, request_id=past.request["request_id"]).to_body(),
    ),
    "ArchiveReadable.v1": (
        "unpack",
        fact(
            "ArchiveReadable.v1",
            lambda past: {
                "archive_id": past.archive_id,
                "vault_bucket": past.vault_bucket,
                "vault_key": past.vault_key,
            },
        ),
    ),
    "Object Restore Completed": (
        "unpack",
        lambda past: event(
            "Object Restore Completed",
            "aws.s3",
            {"bucket": {"name": past.vault_bucket}, "object": {"key": past.vault_key, "size": 1}},
        ),
    ),
    "ArchiveJobCompleted.v1": (
        "notify",
        fact(
            "ArchiveJobCompleted.v1",
            lambda past: {
                **told(past),
                "job_id": past.job["job_id"],
                "bucket": past.job["bucket"],
                "prefix": past.prefix,
                "outcome": "COMPLETED",
                **{
                    name: past.job["counts"][name]
                    for name in ("archived", "skipped", "failed", "archives", "bytes_in", "bytes_out")
                },
            },
        ),
    ),
    "SourcesDeleted.v1": (
        "notify",
        fact(
            "SourcesDeleted.v1",
            lambda past: {
                **told(past),
                "job_id": past.job["job_id"],
                "bucket": past.job["bucket"],
                "prefix": past.prefix,
                "deleted": 5,
                "left": 0,
            },
        ),
    ),
    "RestoreAccepted.v1": (
        "notify",
        fact(
            "RestoreAccepted.v1",
            lambda past: {**told(past), "request_id": past.request["request_id"], "wanted": past.prefix},
        ),
    ),
    "RestoreExpiryApproached.v1": (
        "notify",
        fact(
            "RestoreExpiryApproached.v1",
            lambda past: {
                **told(past),
                "request_id": past.request["request_id"],
                "wanted": past.prefix,
                "restored": past.request["counts"]["restored"],
                "location": "s3://somewhere/",
                "available_until": past.request["finished_at"],
            },
        ),
    ),
    "RestoreCompleted.v1": (
        "notify",
        fact(
            "RestoreCompleted.v1",
            lambda past: {
                **told(past),
                "request_id": past.request["request_id"],
                "outcome": "COMPLETED",
                "wanted": past.prefix,
                **{name: past.request["counts"][name] for name in ("files", "restored", "failed", "missing")},
            },
        ),
    ),
}

MINUTE = event("Scheduled Event", "aws.scheduler", {})
CALLS: dict[str, list[Callable[[Past], str]]] = {
    "packer-launch": [
        lambda past: MINUTE,
        fact("ArchiveJobAccepted.v1", lambda past: {"job_id": past.job["job_id"], "bucket": past.job["bucket"]}),
    ],
    "unpacker-launch": [
        lambda past: MINUTE,
        MESSAGES["ArchiveReadable.v1"][1],
        MESSAGES["Object Restore Completed"][1],
    ],
    "restore-intake-sweep": [lambda past: MINUTE],
    "archive-intake-schedule": [
        lambda past: json.dumps({"task": "resend"}),
        lambda past: json.dumps({"scheduled_time": past.job["finished_at"]}),
    ],
}


def test_every_message_of_a_queue_and_every_call_is_tried_here() -> None:
    queued = {contract.name for contract in (*COMMANDS, *EVENTS) if _is_queued(contract)}

    assert queued == set(MESSAGES)
    assert set(CALLS) == set(FUNCTIONS)


def _is_queued(contract: type[Contract]) -> bool:
    """Commands are; of the events, those with a consumer that has a queue: a launcher is called instead."""
    return issubclass(contract, Command) or (
        bool({"unpacker", "notifier"} & set(contract.consumers)) and contract.name != "ArchiveJobAccepted.v1"
    )


@pytest.mark.slow
def test_replaying_each_message_and_each_call_twice_changes_nothing(past: Past) -> None:
    before = past.traces()

    for _ in range(2):
        _replay_all(past)

        assert past.traces() == before


def _replay_all(past: Past) -> None:
    """All at once: every message into its dead letters, back, and handled by the workers that replayed calls have started."""
    sqs, local = past.glaciate.place.sqs, past.glaciate.place.local
    urls = local["queues"]
    queues = sorted({queue for queue, _make in MESSAGES.values()})
    with past.glaciate.client("lambda") as functions:
        letters = [DeadLetterQueue(sqs, urls[f"{queue}_dlq"], AddressedQueue(sqs, urls[queue])) for queue in queues]
        for name in CALLS:
            called = AddressedFunction(functions, local["functions"][name]["name"])
            letters.append(DeadLetterQueue(sqs, local["functions"][name]["dlq"], called))
        before = [one.count() for one in letters]  # what other tests have left
        bodies = [(urls[f"{queue}_dlq"], make(past)) for queue, make in MESSAGES.values()]
        bodies += [(local["functions"][name]["dlq"], call(past)) for name, calls in CALLS.items() for call in calls]
        sent = tuple(sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for url, body in bodies)

        done = [one.replay(Selection(message_ids=sent)) for one in letters]

    assert {letter.message_id for one in done for letter in one.replayed} == set(sent)
    for queue in queues:
        until(f"{queue} to be empty", lambda queue=queue: _messages(past, urls[queue]) == 0, seconds=180)
    assert [one.count() for one in letters] == before


def _messages(past: Past, url: str) -> int:
    found = past.glaciate.place.sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )
    return sum(int(count) for count in found["Attributes"].values())
