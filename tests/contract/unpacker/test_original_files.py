"""Writing files back where they came from: nothing newer is ever written over; the stand-in and the adapter promise the same."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from fakes.unpacking import ARCHIVED_AT, VAULT_BUCKET, FakeOriginalFiles, FakeVault, member
from glaciate.catalog import Member
from glaciate.errors import Transient
from unpacker.adapters.original_files import OriginalBucketRules, S3OriginalFiles
from unpacker.adapters.restored_files import Occupied
from unpacker.ports import NotReadable, NotWritten, OriginalFiles, RestoredFiles

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MEBIBYTE = 1024**2
SMALL = b"the file as it was archived"
LARGE = os.urandom(5 * MEBIBYTE) + b"and a second part"
OTHER = b"something else"
KEPT = "archives/a.object"
LATER = datetime(2999, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """Original buckets, and how to look into them."""

    originals: OriginalFiles
    content: Callable[[str], bytes | None]
    put: Callable[[str, bytes], None]
    modified: Callable[[str], datetime]
    archive: Callable[[str, bytes], None]

    def files(self, replaces: datetime | None = None) -> RestoredFiles:
        return self.originals.in_bucket("originals", replaces=replaces)


def in_s3(s3: "S3Client") -> S3OriginalFiles:
    return S3OriginalFiles(s3, vault_bucket=VAULT_BUCKET, part_size_bytes=5 * MEBIBYTE, copy_part_bytes=5 * MEBIBYTE)


@pytest.fixture
def bucket(s3: "S3Client") -> "S3Client":
    if "originals" not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket="originals")
    for found in s3.list_objects_v2(Bucket="originals").get("Contents", []):
        s3.delete_object(Bucket="originals", Key=found["Key"])
    return s3


@pytest.fixture(params=["fake", "s3"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "fake":
        fake = FakeOriginalFiles(FakeVault())

        def look(key: str) -> bytes | None:
            return fake.objects["originals", key][0] if ("originals", key) in fake.objects else None

        return Bench(
            fake,
            content=look,
            put=lambda key, content: fake.objects.__setitem__(("originals", key), (content, fake.now)),
            modified=lambda key: fake.objects["originals", key][1],
            archive=fake.vault.archives.__setitem__,
        )
    s3: S3Client = request.getfixturevalue("bucket")

    def content(key: str) -> bytes | None:
        try:
            return s3.get_object(Bucket="originals", Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None

    return Bench(
        in_s3(s3),
        content=content,
        put=lambda key, content: s3.put_object(Bucket="originals", Key=key, Body=content) and None,
        modified=lambda key: s3.head_object(Bucket="originals", Key=key)["LastModified"],
        archive=lambda key, content: s3.put_object(Bucket=VAULT_BUCKET, Key=key, Body=content) and None,
    )


@dataclass(frozen=True)
class Way:
    """One of the three ways to write a file."""

    name: str
    content: bytes

    def write(self, files: RestoredFiles, key: str) -> None:
        known = member(key, self.content)
        if self.name == "put":
            files.put(key, known, self.content)
        elif self.name == "copy":
            files.copy(KEPT, key, replace(known, crc32=None))
        else:
            upload = files.begin(key, known)
            try:
                upload.write(self.content)
                upload.complete()
            finally:
                upload.abort()


WAYS = [Way("put", SMALL), Way("begin", LARGE), Way("copy", LARGE), Way("copy", SMALL)]


@pytest.fixture(params=WAYS, ids=lambda way: f"{way.name}-{len(way.content)}")
def way(request: pytest.FixtureRequest, bench: Bench) -> Way:
    way: Way = request.param
    bench.archive(KEPT, way.content)
    return way


@pytest.mark.parametrize("key", ["in/a ü.txt", "odd//key"])
def test_a_file_comes_back_where_nothing_is(bench: Bench, way: Way, key: str) -> None:
    way.write(bench.files(), key)

    assert bench.content(key) == way.content


def test_the_file_itself_is_left_as_it_is(bench: Bench, way: Way) -> None:
    bench.put("k", way.content)
    before = bench.modified("k")

    way.write(bench.files(), "k")

    assert (bench.content("k"), bench.modified("k")) == (way.content, before)


def test_writing_twice_is_as_writing_once(bench: Bench, way: Way) -> None:
    for _ in range(2):
        way.write(bench.files(), "k")

    assert bench.content("k") == way.content


def test_another_object_is_left_alone_with_the_reason(bench: Bench, way: Way) -> None:
    bench.put("k", OTHER)

    with pytest.raises(NotWritten, match="a newer object is there"):
        way.write(bench.files(), "k")
    assert bench.content("k") == OTHER


def test_what_was_there_when_it_was_asked_for_is_replaced_where_that_is_wanted(bench: Bench, way: Way) -> None:
    bench.put("k", OTHER)

    way.write(bench.files(replaces=LATER), "k")

    assert bench.content("k") == way.content


def test_what_was_written_since_is_never_replaced(bench: Bench, way: Way) -> None:
    bench.put("k", OTHER)
    asked_at = bench.modified("k") - timedelta(seconds=1)

    with pytest.raises(NotWritten, match="a newer object is there"):
        way.write(bench.files(replaces=asked_at), "k")
    assert bench.content("k") == OTHER


def test_a_large_object_of_the_same_size_is_told_apart_by_its_bytes(bench: Bench) -> None:
    bench.put("k", bytes(len(LARGE)))

    with pytest.raises(NotWritten):
        bench.files().begin("k", member("k", LARGE))


@pytest.mark.parametrize("replaces", [None, LATER])
def test_an_object_that_appears_while_a_large_file_is_on_its_way_wins(
    bucket: "S3Client", replaces: datetime | None
) -> None:
    files = in_s3(bucket).in_bucket("originals", replaces=replaces)
    if replaces:
        bucket.put_object(Bucket="originals", Key="k", Body=b"there before")
    upload = files.begin("k", member("k", LARGE))
    upload.write(LARGE)
    bucket.put_object(Bucket="originals", Key="k", Body=OTHER)

    with pytest.raises(Transient, match="somebody else writes"):
        upload.complete()
    upload.abort()

    assert bucket.get_object(Bucket="originals", Key="k")["Body"].read() == OTHER
    assert bucket.list_multipart_uploads(Bucket="originals").get("Uploads", []) == []


def test_in_a_versioned_bucket_a_file_appears_in_front_of_its_delete_marker_and_of_what_it_replaces(
    s3: "S3Client",
) -> None:
    if "versioned" not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket="versioned")
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for key in ("deleted", "kept"):
        s3.put_object(Bucket="versioned", Key=key, Body=OTHER)
    s3.delete_object(Bucket="versioned", Key="deleted")

    in_s3(s3).in_bucket("versioned", replaces=None).put("deleted", member("deleted", SMALL), SMALL)
    in_s3(s3).in_bucket("versioned", replaces=LATER).put("kept", member("kept", SMALL), SMALL)

    assert s3.get_object(Bucket="versioned", Key="deleted")["Body"].read() == SMALL
    assert s3.get_object(Bucket="versioned", Key="kept")["Body"].read() == SMALL
    versions = s3.list_object_versions(Bucket="versioned", Prefix="kept")["Versions"]
    assert [version["IsLatest"] for version in versions] == [True, False]


def test_a_bucket_that_is_gone_fails_the_file_and_says_so(s3: "S3Client") -> None:
    files = in_s3(s3).in_bucket("no-such-bucket", replaces=None)

    with pytest.raises(NotWritten, match="refuses"):
        files.put("k", member("k", SMALL), SMALL)
    with pytest.raises(NotWritten, match="refuses"):
        files.begin("k", member("k", LARGE))


@pytest.mark.parametrize("key", ["put", "odd//key"])
def test_a_bucket_that_does_not_let_us_write_tags_fails_the_file_and_says_so(s3: "S3Client", key: str) -> None:
    """S3 refuses a tagged object as a whole to a role without s3:PutObjectTagging; nothing comes without its tags in silence."""
    client = boto3.client("s3")
    files = in_s3(client).in_bucket("originals", replaces=None)
    tagged = replace(member(key, LARGE), tags={"colour": "blue"})
    with Stubber(client) as refusing:
        refusing.add_client_error("head_object", "404", http_status_code=404)
        refusing.add_client_error("create_multipart_upload", "AccessDenied", "not authorized: s3:PutObjectTagging", 403)

        with pytest.raises(NotWritten, match="PutObjectTagging"):
            files.begin(key, tagged)


def test_tags_and_properties_come_back_with_the_file(bucket: "S3Client") -> None:
    tagged = replace(member("k", SMALL), tags={"colour": "dark blue", "size": "1+1=2"})

    in_s3(bucket).in_bucket("originals", replaces=None).put("k", tagged, SMALL)

    head = bucket.head_object(Bucket="originals", Key="k")
    tags = bucket.get_object_tagging(Bucket="originals", Key="k")["TagSet"]
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"owner": "somebody"})
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"colour": "dark blue", "size": "1+1=2"}


def test_an_archive_without_a_readable_copy_is_not_copied(s3: "S3Client") -> None:
    client = boto3.client("s3")
    there = {"ContentLength": len(SMALL), "ETag": '"e"', "LastModified": ARCHIVED_AT}
    with Stubber(client) as cold:
        cold.add_response("head_object", there)
        cold.add_client_error("head_object", "404", http_status_code=404)
        cold.add_response("create_multipart_upload", {"UploadId": "upload"})
        cold.add_client_error("upload_part_copy", "InvalidObjectState", http_status_code=403)
        cold.add_response("abort_multipart_upload", {}, {"Bucket": "originals", "Key": "k", "UploadId": "upload"})

        with pytest.raises(NotReadable):
            in_s3(client).in_bucket("originals", replaces=None).copy(KEPT, "k", member("k", SMALL))
        cold.assert_no_pending_responses()


def occupied(modified: datetime, *, same: bool = False, known: Member | None = None) -> Occupied:
    there = {"ETag": '"there"', "LastModified": modified, "ContentLength": 1}
    return Occupied("s3://b/k", there, known or member("k", SMALL), same)  # type: ignore[arg-type]


def test_the_reason_says_whether_the_object_is_newer_than_the_archived_file() -> None:
    rules = OriginalBucketRules(replaces=None)

    with pytest.raises(NotWritten, match=r"a newer object is there: s3://b/k was last modified 2026-05-02"):
        rules.over(occupied(ARCHIVED_AT + timedelta(days=1)))
    with pytest.raises(NotWritten, match=r"another object is there: .* overwrite would replace it"):
        rules.over(occupied(ARCHIVED_AT - timedelta(days=1)))


def test_replacing_is_held_to_what_was_seen_and_to_the_moment_of_asking() -> None:
    asked_at = ARCHIVED_AT + timedelta(days=10)
    rules = OriginalBucketRules(replaces=asked_at)

    assert rules.over(occupied(asked_at)) == {"IfMatch": '"there"'}
    assert rules.over(occupied(asked_at + timedelta(days=1), same=True)) is None
    with pytest.raises(NotWritten, match="after this restore was asked for"):
        rules.over(occupied(asked_at + timedelta(seconds=1)))
