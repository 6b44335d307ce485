"""The demo fails when something is not as it must be."""

import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from moto import mock_aws
from rich.console import Console

from fakes.glaciate_http import LOCAL, FakeGlaciateHttp
from glaciate.catalog import Member
from glaciate_cli.api import GlaciateApi
from glaciate_local.demo import Demo, Wanted
from glaciate_local.demo_files import DemoFile
from glaciate_local.demo_mishaps import Archive, Damage, Join
from glaciate_local.demo_stage import DemoFailed, Stage
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


def member(key: str) -> Member:
    return Member(
        key=key, name=key, offset=0, compressed_size=10, size=10, method=8, crc32=0, etag="e", version_id=None,
        modified=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def damaged_request(demo: Demo, **states: str) -> dict[str, Any]:
    files = restored(demo, dict.fromkeys(states, b"content"))["files"]
    said = [{**file, "state": states[file["key"]], "reason": None} for file in files]
    return {"request_id": "r-1", "state": "PARTIAL", "files": said}


ORIGINALS = {key: DemoFile(key, b"content") for key in "abc"}


def test_a_damaged_file_that_is_reported_while_the_others_arrive_passes(demo: Demo) -> None:
    request = damaged_request(demo, a="RESTORED", b="FAILED", c="RESTORED")

    Damage(demo.stage, demo.place, "now")._check(request, member("b"), ORIGINALS)


@pytest.mark.parametrize(
    ("changes", "states", "why"),
    [
        ({"state": "COMPLETED"}, ("RESTORED", "RESTORED", "RESTORED"), "ended COMPLETED"),
        ({}, ("FAILED", "FAILED", "RESTORED"), r"reports \['a', 'b'\], damaged was b"),
        ({}, ("FAILED", "RESTORED", "RESTORED"), r"reports \['a'\], damaged was b"),
    ],
)
def test_a_damage_that_is_not_told_as_it_is_fails(
    demo: Demo, changes: dict[str, str], states: tuple[str, str, str], why: str
) -> None:
    request = damaged_request(demo, **dict(zip("abc", states, strict=True))) | changes

    with pytest.raises(DemoFailed, match=why):
        Damage(demo.stage, demo.place, "now")._check(request, member("b"), ORIGINALS)


def test_a_file_beside_the_damaged_one_that_differs_fails(demo: Demo) -> None:
    request = damaged_request(demo, a="RESTORED", b="FAILED", c="RESTORED")

    with pytest.raises(DemoFailed, match="a came back different"):
        Damage(demo.stage, demo.place, "now")._check(request, member("b"), ORIGINALS | {"a": DemoFile("a", b"another")})


@pytest.mark.parametrize(("begun", "fails"), [(1, False), (0, True), (2, True)])
def test_a_joined_restore_passes_only_where_s3_began_one_thaw(demo: Demo, begun: int, fails: bool) -> None:
    url = demo.place.sqs.create_queue(QueueName="heard")["QueueUrl"]
    for key in ["k", "other"] * begun:
        body = {"detail": {"object": {"key": key}}}
        demo.place.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    join = Join(demo.stage, demo.place, "now", _heard_url=url)
    requests = [{"cost": {"retrieval_usd": usd, "requests_usd": 0.0}} for usd in (0.1, 0.0)]

    with pytest.raises(DemoFailed, match=f"S3 was asked {begun} times") if fails else nullcontext():
        join.show_one_thaw(Archive("k", ()), requests)


def test_a_second_request_that_pays_for_the_thaw_too_fails(demo: Demo) -> None:
    url = demo.place.sqs.create_queue(QueueName="heard")["QueueUrl"]
    demo.place.sqs.send_message(QueueUrl=url, MessageBody='{"detail": {"object": {"key": "k"}}}')
    requests = [{"cost": {"retrieval_usd": 0.1, "requests_usd": 0.0}}] * 2

    with pytest.raises(DemoFailed, match="that joined has paid"):
        Join(demo.stage, demo.place, "now", _heard_url=url).show_one_thaw(Archive("k", ()), requests)
