"""Index rows: what the fast writer writes is what the model reads, and small."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fakes.packer_world import JOB
from glaciate import tables
from glaciate.names import ArchiveId, ProjectName
from glaciate.tables import FileRow, file_hash_key, file_range_prefix, read_file_stamp, split_key
from packer.adapters.index import DynamoFileIndex, file_items
from packer.domain.archives import Archive, ArchiveState

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


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        tables.bind(files="files")
        FileRow.create_table(billing_mode="PAY_PER_REQUEST")
        yield boto3.client("dynamodb")


def add(dynamodb: Any, files: dict[str, int], archive: Archive = ARCHIVE) -> None:
    index = DynamoFileIndex(dynamodb, "files", patience_seconds=5)
    index.add(archive, files.items(), sealed_at=SEALED_AT)


def test_the_model_reads_back_what_was_written(dynamodb: Any) -> None:
    add(dynamodb, {key: len(key) for key in KEYS})

    for key in KEYS:
        head, base = split_key(key)
        prefix, is_cut = file_range_prefix("source", head)
        (row,) = FileRow.query(file_hash_key("demo", base), FileRow.d.startswith(prefix))
        assert (row.s, bool(row.c)) == (len(key), is_cut)
        _, sealed_at, archive_id = read_file_stamp(row.d)
        assert (sealed_at, archive_id) == (SEALED_AT, ARCHIVE.archive_id)


def test_writing_twice_stores_once(dynamodb: Any) -> None:
    add(dynamodb, {f"in/{number}": number for number in range(120)})
    add(dynamodb, {f"in/{number}": number for number in range(120)})

    assert FileRow.count() == 120


class Reluctant:
    """DynamoDB that takes only part of each batch, and is throttled now and then."""

    def __init__(self, dynamodb: Any) -> None:
        self.dynamodb = dynamodb
        self.calls = 0

    def batch_write_item(self, *, RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        self.calls += 1
        if self.calls % 5 == 0:
            from botocore.exceptions import ClientError

            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "BatchWriteItem")
        ((table, items),) = RequestItems.items()
        taken, left = items[:10], items[10:]
        self.dynamodb.batch_write_item(RequestItems={table: taken})
        return {"UnprocessedItems": {table: left} if left else {}}


def test_unprocessed_items_and_throttling_are_tried_again_until_none_is_left(dynamodb: Any) -> None:
    reluctant = Reluctant(dynamodb)

    add(reluctant, {f"in/{number}": number for number in range(60)})

    assert FileRow.count() == 60


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
    archive = replace(ARCHIVE, project=ProjectName("p" * 20), bucket="b" * 63)

    (item,) = file_items(archive, [(key, 5 * 1024**4)], sealed_at=SEALED_AT)

    assert size_by_dynamodbs_rules(item) <= len(key.encode()) + 120
    assert len(item["d"]["S"].encode()) <= 1024
    assert len(item["n"]["S"].encode()) <= 2048
