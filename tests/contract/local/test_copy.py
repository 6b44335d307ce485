"""Copying files into and out of the local cloud's buckets."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from glaciate_local.copy import copy_in, copy_out, main

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def s3() -> "Iterator[S3Client]":
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="source")
        yield client


def test_a_folder_comes_back_as_it_went(s3: "S3Client", tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a b.txt").write_text("a")
    (tmp_path / "in" / "deep" / "ä.txt").write_text("b")

    went = copy_in(s3, tmp_path / "in", "source", "incoming/")
    came = copy_out(s3, "source", "incoming/", tmp_path / "out")

    assert (went, came) == (2, 2)
    assert (tmp_path / "out" / "a b.txt").read_text() == "a"
    assert (tmp_path / "out" / "deep" / "ä.txt").read_text() == "b"


def test_a_single_file_goes_below_the_prefix_and_one_object_comes_by_its_key(s3: "S3Client", tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello")

    copy_in(s3, tmp_path / "hello.txt", "source", "incoming")
    came = copy_out(s3, "source", "incoming/hello.txt", tmp_path / "out")

    assert came == 1
    assert (tmp_path / "out" / "hello.txt").read_text() == "hello"


def test_a_key_cannot_lead_out_of_the_folder(s3: "S3Client", tmp_path: Path) -> None:
    s3.put_object(Bucket="source", Key="in/../../escaped.txt", Body=b"x")

    with pytest.raises(ValueError, match="leads out of"):
        copy_out(s3, "source", "in/", tmp_path / "out")

    assert not (tmp_path.parent / "escaped.txt").exists()


@pytest.mark.parametrize("arguments", [("a", "b"), ("s3://a/", "s3://b/"), ("not-there", "s3://a/")])
def test_wrong_usage_is_told(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))

    assert ended.value.code == 2


def test_without_a_local_cloud_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLACIATE_LOCAL_DIR", str(tmp_path))

    code = main(["s3://source/", str(tmp_path)])

    assert code == 1
    assert "local.json" in capsys.readouterr().err
