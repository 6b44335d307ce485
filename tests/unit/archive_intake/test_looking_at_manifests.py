"""A manifest is looked at before the job is accepted: whose it is, which version, and whether it can be used."""

import gzip
import json
from dataclasses import replace
from hashlib import md5
from http import HTTPStatus
from typing import Any

import pytest

from archive_intake.application.accepting import CheckRequest
from archive_intake.application.manifests import LookAtManifest, SampleManifest
from archive_intake.domain.fallback import DuePrefix, covering_job
from archive_intake.domain.jobs import WantedJob
from fakes.archive_intake import FakeManifests, FakeProjects
from fakes.archive_jobs import NOW, SOURCE, TOPIC, a_job
from glaciate.errors import Problem
from glaciate.manifests import SourceList
from glaciate.projects import Project, ProjectsDocument
from glaciate.requests import ArchiveRequest

PROJECT = Project(name="demo", source_buckets=(SOURCE,), manifest_buckets=("lists",))
INVENTORY = "inv/2026-07-01T00-00Z/manifest.json"


def etag_of(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


def checked(manifests: FakeManifests, uri: str, **fields: Any) -> WantedJob:
    projects = FakeProjects(ProjectsDocument(projects=(PROJECT,)))
    check = CheckRequest(projects, "us-east-1", "123456789012", TOPIC, LookAtManifest(manifests), 4096)
    request = ArchiveRequest.model_validate(
        {"project_name": "demo", "bucket_name": SOURCE, "manifest": {"uri": uri}, **fields}
    )
    return check(request, idempotency_key=None, correlation_id="c-1", stage_url="https://api")


def inventory(**fields: Any) -> bytes:
    return json.dumps(
        {
            "sourceBucket": SOURCE,
            "destinationBucket": "arn:aws:s3:::lists",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, ETag",
            "files": [],
            **fields,
        }
    ).encode()


@pytest.mark.parametrize("bucket", ["lists", SOURCE])
def test_a_csv_of_an_allowed_bucket_is_taken_in_the_version_that_is_there(bucket: str) -> None:
    data = f"bucket,key,size\n{SOURCE},a,1\n".encode()

    wanted = checked(FakeManifests({(bucket, "a.csv"): data}), f"s3://{bucket}/a.csv")

    assert wanted.order.source == SourceList(kind="csv", bucket=bucket, key="a.csv", etag=etag_of(data))


def test_an_inventory_is_taken_by_the_name_of_its_manifest() -> None:
    wanted = checked(FakeManifests({("lists", INVENTORY): inventory()}), f"s3://lists/{INVENTORY}", prefix="in/")

    assert wanted.order.source is not None
    assert (wanted.order.source.kind, wanted.order.source.etag) == ("inventory", etag_of(inventory()))


def test_a_bucket_that_the_project_may_not_use_is_refused_before_it_is_read() -> None:
    for uri, document in (
        ("s3://secret/a.csv", b""),
        (f"s3://lists/{INVENTORY}", inventory(destinationBucket="arn:aws:s3:::secret")),
    ):
        with pytest.raises(Problem) as refused:
            checked(FakeManifests({("lists", INVENTORY): document}), uri)
        assert (refused.value.status, refused.value.code) == (HTTPStatus.FORBIDDEN, "BucketNotAllowed")
        assert "secret" in refused.value.message


@pytest.mark.parametrize(
    ("key", "document", "fields", "said"),
    [
        ("gone.csv", None, {}, "it can't be read: NoSuchKey"),
        ("a.csv", b"other,a,1\n", {}, "row 1: it is of bucket 'other'"),
        ("a.csv", f"{SOURCE},a,1\n".encode(), {"prefix": "in/"}, "row 1: its key 'a' is not under"),
        ("a.csv", f"{SOURCE},a,1\n".encode(), {"older_than": "2025-01-01T00:00:00Z"}, "row 1: it says no time"),
        ("a.csv", b"PAR1", {}, "row 1: it has 1 fields"),
        (INVENTORY, b"{}", {}, "no manifest.json of S3 Inventory"),
        (INVENTORY, inventory(fileFormat="Parquet"), {}, "only CSV is read: let S3 Inventory write CSV"),
        (INVENTORY, inventory(sourceBucket="other"), {}, "it lists bucket other"),
        (INVENTORY, inventory(), {"older_than": "2025-01-01T00:00:00Z"}, "no LastModifiedDate"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_refused_at_once(
    key: str, document: bytes | None, fields: dict[str, Any], said: str
) -> None:
    manifests = FakeManifests({} if document is None else {("lists", key): document})

    with pytest.raises(Problem) as refused:
        checked(manifests, f"s3://lists/{key}", **fields)

    assert (refused.value.status, refused.value.code) == (HTTPStatus.UNPROCESSABLE_ENTITY, "ManifestUnusable")
    assert said in refused.value.message


def test_a_dry_run_reads_the_first_rows() -> None:
    data = b"".join(f"{SOURCE},in/{number},{number}\n".encode() for number in range(10))
    manifests = FakeManifests({("lists", "a.csv"): data})
    order = checked(manifests, "s3://lists/a.csv").order
    assert order.source is not None

    some = SampleManifest(manifests)(order, order.source, limit=4)
    whole = SampleManifest(manifests)(order, order.source, limit=10)

    assert (some.sizes, some.complete) == ((0, 1, 2, 3), False)
    assert (whole.sizes, whole.complete) == (tuple(range(10)), True)


def test_a_dry_run_of_an_inventory_reads_its_data_files_and_says_what_is_wrong() -> None:
    data = gzip.compress(f'"{SOURCE}","in/a+b","5",""\n"{SOURCE}","out","6",""\n'.encode())
    files = [{"key": "data/1.csv.gz", "MD5checksum": md5(data, usedforsecurity=False).hexdigest()}]
    manifests = FakeManifests({("lists", INVENTORY): inventory(files=files), ("lists", "data/1.csv.gz"): data})
    order = checked(manifests, f"s3://lists/{INVENTORY}", prefix="in/").order
    assert order.source is not None

    assert SampleManifest(manifests)(order, order.source, limit=4).sizes == (5,)
    manifests.objects["lists", "data/1.csv.gz"] = gzip.compress(b"")
    with pytest.raises(Problem, match=r"data/1.csv.gz: its MD5 is"):
        SampleManifest(manifests)(order, order.source, limit=4)


def test_a_job_with_a_manifest_does_not_count_as_the_period_s_job() -> None:
    due = DuePrefix(SOURCE, "logs/2026/07/", NOW.date(), NOW, "id")
    whole = a_job("logs/")
    source = SourceList(kind="csv", bucket="lists", key="a.csv", etag='"e"')
    listed = replace(whole, order=whole.order.model_copy(update={"source": source}))

    assert covering_job(due, [listed]) is None
    assert covering_job(due, [listed, whole]) == whole
