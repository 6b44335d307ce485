"""What a list of sources says: a CSV of any shape, an S3 Inventory, and what is wrong with it."""

import csv
import gzip
import io
import json
from hashlib import md5
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciate.manifests import (
    BadManifest,
    Document,
    Expected,
    Row,
    Rows,
    Slice,
    inventory_columns,
    kind_of,
    read_inventory,
    split_uri,
)

CSV = Expected("csv", "source", "", needs_time=False)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
ETAG = "0cc175b9c0f1b6a831c399e269772661"


def read(text: str | bytes, expected: Expected = CSV) -> list[Row]:
    data = text.encode() if isinstance(text, str) else text
    return list(Rows(expected).read(document(data).blocks()))


def document(data: bytes, *, slice_bytes: int = 7, etag: str | None = None, checksum: str | None = None) -> Document:
    def read_slice(start: int, condition: str | None) -> Slice:
        assert condition in {None, "v1"}
        return Slice(data[start : start + slice_bytes], "v1", len(data))

    return Document(read_slice, etag, checksum)


def csv_of(rows: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("source,a,1\n", [Row("a", 1)]),
        ("source,a,1", [Row("a", 1)]),
        ("source,a,1\r\nsource,b,2\r\n", [Row("a", 1), Row("b", 2)]),
        (f"source,a,1,{ETAG}\nsource,b,2,\n", [Row("a", 1, f'"{ETAG}"'), Row("b", 2)]),
        (f'source,a,1,"""{ETAG}-3"""\n', [Row("a", 1, f'"{ETAG}-3"')]),
        ("bucket,key,size\nsource,a,1\n", [Row("a", 1)]),
        ("\ufeffBucket,Key,Size\nsource,a,1\n", [Row("a", 1)]),
        ("size,key,bucket\n1,a,source\n", [Row("a", 1)]),
        (
            "bucket,key,size,last_modified,storage_class\nsource,a,1,2026-01-02T03:04:05Z,STANDARD_IA\n",
            [Row("a", 1, "", "2026-01-02T03:04:05Z", "STANDARD_IA")],
        ),
        ('source,"a,""b""\nc",1\n', [Row('a,"b"\nc', 1)]),
        ("source,a%20b+c,1\n", [Row("a%20b+c", 1)]),
        ("source,ä/é😀,0\n\n", [Row("ä/é😀", 0)]),
        ("", []),
    ],
)
def test_a_csv_is_read_as_it_stands(text: str, rows: list[Row]) -> None:
    assert read(text) == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,a,1\nsource,b\n", "row 2: it has 2 fields instead of 3 or 4"),
        ("source,a,1\nsource,b,2,x,y\n", "row 2: it has 5 fields"),
        ("source,a,1\nother,b,2\n", "row 2: it is of bucket 'other', but the job's is 'source'"),
        ("source,,1\n", "row 1: its key is empty"),
        (f"source,{'k' * 1025},1\n", "row 1: its key has more than 1024 bytes"),
        (f"source,{'ä' * 513},1\n", "row 1: its key has more than 1024 bytes"),
        ("source,a,\n", "row 1: its size '' is not a number of bytes"),
        ("source,a,-1\n", "row 1: its size '-1'"),
        ("source,a,1_0\n", "row 1: its size '1_0'"),
        ("source,a,1,not an etag\n", "row 1: 'not an etag' is not an ETag"),
        ("bucket,key,size,storage_class\nsource,a,1,cold\n", "row 2: 'cold' is not a storage class"),
        ("bucket,key,size,last_modified\nsource,a,1,yesterday\n", "row 2: Invalid isoformat"),
        ("bucket,key,size,version_id\nsource,a,1,x\n", "row 1 names a column 'version_id'"),
        ("bucket,key,etag\nsource,a,x\n", "row 1 names no column 'size'"),
        ("bucket,key,size,size\n", "row 1 names a column twice"),
        ('source,"a,1\n', "row 1 can't be read"),
        ('source,"a"b,1\n', "row 1 can't be read"),
        (b"source,a,1\nsource,\xff,1\n", "row 2 can't be read"),
        ("source," + "a" * 70_000 + ",1", "row 1 can't be read: a line has more than"),
        ("source,a,1\n" + 'source,"' + "a\n" * 100_000, "row 2 can't be read"),
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_number(text: str | bytes, said: str) -> None:
    with pytest.raises(BadManifest, match="row") as bad:
        read(text)

    assert said in str(bad.value)


def test_a_key_outside_the_prefix_and_a_missing_time_are_errors() -> None:
    with pytest.raises(BadManifest, match="row 1: its key 'a' is not under the job's prefix 'in/'"):
        read("source,a,1\n", Expected("csv", "source", "in/", needs_time=False))
    with pytest.raises(BadManifest, match="row 1: it says no time of last modification, which older_than needs"):
        read("source,a,1\n", Expected("csv", "source", "", needs_time=True))


@given(
    rows=st.lists(st.tuples(KEYS, st.integers(0, 10**14)), max_size=8), slice_bytes=st.integers(2, 40), data=st.data()
)
@settings(max_examples=60, deadline=None)
def test_reading_can_go_on_after_any_row(rows: list[tuple[str, int]], slice_bytes: int, data: st.DataObject) -> None:
    text = csv_of([("source", key, str(size)) for key, size in rows])
    packed = data.draw(st.sampled_from([text, gzip.compress(text)]))
    done = data.draw(st.integers(0, len(rows)))

    first = Rows(CSV)
    reading = first.read(document(packed, slice_bytes=slice_bytes).blocks())
    taken = [next(reading) for _ in range(done)]
    second = Rows(CSV, first.columns, first.offset, first.number)
    rest = list(second.read(document(packed, slice_bytes=slice_bytes).blocks(offset=first.offset)))

    assert taken + rest == [Row(key, size) for key, size in rows]


def test_gzip_of_several_members_is_read_whole_and_a_broken_one_is_an_error() -> None:
    whole = gzip.compress(b"source,a,1\n") + gzip.compress(b"source,b,2\n")

    assert [row.key for row in read(whole)] == ["a", "b"]
    with pytest.raises(BadManifest, match="breaks off"):
        read(whole[:-9])
    with pytest.raises(BadManifest, match="not gzip"):
        read(whole[:-12] + b"\x00" * 12)


def inventory(**fields: Any) -> bytes:
    return json.dumps(
        {
            "sourceBucket": "source",
            "destinationBucket": "arn:aws:s3:::lists",
            "version": "2016-11-30",
            "creationTimestamp": "1514944800000",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, IntelligentTieringAccessTier",
            "files": [{"key": "inv/data/1.csv.gz", "size": 46, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"}],
            **fields,
        }
    ).encode()


def test_an_inventory_says_where_its_files_are_and_what_their_columns_mean() -> None:
    found = read_inventory(inventory())

    assert (found.source_bucket, found.destination_bucket) == ("source", "lists")
    assert [file.key for file in found.files] == ["inv/data/1.csv.gz"]
    assert inventory_columns(found) == (
        "bucket", "key", "", "is_latest", "is_delete_marker", "size", "modified", "etag", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"bucket,key,size", "no manifest.json of S3 Inventory"),
        (inventory(files=[{"key": "x"}]), "files.0.MD5checksum"),
        (inventory(fileFormat="Parquet"), "Parquet, and only CSV is read"),
        (inventory(fileFormat="ORC"), "ORC, and only CSV is read"),
        (inventory(fileSchema="Bucket, Key"), "fileSchema names no column 'size'"),
    ],
)
def test_what_is_no_inventory_of_csv_is_refused(document: bytes, said: str) -> None:
    with pytest.raises(BadManifest) as bad:
        read_inventory(document)

    assert said in str(bad.value)


def test_of_an_inventory_only_the_latest_versions_under_the_prefix_are_files_and_keys_are_decoded() -> None:
    columns = inventory_columns(read_inventory(inventory()))
    rows = [
        ("source", quote_plus("in/a b+ä%", safe="/"), "v2", "true", "false", "3", "2026-01-01T00:00:00.000Z", ETAG, ""),
        ("source", "in/a%20c", "v1", "true", "false", "4", "2026-01-01T00:00:00.000Z", ETAG, ""),
        ("source", "in/old", "v1", "false", "false", "3", "2026-01-01T00:00:00.000Z", ETAG, ""),
        ("source", "in/gone", "v3", "true", "true", "", "2026-01-01T00:00:00.000Z", "", ""),
        ("source", "elsewhere", "v1", "true", "false", "3", "2026-01-01T00:00:00.000Z", ETAG, ""),
    ]

    found = Rows(Expected("inventory", "source", "in/", needs_time=True), columns).read([csv_of(rows)])

    assert [(row.key, row.size) for row in found] == [("in/a b+ä%", 3), ("in/a c", 4)]


def test_a_data_file_must_have_the_md5_that_the_manifest_says() -> None:
    data = gzip.compress(b"source,a,1\n")

    assert b"".join(document(data, checksum=md5(data).hexdigest()).blocks()) == b"source,a,1\n"
    with pytest.raises(BadManifest, match="its MD5 is"):
        b"".join(document(data, checksum="0" * 32).blocks())


def test_every_slice_is_asked_for_on_condition_of_the_first_ones_version() -> None:
    asked: list[tuple[int, str | None]] = []

    def read_slice(start: int, etag: str | None) -> Slice:
        asked.append((start, etag))
        return Slice(b"abcdef"[start : start + 4], "v1", 6)

    assert b"".join(Document(read_slice, None).blocks()) == b"abcdef"
    assert asked == [(0, None), (4, "v1")]


@pytest.mark.parametrize(
    ("uri", "where", "kind"),
    [
        ("s3://lists/a/b.csv", ("lists", "a/b.csv"), "csv"),
        (
            "s3://lists/source/all/2026-01-01T00-00Z/manifest.json",
            ("lists", "source/all/2026-01-01T00-00Z/manifest.json"),
            "inventory",
        ),
        ("s3://lists/my-manifest.json", ("lists", "my-manifest.json"), "csv"),
    ],
)
def test_a_uri_names_a_bucket_a_key_and_a_kind(uri: str, where: tuple[str, str], kind: str) -> None:
    assert split_uri(uri) == where
    assert kind_of(where[1]) == kind
