"""Never lose a file, proven: real workers against a local cloud, each with one accident, and what is left in the end."""

import csv
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from faults import tried
from glaciate.manifests import SourceList
from glaciate.names import JobId
from glaciate.requests import DeleteAfterDays, Disposition, StorageClass
from glaciate_local.cloud import Server
from packer_cloud import PackerCloud

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

NOISE = random.Random(3).randbytes
FILES = {f"in/{number}.csv": b"a,b\n" * number * 10 for number in range(5)} | {
    "in/odd//key": b"odd",
    "in/noise": NOISE(999),
}
BIG = {"in/3-big": NOISE(5000)}
SCRIPT = Path(__file__).parents[1] / "fault_worker.py"
SHARES = 10  # of every single call, so that each test ends in a minute or two
ERRORS = ("InternalError", "SlowDown", "answer lost")


@dataclass
class Workers:
    """Forks a worker for each wish."""

    process: "subprocess.Popen[str]"

    def run(self, packer: PackerCloud, at: str | None = None, accident: str | None = None) -> dict[str, Any]:
        if accident is not None:
            tried("to pack workers that are processes")
        environment = packer.environment(
            VISIBILITY_SECONDS="2", LEASE_SECONDS="2", FETCH_CONCURRENCY="1", PYTHONPATH=":".join(sys.path)
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"environment": environment, "at": at, "accident": accident}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    log = tmp_path_factory.mktemp("faults") / "workers.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        yield Workers(process)
        assert process.stdin is not None
        process.stdin.close()


def prepared(server: Server) -> tuple[PackerCloud, JobId]:
    packer = PackerCloud(server)
    packer.put(FILES | BIG)
    job_id = packer.accept(
        "in/",
        max_files=4,
        disposition=Disposition.DELETE,
        direct_threshold_bytes=4000,
        storage_class=StorageClass.STANDARD,  # readable at once
    )
    return packer, job_id


def prepared_with_manifest(server: Server) -> tuple[PackerCloud, JobId]:
    """The same files, named by a CSV in no order, one of them twice, every other without its ETag."""
    packer = PackerCloud(server)
    packer.put(FILES | BIG)
    rows: list[list[object]] = [
        [packer.source, key, len(body), md5(body, usedforsecurity=False).hexdigest() if place % 2 else ""]
        for place, (key, body) in enumerate(sorted((FILES | BIG).items(), reverse=True))
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*rows, rows[0]])
    etag = packer.s3.put_object(Bucket=packer.work, Key="list.csv", Body=text.getvalue().encode())["ETag"]
    job_id = packer.accept(
        "in/",
        max_files=4,
        disposition=Disposition.DELETE,
        direct_threshold_bytes=4000,
        storage_class=StorageClass.STANDARD,  # readable at once
        source=SourceList(kind="csv", bucket=packer.work, key="list.csv", etag=etag),
    )
    return packer, job_id


@pytest.fixture(scope="module")
def manifest_calls(server: Server, workers: Workers) -> list[str]:
    """Every call to AWS of planning from a manifest, until the first archive is claimed."""
    packer, job_id = prepared_with_manifest(server)
    answer = workers.run(packer)
    assert_all_is_archived(packer, job_id)
    labels: list[str] = answer["calls"]
    return labels[: labels.index("S3.ListMultipartUploads#1")]


@pytest.fixture(scope="module")
def calls(server: Server, workers: Workers) -> list[str]:
    """Every call to AWS of a job without an accident, in order."""
    packer, job_id = prepared(server)
    answer = workers.run(packer)
    assert_all_is_archived(packer, job_id)
    labels: list[str] = answer["calls"]
    return labels


def assert_all_is_archived(packer: PackerCloud, job_id: JobId) -> None:
    job = packer.job(job_id)
    assert job["state"] == "COMPLETED"
    rows = packer.archive_rows()
    assert [row["state"] for row in rows] == ["DONE"] * 3
    archived: dict[str, bytes] = {}
    members = 0
    for row in rows:
        catalog = packer.catalog(row["archive_id"])
        body = packer.thawed(row["vault_key"])
        for member in catalog.members:
            members += 1
            data = body[member.offset : member.offset + member.compressed_size]
            archived[member.key] = unpack(data, member.method)
    assert archived == FILES | BIG
    assert members == len(archived), "no file is in two archives"
    assert packer.keys(packer.source) == []
    assert len(packer.file_rows()) == len(archived)
    assert len(packer.keys(packer.vault, "archives/")) == 3
    assert packer.open_uploads() == []
    counts = {name: int(job[name]) for name in ("listed", "planned", "archived", "skipped", "failed", "archives")}
    assert counts == {"listed": 8, "planned": 8, "archived": 8, "skipped": 0, "failed": 0, "archives": 3}
    assert int(job["bytes_in"]) == sum(map(len, archived.values()))
    completed = [detail for name, detail in packer.told() if name == "ArchiveJobCompleted.v1"]
    assert completed[0]["outcome"] == "COMPLETED"
    assert packer.job(job_id)["announced"]


def unpack(data: bytes, method: int) -> bytes:
    import zlib

    return zlib.decompress(data, -15) if method == 8 else data


def last_of_each_kind(calls: list[str]) -> list[str]:
    """Of each kind of call the last: what came before it is done, and must not be done again."""
    return sorted({label.partition("#")[0]: label for label in calls}.values())


def first_of_each_kind(calls: list[str]) -> list[str]:
    """Of each kind of call the first."""
    return sorted(label for label in calls if label.endswith("#1"))


def endure(
    server: Server,
    workers: Workers,
    at: str,
    accident: str,
    prepare: Callable[[Server], tuple[PackerCloud, JobId]] = prepared,
) -> None:
    packer, job_id = prepare(server)

    workers.run(packer, at, accident)
    workers.run(packer)

    try:
        assert_all_is_archived(packer, job_id)
    except AssertionError as error:
        msg = f"{accident} {at}: {error}"
        raise AssertionError(msg) from error


@pytest.mark.timeout(1200)
def test_a_worker_killed_after_each_kind_of_call_loses_nothing(
    server: Server, workers: Workers, calls: list[str]
) -> None:
    for label in last_of_each_kind(calls):
        endure(server, workers, f"after {label}", "kill")


@pytest.mark.timeout(1200)
def test_a_planner_killed_after_each_kind_of_call_while_it_reads_a_manifest_loses_nothing(
    server: Server, workers: Workers, manifest_calls: list[str]
) -> None:
    for label in last_of_each_kind(manifest_calls):
        endure(server, workers, f"after {label}", "kill", prepared_with_manifest)


@pytest.mark.timeout(1200)
def test_each_kind_of_call_may_fail_once_while_a_manifest_is_read(
    server: Server, workers: Workers, manifest_calls: list[str]
) -> None:
    for label, error in zip(first_of_each_kind(manifest_calls), cycle(ERRORS), strict=False):
        endure(server, workers, f"instead of {label}", error, prepared_with_manifest)


@pytest.mark.very_slow
@pytest.mark.timeout(1200)
def test_a_planner_killed_after_any_call_while_it_reads_a_manifest_loses_nothing(
    server: Server, workers: Workers, manifest_calls: list[str]
) -> None:
    assert {"S3.GetObject", "S3.PutObject", "DynamoDB.TransactWriteItems"} <= {
        label.partition("#")[0] for label in manifest_calls
    }
    for label in manifest_calls:
        endure(server, workers, f"after {label}", "kill", prepared_with_manifest)


@pytest.mark.very_slow
@pytest.mark.timeout(1200)
def test_any_call_may_fail_once_while_a_manifest_is_read(
    server: Server, workers: Workers, manifest_calls: list[str]
) -> None:
    for label, error in zip(manifest_calls, cycle(ERRORS), strict=False):
        endure(server, workers, f"instead of {label}", error, prepared_with_manifest)


@pytest.mark.very_slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_worker_killed_around_every_single_call_loses_nothing(
    server: Server, workers: Workers, calls: list[str], share: int
) -> None:
    for label in calls[share::SHARES]:
        for moment in ("before", "after"):
            endure(server, workers, f"{moment} {label}", "kill")


@pytest.mark.timeout(1200)
def test_each_kind_of_call_may_fail_once(server: Server, workers: Workers, calls: list[str]) -> None:
    for label, error in zip(first_of_each_kind(calls), cycle(ERRORS), strict=False):
        endure(server, workers, f"instead of {label}", error)


@pytest.mark.very_slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("error", ERRORS)
def test_each_kind_of_call_may_fail_once_in_each_way(
    server: Server, workers: Workers, calls: list[str], error: str
) -> None:
    for label in first_of_each_kind(calls):
        endure(server, workers, f"instead of {label}", error)


@pytest.mark.parametrize(
    ("at", "accident"),
    [
        ("instead of curl.GetObject#2", "body cut"),
        ("instead of curl.BatchWriteItem#1", "unprocessed"),
        ("instead of curl.BatchWriteItem#2", "ProvisionedThroughputExceededException"),
        ("instead of DynamoDB.TransactWriteItems#2", "ThrottlingException"),
        ("instead of S3.CompleteMultipartUpload#1", "ConditionalRequestConflict"),
    ],
)
def test_what_is_particular_to_a_call_is_endured(
    server: Server, workers: Workers, calls: list[str], at: str, accident: str
) -> None:
    assert at.removeprefix("instead of ") in calls

    endure(server, workers, at, accident)


def test_sigterm_in_the_middle_of_an_archive_gives_everything_back_at_once(
    server: Server, workers: Workers, calls: list[str]
) -> None:
    packer, job_id = prepared(server)

    answer = workers.run(packer, "before curl.GetObject#3", "terminate")

    assert answer["status"] == 0
    assert packer.open_uploads() == []
    assert not any("lease_owner" in row for row in packer.archive_rows())
    names = ["ApproximateNumberOfMessagesNotVisible"]
    told = packer.sqs.get_queue_attributes(QueueUrl=packer.queue("pack"), AttributeNames=names)["Attributes"]
    assert told == {names[0]: "0"}
    workers.run(packer)
    assert_all_is_archived(packer, job_id)


def test_two_workers_and_every_message_twice(server: Server) -> None:
    packer, job_id = prepared(server)
    url = packer.queue("pack")
    (message,) = packer.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    packer.send(message["Body"])

    both = [packer.start_worker(IDLE_SECONDS="4") for _ in range(2)]
    for worker in both:
        said, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0, said.decode()

    assert_all_is_archived(packer, job_id)


@pytest.mark.parametrize("moment", ["before S3.CompleteMultipartUpload#1", "before S3.DeleteObjects#1"])
def test_a_source_rewritten_while_the_worker_is_dead_is_kept(
    server: Server, workers: Workers, calls: list[str], moment: str
) -> None:
    packer, job_id = prepared(server)

    workers.run(packer, moment, "kill")
    packer.put({"in/1.csv": b"rewritten"})
    workers.run(packer)

    job = packer.job(job_id)
    assert packer.keys(packer.source) == ["in/1.csv"]
    assert packer.skipped(job_id).keys() == {"in/1.csv"}
    archived = {member.key for row in packer.archive_rows() for member in packer.catalog(row["archive_id"]).members}
    if "DeleteObjects" in moment:
        assert job["state"] == "COMPLETED"
        assert archived == set(FILES | BIG)
    else:
        assert job["state"] == "PARTIAL"
        assert archived == set(FILES | BIG) - {"in/1.csv"}
        assert job["skipped"] == "1"


def held(server: Server, workers: Workers) -> tuple[PackerCloud, JobId]:
    """A job has ended whose sources were held, and their day has come."""
    packer = PackerCloud(server)
    packer.put(FILES | BIG)
    job_id = packer.accept(
        "in/",
        max_files=4,
        disposition=DeleteAfterDays(delete_after_days=1),
        direct_threshold_bytes=4000,
        storage_class=StorageClass.STANDARD,
    )
    workers.run(packer)
    assert packer.hold(job_id)["state"] == "HELD"
    packer.delete_held(job_id)
    return packer, job_id


@pytest.fixture(scope="module")
def deletion_calls(server: Server, workers: Workers) -> list[str]:
    """Every call to AWS of a deletion without an accident, in order."""
    packer, job_id = held(server, workers)
    answer = workers.run(packer)
    assert_all_is_deleted(packer, job_id)
    labels: list[str] = answer["calls"]
    return labels


def assert_all_is_deleted(packer: PackerCloud, job_id: JobId) -> None:
    assert packer.keys(packer.source) == []
    hold = packer.hold(job_id)
    assert (hold["state"], hold["archives"], hold["deleted"], hold["left"]) == ("DELETED", "3", "8", "0")
    assert hold["announced"]
    assert "list_key" not in hold
    told = [detail for name, detail in packer.told(until="SourcesDeleted.v1") if name == "SourcesDeleted.v1"]
    assert (told[0]["deleted"], told[0]["left"]) == (8, 0)
    assert len(packer.keys(packer.vault, "archives/")) == 3


def endure_deletion(server: Server, workers: Workers, at: str, accident: str) -> None:
    packer, job_id = held(server, workers)

    workers.run(packer, at, accident)
    workers.run(packer)

    try:
        assert_all_is_deleted(packer, job_id)
    except AssertionError as error:
        msg = f"deletion: {accident} {at}: {error}"
        raise AssertionError(msg) from error


@pytest.mark.timeout(1200)
def test_a_worker_killed_after_each_kind_of_call_of_a_deletion_loses_nothing(
    server: Server, workers: Workers, deletion_calls: list[str]
) -> None:
    for label in last_of_each_kind(deletion_calls):
        endure_deletion(server, workers, f"after {label}", "kill")


@pytest.mark.very_slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_worker_killed_around_every_single_call_of_a_deletion_loses_nothing(
    server: Server, workers: Workers, deletion_calls: list[str], share: int
) -> None:
    for label in deletion_calls[share::SHARES]:
        for moment in ("before", "after"):
            endure_deletion(server, workers, f"{moment} {label}", "kill")


@pytest.mark.timeout(1200)
def test_each_kind_of_call_of_a_deletion_may_fail_once(
    server: Server, workers: Workers, deletion_calls: list[str]
) -> None:
    for label, error in zip(first_of_each_kind(deletion_calls), cycle(ERRORS), strict=False):
        endure_deletion(server, workers, f"instead of {label}", error)


def test_two_workers_and_every_message_of_a_deletion_twice(server: Server, workers: Workers) -> None:
    packer, job_id = held(server, workers)
    packer.delete_held(job_id)

    both = [packer.start_worker(IDLE_SECONDS="4") for _ in range(2)]
    for worker in both:
        said, _ = worker.communicate(timeout=120)
        assert worker.returncode == 0, said.decode()

    assert_all_is_deleted(packer, job_id)


@pytest.mark.parametrize("moment", ["before S3.DeleteObjects#1", "after S3.DeleteObjects#1"])
def test_a_held_source_rewritten_while_the_worker_is_dead_is_kept(
    server: Server, workers: Workers, deletion_calls: list[str], moment: str
) -> None:
    assert "S3.DeleteObjects#1" in deletion_calls
    packer, job_id = held(server, workers)

    workers.run(packer, moment, "kill")
    packer.put({"in/1.csv": b"rewritten"})
    workers.run(packer)

    assert packer.keys(packer.source) == ["in/1.csv"]
    assert packer.skipped(job_id).keys() == {"in/1.csv"}
    hold = packer.hold(job_id)
    assert (hold["state"], hold["deleted"], hold["left"]) == ("DELETED", "7", "1")
