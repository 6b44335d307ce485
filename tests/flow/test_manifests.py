"""Files that a list names, on the local cloud: archived in key order, deleted, found by key, name and prefix, restored."""

import csv
import gzip
import io
import json
from collections.abc import Mapping
from hashlib import md5
from urllib.parse import quote_plus

import pytest

from glaciate_cli.errors import Refused
from local_glaciate import LocalGlaciate

pytestmark = pytest.mark.cloud


def text_of(rows: list[tuple[object, ...]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def put_list(glaciate: LocalGlaciate, key: str, body: bytes) -> str:
    glaciate.place.s3.put_object(Bucket=glaciate.place.bucket("source"), Key=key, Body=body)
    return f"s3://{glaciate.place.bucket('source')}/{key}"


def some_files(prefix: str) -> dict[str, bytes]:
    names = [f"{folder}/report {number}+ä.csv" for folder in ("a", "b", "c") for number in range(6)]
    return {f"{prefix}{name}": name.encode() * 20 for name in names}


def shuffled(files: Mapping[str, bytes]) -> list[str]:
    return sorted(files, key=lambda key: md5(key.encode(), usedforsecurity=False).digest())


def test_an_unsorted_csv_is_archived_and_every_file_is_found_by_key_name_and_prefix(
    glaciate: LocalGlaciate, prefix: str
) -> None:
    files = some_files(f"{prefix}in/")
    glaciate.upload(files | {f"{prefix}in/not-listed": b"stays"})
    bucket = glaciate.place.bucket("source")
    rows: list[tuple[object, ...]] = [(bucket, key, len(files[key])) for key in shuffled(files)]
    uri = put_list(glaciate, f"{prefix}list.csv", text_of([*rows, rows[0]]))

    job = glaciate.archive(
        f"{prefix}in/", disposition="delete", file_count=4, manifest={"uri": uri, "file_count": len(files)}
    )

    assert job["state"] == "COMPLETED", job
    assert job["manifest_uri"] == uri
    assert (job["counts"]["archived"], job["counts"]["archives"]) == (18, 5)
    assert glaciate.keys("source", f"{prefix}in/") == {f"{prefix}in/not-listed"}
    assert [file["key"] for file in glaciate.found(prefix=f"{prefix}in/")] == sorted(files)
    assert [file["key"] for file in glaciate.found(prefix=f"{prefix}in/b/")] == sorted(files)[6:12]
    for key in files:
        assert [file["key"] for file in glaciate.found(key=key)] == [key]
        assert key in {file["key"] for file in glaciate.found(name=key.rpartition("/")[2])}
    request = glaciate.restore(prefix=f"{prefix}in/b/")
    assert {file["key"]: glaciate.content(file["location"])[0] for file in request["files"]} == {
        key: body for key, body in files.items() if "/in/b/" in key
    }


def test_an_inventory_is_archived_as_far_as_the_prefix_reaches(glaciate: LocalGlaciate, prefix: str) -> None:
    files = some_files(f"{prefix}in/")
    glaciate.upload(files)
    bucket = glaciate.place.bucket("source")
    keys = shuffled(files)
    listed = []
    for number, part in enumerate((keys[:7], keys[7:])):
        rows: list[tuple[object, ...]] = [
            (bucket, quote_plus(key), "v", "true", "false", len(files[key]), "2026-01-01T00:00:00.000Z") for key in part
        ]
        rows.append((bucket, quote_plus(part[0]), "old", "false", "false", 1, "2025-01-01T00:00:00.000Z"))
        rows.append((bucket, "elsewhere/x", "v", "true", "false", 1, "2025-01-01T00:00:00.000Z"))
        body = gzip.compress(text_of(rows))
        key = f"{prefix}inventory/data/{number}.csv.gz"
        put_list(glaciate, key, body)
        listed.append({"key": key, "size": len(body), "MD5checksum": md5(body, usedforsecurity=False).hexdigest()})
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate",
        "files": listed,
    }
    uri = put_list(glaciate, f"{prefix}inventory/2026-07-01T01-00Z/manifest.json", json.dumps(manifest).encode())

    job = glaciate.archive(f"{prefix}in/", manifest={"uri": uri}, older_than="2026-06-01")

    assert job["state"] == "COMPLETED", job
    assert [file["key"] for file in glaciate.found(prefix=f"{prefix}in/")] == sorted(files)
    assert glaciate.content(glaciate.restore(filename=keys[0])["files"][0]["location"])[0] == files[keys[0]]


def test_what_is_wrong_with_a_list_is_said_at_once_or_by_the_job(glaciate: LocalGlaciate, prefix: str) -> None:
    bucket = glaciate.place.bucket("source")
    good = put_list(
        glaciate, f"{prefix}good.csv", text_of([(bucket, f"{prefix}in/a", 5), (bucket, f"{prefix}in/b", 6)])
    )
    late = put_list(glaciate, f"{prefix}late.csv", text_of([(bucket, f"{prefix}in/a", 5), ("other", "x", 6)]))
    body = {"project_name": "demo", "bucket_name": bucket, "prefix": f"{prefix}in/"}

    tried = glaciate.place.api.archive(
        {**body, "manifest": {"uri": good}, "dry_run": True}, idempotency_key=f"{prefix}dry"
    )
    with pytest.raises(Refused) as refused:
        glaciate.place.api.archive({**body, "manifest": {"uri": f"{good}x"}}, idempotency_key=f"{prefix}gone")
    failed = glaciate.archive(f"{prefix}in/", manifest={"uri": late})

    assert (tried["sources"]["files"], tried["sources"]["bytes"], tried["sources"]["complete"]) == (2, 11, True)
    assert refused.value.code == "ManifestUnusable"
    assert failed["state"] == "FAILED"
    assert "row 2: it is of bucket 'other'" in failed["reason"]
    assert failed["counts"]["archives"] == 0
