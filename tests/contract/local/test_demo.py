"""The demo fails when something is not as it must be."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from moto import mock_aws
from rich.console import Console

from fakes.glaciate_http import LOCAL, FakeGlaciateHttp
from glaciate_cli.api import GlaciateApi
from glaciate_local.demo import Demo, DemoFailed, Stage, Wanted
from glaciate_local.demo_files import DemoFile
from glaciate_local.place import Place

JOB = {"job_id": "j", "state": "COMPLETED", "output_prefix": "archives/demo/", "counts": {"archives": 1}}


@pytest.fixture
def api() -> FakeGlaciateHttp:
    return FakeGlaciateHttp()


@pytest.fixture
def demo(api: FakeGlaciateHttp) -> Iterator[Demo]:
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in ("source", "vault", "restore"):
            s3.create_bucket(Bucket=bucket)
        client = GlaciateApi(
            url=str(LOCAL["api_url"]), region="us-east-1", credentials=Credentials("a", "b"), http=api.client()
        )
        place = Place(local=LOCAL, api=client, s3=s3, sqs=boto3.client("sqs"))
        yield Demo(Stage(Console(file=io.StringIO())), place, "now")


def restored(demo: Demo, files: dict[str, bytes]) -> dict[str, Any]:
    for key, content in files.items():
        demo.place.s3.put_object(Bucket="restore", Key=f"back/{key}", Body=content)
    return {"request_id": "r-1", "files": [{"key": key, "location": f"s3://restore/back/{key}"} for key in files]}


def wanted(files: dict[str, bytes | Path]) -> Wanted:
    return Wanted("some", {}, {key: DemoFile(key, content) for key, content in files.items()})


def test_equal_files_pass_on_disk_and_in_memory(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"from disk")

    demo._compare([wanted({"a": tmp_path / "a", "b/": b"x"})], [restored(demo, {"a": b"from disk", "b/": b"x"})])


@pytest.mark.parametrize(
    ("came", "why"),
    [
        ({"a": b"one", "b": b"tw0"}, "b came back different"),
        ({"a": b"one"}, "other files than were asked for"),
        ({"a": b"one", "b": b"two", "c": b"three"}, "other files than were asked for"),
    ],
)
def test_a_file_that_differs_or_is_missing_or_was_not_asked_for_fails(
    demo: Demo, came: dict[str, bytes], why: str
) -> None:
    with pytest.raises(DemoFailed, match=why):
        demo._compare([wanted({"a": b"one", "b": b"two"})], [restored(demo, came)])


def test_a_source_that_is_left_fails(demo: Demo) -> None:
    demo.place.s3.put_object(Bucket="source", Key="demo-now/left.txt", Body=b"")

    with pytest.raises(DemoFailed, match=r"1 sources are still there, such as \[\('demo-now/left.txt'"):
        demo._show_sources_gone()


@pytest.mark.parametrize(("storage_class", "why"), [("STANDARD", "is STANDARD"), (None, "0 archives lie in the vault")])
def test_an_archive_that_is_not_where_and_as_it_must_be_fails(demo: Demo, storage_class: Any, why: str) -> None:
    if storage_class:
        demo.place.s3.put_object(Bucket="vault", Key="archives/demo/j0000.zip", Body=b"", StorageClass=storage_class)

    with pytest.raises(DemoFailed, match=why):
        demo._show_archives(JOB)


def test_an_archive_in_deep_archive_that_cannot_be_read_passes(demo: Demo) -> None:
    demo.place.s3.put_object(Bucket="vault", Key="archives/demo/j0000.zip", Body=b"", StorageClass="DEEP_ARCHIVE")

    assert demo._show_archives(JOB) == 1


def test_a_job_that_ends_otherwise_fails_and_says_how(demo: Demo, api: FakeGlaciateHttp) -> None:
    counts = {"archived": 1, "planned": 2, "archives": 1, "bytes_in": 1, "bytes_out": 1}
    api.on("POST /archive", (202, {"job_id": "j"}))
    api.on("GET /archive/j", (200, {"job_id": "j", "state": "PARTIAL", "counts": counts, "reason": "one was skipped"}))

    with pytest.raises(DemoFailed, match="ended PARTIAL: one was skipped"):
        demo._archive(2)
