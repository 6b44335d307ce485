"""The vault takes an object once, whole, and knows what it holds; plans and catalogs come back as they were."""

import gzip
from datetime import UTC, datetime
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from contract.packer.conftest import Ground
from fakes.packer_world import JOB, START, FakeObject
from glaciate.catalog import Catalog, CatalogHeader, Member, Skipped, compress, write_catalog
from glaciate.names import ArchiveId, ProjectName
from glaciate_local.cloud import Server
from packer.adapters.tags import tagging_header
from packer.adapters.vault import S3Vault, part_size_for
from packer.domain.archives import CatalogEntry, Draft, Seal
from packer.domain.sources import Description, SourceFile, plan_line
from packer.ports import ArchiveAlreadyDifferent, CatalogOfAnother, LostRace

KEY = "archives/demo/01aaaaa000010000.zip"
ARCHIVE = ArchiveId(f"{JOB}0000")
NOW = datetime(2026, 7, 1, tzinfo=UTC)
GONE = (Skipped("in/gone", "it vanished"),)
BODY = bytes(range(256)) * 50_000  # three parts of 5 MiB at the least


def send(ground: Ground, body: bytes = BODY) -> tuple[int, str]:
    with ground.vault.upload(KEY, storage_class="DEEP_ARCHIVE", most_bytes=len(body)) as upload:
        for start in range(0, len(body), 1_000_003):
            upload.write(memoryview(body)[start : start + 1_000_003])
        told = upload.finish_parts()
        upload.complete()
    return told


def open_uploads(ground: Ground) -> int:
    if ground.world is not None:
        return len(ground.world.open_uploads)
    return len(boto3.client("s3").list_multipart_uploads(Bucket="vault").get("Uploads", []))


def test_an_upload_is_found_with_size_checksum_and_class(ground: Ground) -> None:
    assert ground.vault.find(KEY) is None

    size, checksum = send(ground)

    stored = ground.vault.find(KEY)
    assert stored is not None
    assert size == stored.size_bytes == len(BODY)
    assert checksum == stored.checksum == FakeObject(BODY, START).checksum
    assert stored.storage_class == "DEEP_ARCHIVE"


def test_the_same_object_again_is_taken_for_ours(ground: Ground) -> None:
    send(ground)

    assert send(ground) == (len(BODY), FakeObject(BODY, START).checksum)
    assert open_uploads(ground) == 0


def test_another_object_under_the_same_key_is_refused_and_left_alone(ground: Ground) -> None:
    send(ground)

    with pytest.raises(ArchiveAlreadyDifferent):
        send(ground, BODY[1:])

    stored = ground.vault.find(KEY)
    assert stored is not None
    assert stored.size_bytes == len(BODY)
    assert open_uploads(ground) == 0


def test_an_upload_that_is_not_completed_leaves_nothing(ground: Ground) -> None:
    def break_off() -> None:
        with ground.vault.upload(KEY, storage_class="DEEP_ARCHIVE", most_bytes=len(BODY)) as upload:
            upload.write(BODY)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()

    assert ground.vault.find(KEY) is None
    assert open_uploads(ground) == 0


def test_leftovers_of_an_attempt_that_died_are_aborted_by_the_next(ground: Ground) -> None:
    if ground.world is not None:
        ground.world.open_uploads.add(KEY)
    else:
        boto3.client("s3").create_multipart_upload(Bucket="vault", Key=KEY)

    send(ground)

    assert open_uploads(ground) == 0


def test_plans_come_back_and_two_planners_do_not_overwrite_each_other(ground: Ground) -> None:
    files = [SourceFile(f"in/{number}", number, '"e"', START) for number in range(100)]

    one = ground.plans.put(ARCHIVE, gzip.compress(b"".join(map(plan_line, files)), mtime=0))
    two = ground.plans.put(ARCHIVE, gzip.compress(plan_line(files[0]), mtime=0))

    assert list(ground.plans.read(one)) == files
    assert list(ground.plans.read(two)) == files[:1]


def test_a_catalog_comes_back_with_what_the_object_must_be(ground: Ground) -> None:
    header = CatalogHeader(ProjectName("demo"), "source", "in/", ARCHIVE, "vault", KEY, "DEEP_ARCHIVE", "zip")
    draft = Draft(size_bytes=5, checksum="abc=", members=2, bytes_in=9)
    assert ground.catalogs.draft(ARCHIVE) is None

    member = Member("in/a", "in/a", 40, 3, 9, 8, 7, '"e"', None, START)
    catalog = Catalog(header, (member,), (Skipped("in/b", "gone"),))

    written = ground.catalogs.put(ARCHIVE, compress(write_catalog(catalog)), draft, replacing=None)

    assert ground.catalogs.draft(ARCHIVE) == draft
    assert ground.catalogs.version(ARCHIVE) == written
    told = list(ground.catalogs.entries(ARCHIVE, Seal(5, "abc=", 2, 9, NOW)))
    assert told == [CatalogEntry("in/a", 9, '"e"'), Skipped("in/b", "gone")]
    nothing = Draft(0, None, 0, 0)
    ground.catalogs.put(ARCHIVE, compress(write_catalog(Catalog(header, (), GONE))), nothing, replacing=written)
    assert ground.catalogs.draft(ARCHIVE) == nothing


def test_a_worker_that_was_taken_over_does_not_write_over_the_newer_catalog(ground: Ground) -> None:
    header = CatalogHeader(ProjectName("demo"), "source", "in/", ARCHIVE, "vault", KEY, "DEEP_ARCHIVE", "zip")
    mine, theirs = (compress(write_catalog(Catalog(header, (), skipped))) for skipped in ((), GONE))
    draft = Draft(size_bytes=5, checksum="abc=", members=2, bytes_in=9)
    ground.catalogs.put(ARCHIVE, theirs, draft, replacing=None)

    for stale in (None, '"0123456789abcdef0123456789abcdef"'):
        with pytest.raises(LostRace):
            ground.catalogs.put(ARCHIVE, mine, Draft(6, "def=", 3, 9), replacing=stale)

    assert ground.catalogs.draft(ARCHIVE) == draft


@pytest.mark.parametrize("seal", [Seal(5, "xyz=", 2, 9, NOW), Seal(6, "abc=", 2, 9, NOW), Seal(5, "abc=", 3, 9, NOW)])
def test_a_catalog_that_tells_of_another_object_is_not_read(ground: Ground, seal: Seal) -> None:
    header = CatalogHeader(ProjectName("demo"), "source", "in/", ARCHIVE, "vault", KEY, "DEEP_ARCHIVE", "zip")
    ground.catalogs.put(ARCHIVE, compress(write_catalog(Catalog(header, ()))), Draft(5, "abc=", 2, 9), replacing=None)

    with pytest.raises(CatalogOfAnother):
        next(ground.catalogs.entries(ARCHIVE, seal))


@pytest.mark.parametrize(
    ("most_bytes", "part"), [(0, 8), (9_000 * 8 * 1024**2, 8), (9_000 * 8 * 1024**2 + 1, 9), (1_000_000_000_000, 106)]
)
def test_parts_grow_with_the_archive_so_that_s3_takes_them(most_bytes: int, part: int) -> None:
    size = part_size_for(most_bytes, 8 * 1024**2)

    assert size == part * 1024**2
    assert most_bytes / size <= 10_000


def test_times_of_plans_are_exact(ground: Ground) -> None:
    moment = datetime(2026, 7, 1, 12, 0, 0, 123000, tzinfo=UTC)
    file = SourceFile("in/a", 1, '"e"', moment)

    key = ground.plans.put(ARCHIVE, gzip.compress(plan_line(file)))

    assert next(ground.plans.read(key)).modified == moment


@pytest.fixture
def copying(server: Server) -> tuple[S3Vault, SourceFile]:
    """A vault that copies in parts of 5 MiB, and a source file of three parts; moto would not see that it was rewritten."""
    keys = {"aws_access_key_id": server.root_access_key_id, "aws_secret_access_key": server.root_secret_access_key}
    s3 = boto3.client("s3", endpoint_url=server.endpoint, **keys)  # type: ignore[call-overload]
    bucket = f"copying-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    told = s3.put_object(Bucket=bucket, Key="in/big #1", Body=BODY)
    vault = S3Vault(s3, bucket, part_size_bytes=5 * 1024**2, parts_in_flight=2, copy_part_bytes=5 * 1024**2)
    return vault, SourceFile("in/big #1", len(BODY), told["ETag"], NOW)


ABOUT = Description(content_type="text/x", metadata={"sample": "12"})


@pytest.mark.cloud
def test_a_very_big_file_is_copied_in_parts_with_what_it_carries(copying: tuple[S3Vault, SourceFile]) -> None:
    vault, file = copying

    for _ in range(2):  # again is harmless
        assert vault.copy(vault.bucket, file, ABOUT, KEY, storage_class="GLACIER_IR") is None

    stored = vault.find(KEY)
    assert stored is not None
    assert (stored.size_bytes, stored.storage_class) == (len(BODY), "GLACIER_IR")
    answer = vault.s3.get_object(Bucket=vault.bucket, Key=KEY)
    assert (answer["ContentType"], answer["Metadata"]) == ("text/x", {"sample": "12"})
    assert answer["Body"].read() == BODY
    assert not vault.s3.list_multipart_uploads(Bucket=vault.bucket).get("Uploads")


@pytest.mark.cloud
@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_very_big_file_that_changed_is_not_copied_and_leaves_no_upload(
    copying: tuple[S3Vault, SourceFile], change: str
) -> None:
    vault, file = copying
    if change == "rewritten":
        vault.s3.put_object(Bucket=vault.bucket, Key=file.key, Body=BODY[::-1])
    else:
        vault.s3.delete_object(Bucket=vault.bucket, Key=file.key)

    skipped = vault.copy(vault.bucket, file, ABOUT, KEY, storage_class="GLACIER_IR")

    assert skipped is not None
    assert skipped.key == file.key
    assert vault.find(KEY) is None
    assert not vault.s3.list_multipart_uploads(Bucket=vault.bucket).get("Uploads")


TAGGED = Description(content_type="text/x", tags={"colour": "dark blue", "size": "1+1=2"})


@pytest.mark.parametrize("copy_part_bytes", [5 * 1024**2, 64 * 1024**2], ids=["in parts", "at once"])
@pytest.mark.parametrize("about", [TAGGED, Description()], ids=["tags", "no tags"])
def test_a_copied_file_has_the_tags_that_were_asked_for_and_no_others(copy_part_bytes: int, about: Description) -> None:
    """By moto: MiniStack forgets the tags of a multipart upload."""
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="copying")
        told = s3.put_object(Bucket="copying", Key="in/big", Body=BODY, Tagging="colour=dark+blue&size=1%2B1%3D2")
        vault = S3Vault(s3, "copying", part_size_bytes=5 * 1024**2, parts_in_flight=2, copy_part_bytes=copy_part_bytes)
        file = SourceFile("in/big", len(BODY), told["ETag"], NOW)

        assert vault.copy("copying", file, about, KEY, storage_class="GLACIER_IR") is None

        kept = s3.get_object_tagging(Bucket="copying", Key=KEY)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in kept} == dict(about.tags or {})


@pytest.mark.parametrize(
    ("tags", "header"),
    [
        (None, ""),
        ({}, ""),
        ({"a b": "c&d", "e": ""}, "a+b=c%26d&e="),
        ({"aws:made-by": "x", "mine": "y"}, "mine=y"),
        ({str(number): "ü" * 256 for number in range(10)}, ""),
    ],
)
def test_tags_stand_in_a_header_as_far_as_it_takes_them(tags: dict[str, str] | None, header: str) -> None:
    assert tagging_header(tags) == header
