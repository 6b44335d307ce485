"""The index row: small, found by name, and whole again when its directory had to be cut."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glaciate import names, tables

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ARCHIVE = names.archive_id(names.new_job_id(NOW), names.MAX_ARCHIVES_PER_JOB - 1)
LONGEST_PROJECT = "p" * 20
LONGEST_BUCKET = "b" * 63
LARGEST_SIZE = 49_999_999_999_999  # S3 takes objects of up to 50 TB


def _number_bytes(number: int) -> int:
    """DynamoDB: about one byte for two significant digits, and one more."""
    digits = str(number).strip("0") or "0"
    return (len(digits) + 1) // 2 + 1


def _row_bytes(project: str, bucket: str, key: str, size: int) -> int:
    head, basename = tables.split_key(key)
    prefix, cut = tables.file_range_prefix(bucket, head)
    hash_key = tables.file_hash_key(project, basename)
    range_key = prefix + tables.file_stamp(NOW, ARCHIVE)
    texts = len("n") + len(hash_key.encode()) + len("d") + len(range_key.encode())
    return texts + len("s") + _number_bytes(size) + (len("c") + 1 if cut else 0)


@pytest.mark.parametrize(
    "key",
    ["a", "a/b/c.csv", "d/" * 511 + "xy", "x" * 1024, "/" * 1024, "d" * 1000 + "/" + "n" * 23, "é" * 511 + "/x"],
    ids=lambda key: f"{key[:6]}-{len(key)}",
)
def test_an_index_row_adds_at_most_120_bytes_to_its_key(key: str) -> None:
    added = _row_bytes(LONGEST_PROJECT, LONGEST_BUCKET, key, LARGEST_SIZE) - len(key.encode())

    assert added <= 120


@pytest.mark.parametrize("key", ["d" * 1000 + "/" + "n" * 23, "é" * 511 + "/x", "/" * 1024])
def test_a_sort_key_never_exceeds_what_dynamodb_takes(key: str) -> None:
    prefix, cut = tables.file_range_prefix(LONGEST_BUCKET, tables.split_key(key)[0])

    assert cut
    assert len((prefix + tables.file_stamp(NOW, ARCHIVE)).encode()) <= 1024


def test_directories_that_differ_after_the_cut_stay_apart() -> None:
    one, other = ("d" * 1000 + end + "/" for end in "xy")

    assert tables.file_range_prefix(LONGEST_BUCKET, one) != tables.file_range_prefix(LONGEST_BUCKET, other)


@given(st.text(max_size=300))
def test_a_key_is_its_head_and_its_name(key: str) -> None:
    head, basename = tables.split_key(key)

    assert head + basename == key
    assert "/" not in basename
    assert not head or head.endswith("/")


def test_a_stamp_says_when_and_where() -> None:
    prefix, _ = tables.file_range_prefix("bucket", "a/b/")

    where, sealed_at, archive = tables.read_file_stamp(prefix + tables.file_stamp(NOW, ARCHIVE))

    assert (where, sealed_at, archive) == ("bucket/a/b/", NOW, ARCHIVE)


def test_a_long_first_key_still_fits_and_sorts_before_itself() -> None:
    first_key = "é" * 512

    range_key = tables.archive_range_key(first_key, ARCHIVE)

    assert len(range_key.encode()) <= 1024
    assert first_key.startswith(range_key.rpartition("#")[0])
