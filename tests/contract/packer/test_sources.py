"""Reading and deleting sources: in memory, and by libcurl and boto3 over HTTP."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import boto3
import pytest

from fakes.packer_world import FakeListing, FakeSources, World
from glaciate.catalog import Skipped
from glaciate.errors import Transient
from glaciate.requests import Compression
from glaciate_local.cloud import Server
from packer import bootstrap
from packer.adapters.listing import S3Listing
from packer.adapters.tags import read_tags, tags_of_version
from packer.domain.sources import UNKNOWN_TIME, ReadFile, SourceFile, SourceState
from packer.ports import Listing, Sources

pytestmark = pytest.mark.cloud

AWKWARD = (
    "plain", "sp ace", "a#b", "a?b", "a%20b", "a+b", "q\"'", "ctl\x01x", "tab\tx", "new\nline", "emoji😀", "é", "e\u0301",
    "/lead", "a//b", "a/../b", "./x", "..", "back\\sl", "dot.", "dir/", "a:b", "~x", "a*b", "<x>", "{x}", "^x", "`x", "|x",
    "ab\x7f", "x&y=z;,@$!()[]", "x" * 1024,
)  # fmt: skip


@dataclass
class Place:
    listing: Listing
    sources: Sources
    bucket: str
    world: World | None = None
    s3: Any = None

    def put(self, key: str, body: bytes) -> None:
        if self.world is not None:
            self.world.put({key: body})
        else:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def forget(self, key: str) -> None:
        if self.world is not None:
            del self.world.source[key]
        else:
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def listed(self, prefix: str = "", after: str | None = None) -> list[SourceFile]:
        return list(self.listing.files(self.bucket, prefix, after=after))

    def read(self, files: list[SourceFile]) -> list[ReadFile | Skipped]:
        return list(self.sources.read(self.bucket, files, compression=Compression.STORED))


@pytest.fixture(params=["fake", "aws"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "fake":
        world = World()
        yield Place(FakeListing(world), FakeSources(world), "source", world=world)
        return
    server: Server = request.getfixturevalue("server")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.root_access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.root_secret_access_key)
    s3 = boto3.Session().client("s3", endpoint_url=server.endpoint)  # the default session keeps older keys
    bucket = f"source-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    sources = replace(bootstrap.sources(server.endpoint, most=4, window_bytes=10**6), s3=s3, pause_seconds=0.01)
    yield Place(S3Listing(s3), sources, bucket, s3=s3)


def test_every_awkward_key_is_listed_read_and_deleted(place: Place) -> None:
    for key in AWKWARD:
        place.put(key, key.encode())

    files = place.listed()
    read = place.read(files)

    assert [file.key for file in files] == sorted(AWKWARD, key=str.encode)
    assert [bytes(one.packed.data) for one in read if isinstance(one, ReadFile)] == [
        file.key.encode() for file in files
    ]
    assert list(place.sources.delete(place.bucket, [(file.key, file.etag) for file in files])) == []
    assert place.listed() == []


def test_files_come_in_the_order_asked_whatever_their_size(place: Place) -> None:
    for number in range(40):
        place.put(f"{number:02}", bytes([number]) * (number % 7) * 50_000)
    files = place.listed()

    read = place.read(files)

    assert [one.file for one in read if isinstance(one, ReadFile)] == files
    assert [one.packed.size for one in read if isinstance(one, ReadFile)] == [file.size for file in files]


def test_a_listing_resumes_after_a_key(place: Place) -> None:
    for key in ("in/a", "in/b", "in/c", "out/d"):
        place.put(key, b"x")

    assert [file.key for file in place.listed("in/", after="in/a")] == ["in/b", "in/c"]
    assert place.listed("in/", after="in/c") == []


def test_what_changed_or_vanished_is_skipped_with_the_reason(place: Place) -> None:
    for key in ("a", "b", "c"):
        place.put(key, b"old")
    files = place.listed()
    place.put("a", b"new")
    place.forget("b")

    one, two, three = place.read(files)

    assert one == Skipped("a", "it was rewritten since it was listed")
    assert two == Skipped("b", "it vanished since it was listed")
    assert isinstance(three, ReadFile)
    assert place.sources.describe(place.bucket, files[0]) == one
    assert place.sources.describe(place.bucket, files[1]) == two


@pytest.mark.parametrize("key", ["plain", "odd//key"])
def test_a_file_of_unknown_version_is_read_as_it_is_and_says_which_it_was(place: Place, key: str) -> None:
    place.put(key, b"some bytes")
    (listed,) = place.listed()
    unknown = SourceFile(key, listed.size, "", UNKNOWN_TIME)

    (read,) = place.read([unknown])
    state = place.sources.describe(place.bucket, unknown)

    assert isinstance(read, ReadFile)
    assert isinstance(state, SourceState)
    for seen in (read.file, state.file):
        assert (seen.key, seen.size, seen.etag) == (listed.key, listed.size, listed.etag)
        assert abs(seen.modified - listed.modified) < timedelta(seconds=1)
    place.put(key, b"rewritten!")
    (kept,) = place.sources.delete(place.bucket, [(key, read.file.etag)])
    assert kept.reason == "archived, but the source was rewritten since and is kept"


@pytest.mark.parametrize("key", ["plain", "odd//key"])
def test_a_file_of_another_size_than_the_list_says_is_left(place: Place, key: str) -> None:
    place.put(key, b"some bytes")
    (listed,) = place.listed()
    wrong = [SourceFile(key, 7, "", UNKNOWN_TIME), SourceFile(key, 7, listed.etag, listed.modified)]

    for file in wrong:
        assert place.read([file]) == [Skipped(key, "it has 10 bytes, but 7 were listed")]
        assert place.sources.describe(place.bucket, file) == Skipped(key, "it has 10 bytes, but 7 were listed")


def test_a_file_that_is_much_larger_than_the_list_says_is_not_read(place: Place) -> None:
    place.put("grown", b"x" * 200_000)

    assert place.read([SourceFile("grown", 7, "", UNKNOWN_TIME)]) == [
        Skipped("grown", "it has 200000 bytes, but 7 were listed")
    ]


def test_a_source_that_was_rewritten_is_not_deleted(place: Place) -> None:
    for key in ("a", "b", "ctl\x01", "gone"):
        place.put(key, b"old")
    files = place.listed()
    for key in ("a", "ctl\x01"):
        place.put(key, b"new")
    place.forget("gone")

    kept = list(place.sources.delete(place.bucket, [(file.key, file.etag) for file in files]))

    assert {file.key for file in kept} == {"a", "ctl\x01"}
    assert {file.reason for file in kept} == {"archived, but the source was rewritten since and is kept"}
    assert {file.key for file in place.listed()} == {"a", "ctl\x01"}


def test_headers_and_metadata_are_kept(place: Place) -> None:
    if place.world is not None:
        pytest.skip("the fake has no headers")
    for key in ("plain", "odd//key"):
        place.s3.put_object(
            Bucket=place.bucket,
            Key=key,
            Body=b"x",
            ContentType="text/csv",
            ContentEncoding="gzip",
            ContentDisposition="attachment",
            ContentLanguage="de",
            CacheControl="no-cache",
            Metadata={"owner": "me", "two-words": "yes"},
        )
    files = place.listed()

    read = place.read(files)

    for one in read:
        assert isinstance(one, ReadFile)
        about = one.description
        assert (about.content_type, about.content_encoding, about.content_language) == ("text/csv", "gzip", "de")
        assert (about.content_disposition, about.cache_control) == ("attachment", "no-cache")
        assert about.metadata == {"owner": "me", "two-words": "yes"}


@pytest.mark.slow
def test_more_files_than_one_request_deletes_are_deleted(place: Place) -> None:
    if place.world is None:
        for number in range(1003):
            place.put(f"{number:04}", b"")
    else:
        place.world.put({f"{number:04}": b"" for number in range(1003)})
    files = place.listed()

    kept = list(place.sources.delete(place.bucket, [(file.key, file.etag) for file in files]))

    assert len(files) == 1003
    assert kept == []
    assert place.listed() == []


def tag(place: Place, key: str, body: bytes, **tags: str) -> None:
    if place.world is not None:
        place.world.put({key: body}, tags=tags)
    else:
        place.s3.put_object(Bucket=place.bucket, Key=key, Body=body, Tagging=urlencode(tags))


def deny_tags(place: Place, denied: str) -> None:
    """What S3 answers who may read an object, but not its tags."""
    if place.world is not None:
        place.world.tags_denied.add(denied)
        return

    def refuse(params: dict[str, Any], **_: Any) -> Any:
        if not params["url_path"].partition("?")[0].endswith(denied):
            return None
        error = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return SimpleNamespace(status_code=403), error

    place.s3.meta.events.register("before-call.s3.GetObjectTagging", refuse)


def tags_of(read: ReadFile | Skipped | SourceState) -> Mapping[str, str] | None:
    assert isinstance(read, ReadFile | SourceState), read
    return read.description.tags


def test_tags_come_with_the_files_where_they_are_asked_for(place: Place) -> None:
    tag(place, "a", b"1", colour="dark blue", empty="")
    place.put("b", b"2")
    files = place.listed()

    asked = list(place.sources.read(place.bucket, files, compression=Compression.STORED, tagged=True))
    described = [place.sources.describe(place.bucket, file, tagged=True) for file in files]
    not_asked = place.read(files)

    assert [tags_of(one) for one in asked] == [{"colour": "dark blue", "empty": ""}, {}]
    assert [tags_of(one) for one in described] == [{"colour": "dark blue", "empty": ""}, {}]
    assert [tags_of(one) for one in not_asked] == [None, None]


def test_a_file_whose_tags_may_not_be_read_is_skipped_and_the_others_are_read(place: Place) -> None:
    for key in ("a", "b"):
        tag(place, key, b"1", colour="blue")
    deny_tags(place, "a")
    files = place.listed()

    one, two = place.sources.read(place.bucket, files, compression=Compression.STORED, tagged=True)

    refused = Skipped("a", "its tags, which were asked for, can't be read: AccessDenied")
    assert one == refused
    assert tags_of(two) == {"colour": "blue"}
    assert place.sources.describe(place.bucket, files[0], tagged=True) == refused
    assert all(isinstance(one, ReadFile) for one in place.read(files))


def test_a_file_that_vanished_before_its_tags_were_read_is_skipped_as_vanished(place: Place) -> None:
    tag(place, "a", b"1", colour="blue")
    files = place.listed()
    place.forget("a")

    (read,) = place.sources.read(place.bucket, files, compression=Compression.STORED, tagged=True)

    assert read == Skipped("a", "it vanished since it was listed")


def test_tags_that_change_while_a_file_is_read_whose_etag_nobody_knows_are_read_again_later(place: Place) -> None:
    if place.world is not None:
        pytest.skip("the fake reads bytes and tags at once")
    tag(place, "a", b"1", colour="blue")
    (file,) = (file._replace(etag="") for file in place.listed())
    seen = []

    def rewrite(**_: Any) -> None:
        seen.append("tags")
        if len(seen) == 1:
            tag(place, "a", b"2", colour="red")

    assert tags_of(place.sources.describe(place.bucket, file, tagged=True)) == {"colour": "blue"}
    place.s3.meta.events.register("after-call.s3.GetObjectTagging", rewrite)
    for look in (
        lambda: place.sources.describe(place.bucket, file, tagged=True),
        lambda: list(place.sources.read(place.bucket, [file], compression=Compression.STORED, tagged=True)),
    ):
        seen.clear()
        tag(place, "a", b"1", colour="blue")
        with pytest.raises(Transient):
            look()
    (read,) = place.sources.read(place.bucket, [file], compression=Compression.STORED, tagged=True)
    assert tags_of(read) == {"colour": "red"}


def test_tags_are_those_of_the_version_that_was_read(place: Place) -> None:
    if place.world is not None:
        pytest.skip("the fake has no versions")
    place.s3.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"})
    tag(place, "a", b"1", version="first")
    found = read_tags(place.s3, place.bucket, "a")
    tag(place, "a", b"1", version="second")  # the same bytes, so that the ETag is the same

    (read,) = place.sources.read(place.bucket, place.listed(), compression=Compression.STORED, tagged=True)

    assert tags_of(read) == {"version": "second"}
    assert isinstance(read, ReadFile)
    second, first = read.description.version_id, found.version_id
    assert first != second
    for version_id, tags in ((first, {"version": "first"}), (second, {"version": "second"})):
        assert tags_of_version(place.s3, place.bucket, "a", found, version_id=version_id) == tags
