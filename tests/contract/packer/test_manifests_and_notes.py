"""Manifests and notes: in memory, and in S3 as moto plays it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fakes.packer_world import JOB, START, FakeManifests, FakeNotes, FakeObject, World
from packer.adapters.objects import S3Manifests, S3Notes
from packer.ports import Manifests, ManifestUnusable, Notes


@dataclass
class Shelf:
    manifests: Manifests
    notes: Notes
    put: Callable[[bytes], str]
    """Puts the manifest; its ETag."""


@pytest.fixture(params=["fake", "aws"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if request.param == "fake":
        world = World()

        def put(data: bytes) -> str:
            world.manifests["lists", "a/list.csv"] = data
            return FakeObject(data, START).etag

        yield Shelf(FakeManifests(world, slice_bytes=4), FakeNotes(world), put)
        return
    with mock_aws():
        s3: Any = boto3.client("s3")
        for bucket in ("lists", "work"):
            s3.create_bucket(Bucket=bucket)

        def put_object(data: bytes) -> str:
            etag: str = s3.put_object(Bucket="lists", Key="a/list.csv", Body=data)["ETag"]
            return etag

        yield Shelf(S3Manifests(s3, slice_bytes=4), S3Notes(s3, "work"), put_object)


def test_a_manifest_is_read_slice_by_slice(shelf: Shelf) -> None:
    etag = shelf.put(b"abcdefghij")

    slices = [shelf.manifests.read("lists", "a/list.csv", start=start, etag=etag) for start in (0, 4, 8)]

    assert [got.data for got in slices] == [b"abcd", b"efgh", b"ij"]
    assert {(got.etag, got.total) for got in slices} == {(etag, 10)}


def test_an_empty_manifest_has_no_bytes_and_nothing_comes_behind_the_end(shelf: Shelf) -> None:
    etag = shelf.put(b"")
    assert shelf.manifests.read("lists", "a/list.csv", start=0, etag=etag).data == b""

    etag = shelf.put(b"abc")
    assert shelf.manifests.read("lists", "a/list.csv", start=3, etag=etag).data == b""


def test_another_version_or_none_is_an_error(shelf: Shelf) -> None:
    etag = shelf.put(b"one")
    shelf.put(b"two")

    with pytest.raises(ManifestUnusable, match=r"s3://lists/a/list.csv changed since the job was accepted"):
        shelf.manifests.read("lists", "a/list.csv", start=0, etag=etag)
    with pytest.raises(ManifestUnusable, match="s3://lists/gone can't be read: NoSuchKey"):
        shelf.manifests.read("lists", "gone", start=0, etag=None)


def test_notes_are_kept_found_and_replaced(shelf: Shelf) -> None:
    assert shelf.notes.find(JOB, "0/1") is None

    shelf.notes.put(JOB, "0/1", b"one")
    shelf.notes.put(JOB, "0/1", b"two")

    assert shelf.notes.find(JOB, "0/1") == b"two"
