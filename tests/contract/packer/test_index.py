"""Index rows: what the fast writer writes is what the model reads, and small."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from fakes.aws import make_tables
from fakes.packer_world import JOB
from glaciate import aws, tables
from glaciate.errors import Transient
from glaciate.names import ArchiveId, ProjectName
from glaciate.tables import FileRow, file_hash_key, file_range_prefix, read_file_stamp, split_key
from glaciate_local.cloud import Server
from packer import bootstrap
from packer.adapters.index import DynamoFileIndex, Refused, Send, file_items
from packer.adapters.transfers import Task, Transfers
from packer.domain.archives import Archive, ArchiveState, CatalogEntry

SEALED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
ARCHIVE = Archive(
    archive_id=ArchiveId(f"{JOB}0000"),
    job_id=JOB,
    project=ProjectName("demo"),
    bucket="source",
    first_key="a",
    kind="zip",
    state=ArchiveState.SEALED,
    planned_files=1,
    planned_bytes=1,
    plan_key="p",
    storage_class="DEEP_ARCHIVE",
    vault_bucket="vault",
    vault_key="v",
)
KEYS = {
    "a",
    "in/b",
    "in/deep/é 😀",
    "in/marker/",
    "/lead",
    "//",
    "x" * 1024,
    "d" * 1000 + "/" + "f" * 23,
    "d/" * 511 + "xy",
}


@dataclass
class Table:
    """DynamoDB as moto plays it."""

    dynamodb: Any

    def write(self, body: bytes) -> bytes:
        answer = self.dynamodb.batch_write_item(**json.loads(body))
        return json.dumps({"UnprocessedItems": answer["UnprocessedItems"]}).encode()


@pytest.fixture
def table() -> Iterator[Table]:
    with mock_aws():
        tables.bind(files="files")
        make_tables(FileRow)
        yield Table(boto3.client("dynamodb"))


def sending(write: Callable[[bytes], bytes]) -> Send:
    """How the index reaches DynamoDB, with a plain call in its place."""

    def send(body: bytes) -> Task[bytes | bytearray]:
        return (yield partial(write, body))

    return send


def index(send: Send, *, patience_seconds: float = 5) -> DynamoFileIndex:
    return DynamoFileIndex(send, Transfers(no_handle, most=4, window_bytes=10**6), "files", patience_seconds)


def no_handle() -> Any:
    raise AssertionError("nothing is asked for by libcurl")


def add(write: Callable[[bytes], bytes], files: dict[str, int]) -> None:
    index(sending(write)).add(ARCHIVE, entries(files), sealed_at=SEALED_AT)


def entries(files: dict[str, int], page: int | None = None) -> list[CatalogEntry]:
    return [CatalogEntry(key, size, '"e"', page) for key, size in files.items()]


def assert_found(keys: set[str]) -> None:
    for key in keys:
        head, base = split_key(key)
        prefix, is_cut = file_range_prefix("source", head)
        (row,) = FileRow.query(file_hash_key("demo", base), FileRow.d.startswith(prefix))
        assert (row.s, bool(row.c)) == (len(key), is_cut)
        _, sealed_at, archive_id = read_file_stamp(row.d)
        assert (sealed_at, archive_id) == (SEALED_AT, ARCHIVE.archive_id)


def test_the_model_reads_back_what_was_written(table: Table) -> None:
    add(table.write, {key: len(key) for key in KEYS})

    assert_found(KEYS)


def test_writing_twice_stores_once(table: Table) -> None:
    add(table.write, {f"in/{number}": number for number in range(120)})
    add(table.write, {f"in/{number}": number for number in range(120)})

    assert FileRow.count() == 120


def test_unprocessed_items_and_throttling_are_tried_again_until_none_is_left(table: Table) -> None:
    calls: list[int] = []

    def reluctantly(body: bytes) -> bytes:
        """Takes only part of each batch, and is throttled now and then."""
        calls.append(len(body))
        if len(calls) % 5 == 0:
            raise Refused("ThrottlingException")
        items = json.loads(body)["RequestItems"]["files"]
        table.write(json.dumps({"RequestItems": {"files": items[:10]}}).encode())
        return json.dumps({"UnprocessedItems": {"files": items[10:]} if items[10:] else {}}).encode()

    add(reluctantly, {f"in/{number}": number for number in range(60)})

    assert FileRow.count() == 60
    assert len(calls) > 6


def test_rows_that_are_never_taken_leave_the_work_for_later() -> None:
    def never(_body: bytes) -> bytes:
        raise Refused("ThrottlingException")

    with pytest.raises(Transient):
        index(sending(never), patience_seconds=0.01).add(ARCHIVE, entries({"in/a": 1}), sealed_at=SEALED_AT)


@pytest.mark.cloud
def test_a_signed_request_is_taken_and_a_wrong_one_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"files-{uuid4().hex[:8]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.root_access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.root_secret_access_key)
    tables.bind(files=name)
    make_tables(FileRow)
    aws.dynamodb.cache_clear()
    rows, nobody_s = bootstrap.index(name), bootstrap.index("nobody-made-this")
    aws.dynamodb.cache_clear()

    rows.add(ARCHIVE, entries({key: len(key) for key in KEYS}, page=17), sealed_at=SEALED_AT)

    assert_found(KEYS)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        nobody_s.add(ARCHIVE, entries({"in/a": 1}), sealed_at=SEALED_AT)


def size_by_dynamodbs_rules(item: dict[str, dict[str, Any]]) -> int:
    """Names and texts in UTF-8; a number about a byte for two digits, and one more; a boolean one byte."""
    total = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        total += len(name)
        if kind == "S":
            total += len(content.encode())
        elif kind == "N":
            total += (len(content.lstrip("-")) + 1) // 2 + 1
        else:
            total += 1
    return total


@pytest.mark.parametrize("key", [*sorted(KEYS), "é" * 512, "é" * 400 + "/" + "é" * 111])
def test_a_row_takes_at_most_120_bytes_on_top_of_its_key(key: str) -> None:
    for characters, page, size in product(
        (63, 62, 61, 60, 20, 3), (None, 0, 99, 10**5), (0, 9_999, 10**8 - 1, 5 * 1024**4)
    ):
        archive = replace(ARCHIVE, project=ProjectName("p" * 20), bucket="b" * characters)
        (text,) = file_items(archive, [CatalogEntry(key, size, '"e"', page)], sealed_at=SEALED_AT)
        item = json.loads(text)
        assert size_by_dynamodbs_rules(item) <= len(key.encode()) + 120
        assert len(item["d"]["S"].encode()) <= 1024
        assert len(item["n"]["S"].encode()) <= 2048


def pages_told(key: str, size: int, page: int | None, *, bucket: str = "source") -> list[dict[str, str] | None]:
    archive = replace(ARCHIVE, project=ProjectName("p" * 20), bucket=bucket)
    files = [CatalogEntry(key, size, '"e"', page)]
    return [json.loads(item).get("p") for item in file_items(archive, files, sealed_at=SEALED_AT)]


@pytest.mark.parametrize("page", [0, 7, 4321])
def test_a_row_tells_the_page_of_the_catalog(page: int) -> None:
    assert pages_told("in/a", 10_000, page) == [{"N": str(page)}]
    assert pages_told("in/a", 10_000, None) == [None]


def test_a_row_without_room_for_the_page_does_without() -> None:
    assert pages_told("in/a", 10**8 - 1, 99, bucket="b" * 63) == [{"N": "99"}]
    assert pages_told("in/a", 10**8, 99, bucket="b" * 63) == [None]
    assert pages_told("in/a", 10**8 - 1, 100, bucket="b" * 63) == [None]
    assert pages_told("d" * 1000 + "/" + "f" * 23, 1, 1) == [None]  # whose folder is cut


@pytest.mark.parametrize("length", range(700, 1025, 12))
def test_a_page_never_costs_a_second_write_unit(length: int) -> None:
    key = "d/" + "f" * (length - 2)
    sizes = []
    for page in (None, 4321):
        (text,) = file_items(ARCHIVE, [CatalogEntry(key, 10_000, '"e"', page)], sealed_at=SEALED_AT)
        sizes.append(size_by_dynamodbs_rules(json.loads(text)))

    assert -(-sizes[0] // 1024) == -(-sizes[1] // 1024)
