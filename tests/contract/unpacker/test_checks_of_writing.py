"""What holds S3 to what was to be written: checksums, sizes and conditions. At the local S3, with a stub where neither it nor moto
compares what S3 compares: MiniStack's multipart uploads have composite checksums only, and moto's answer to their completion has none."""

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

import boto3
import pytest
from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from fakes.mortal import Life
from fakes.unpacking import VAULT_BUCKET, member
from faults import Killed, until_nobody_dies
from glaciate.errors import Transient
from unpacker.adapters.original_files import OriginalBucketRules
from unpacker.adapters.restored_files import RestoreBucketRules, S3RestoredFiles
from unpacker.adapters.stores import open_store
from unpacker.ports import NotWritten

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MEBIBYTE = 1024**2
SMALL = b"the file as it was archived"
DAMAGED = b"the file as it was damaged!"
LARGE = os.urandom(5 * MEBIBYTE) + b"and a second part"
KEPT = "archives/a.object"
Rules = RestoreBucketRules | OriginalBucketRules
RULES = [RestoreBucketRules(), OriginalBucketRules(replaces=None)]


def adapter(s3: "S3Client", rules: Rules) -> S3RestoredFiles:
    return S3RestoredFiles(
        s3, open_store("restored"), "restored", VAULT_BUCKET, 5 * MEBIBYTE, copy_part_bytes=5 * MEBIBYTE, rules=rules
    )


def crc64(content: bytes) -> str:
    return b64encode(crc64nvme(content).to_bytes(8, "big")).decode()


def crc32_of(content: bytes) -> str:
    return b64encode(crc32(content).to_bytes(4, "big")).decode()


def put(s3: "S3Client", bucket: str, key: str, content: bytes) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumCRC64NVME=crc64(content))


def content(s3: "S3Client", key: str) -> bytes | None:
    try:
        return s3.get_object(Bucket="restored", Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


@contextmanager
def meddling(s3: "S3Client", call: str, key: str, instead: bytes) -> "Iterator[S3Client]":
    """A client after whose `call` S3 holds something else than was to be written."""
    client = boto3.client("s3")

    def meddle(**_event: Any) -> None:
        put(s3, "restored", key, instead)

    client.meta.events.register(f"after-call.s3.{call}", meddle)
    yield client


@pytest.mark.parametrize("checksums", [True, False], ids=["checksums", "no-checksums"])
@pytest.mark.parametrize("rules", RULES, ids=["restored", "original"])
def test_another_object_of_the_same_size_does_not_pass_for_the_copied_file(
    s3: "S3Client", rules: Rules, checksums: bool
) -> None:
    with_checksum = {"ChecksumCRC64NVME": crc64(SMALL)} if checksums else {}
    s3.put_object(Bucket=VAULT_BUCKET, Key=KEPT, Body=SMALL, **with_checksum)
    put(s3, "restored", "k", DAMAGED)

    with pytest.raises(NotWritten, match="another file" if rules.may_undo else "object is there"):
        adapter(s3, rules).copy(KEPT, "k", member("k", SMALL))
    assert content(s3, "k") == DAMAGED


def test_a_copy_of_the_same_size_that_differs_is_told_and_does_not_stay(s3: "S3Client") -> None:
    put(s3, VAULT_BUCKET, KEPT, SMALL)

    with (
        meddling(s3, "CopyObject", "k", DAMAGED) as client,
        pytest.raises(NotWritten, match="the copy that S3 made differs"),
    ):
        adapter(client, RestoreBucketRules()).copy(KEPT, "k", member("k", SMALL))
    assert content(s3, "k") is None


def test_a_copy_that_differs_is_told_of_an_original_bucket_too_where_nothing_is_ever_deleted(s3: "S3Client") -> None:
    s3.put_object(Bucket=VAULT_BUCKET, Key=KEPT, Body=SMALL)

    with (
        meddling(s3, "CompleteMultipartUpload", "k", b"short") as client,
        pytest.raises(NotWritten, match="the copy that S3 made differs"),
    ):
        adapter(client, OriginalBucketRules(replaces=None)).copy(KEPT, "k", member("k", SMALL))
    assert content(s3, "k") == b"short"


@pytest.mark.parametrize("rules", RULES, ids=["restored", "original"])
def test_a_copy_in_parts_is_completed_only_with_the_checksum_of_the_archived_file(s3: "S3Client", rules: Rules) -> None:
    """S3 refuses to complete an upload that has not the size and the whole checksum it is given: CompleteMultipartUpload, BadDigest."""
    client = boto3.client("s3")
    upload = {"Bucket": "restored", "Key": "k", "UploadId": "upload"}
    archived = {"ContentLength": len(LARGE), "ETag": '"e2"', "ChecksumType": "FULL_OBJECT"}
    with Stubber(client) as strict:
        strict.add_response("head_object", archived | {"ChecksumCRC64NVME": crc64(LARGE)})
        strict.add_client_error("head_object", "404", http_status_code=404)
        strict.add_response("create_multipart_upload", {"UploadId": "upload"})
        for _ in range(2):
            strict.add_response("upload_part_copy", {"CopyPartResult": {"ETag": '"part"'}})
        strict.add_client_error(
            "complete_multipart_upload",
            "BadDigest",
            http_status_code=400,
            expected_params=upload
            | {
                "MultipartUpload": {"Parts": [{"PartNumber": number, "ETag": '"part"'} for number in (1, 2)]},
                "MpuObjectSize": len(LARGE),
                "ChecksumType": "FULL_OBJECT",
                "ChecksumCRC64NVME": crc64(LARGE),
                "IfNoneMatch": "*",
            },
        )
        strict.add_response("abort_multipart_upload", {}, upload)

        with pytest.raises(Transient, match="was not what was sent"):
            adapter(client, rules).copy(KEPT, "k", member("k", LARGE))
        strict.assert_no_pending_responses()


@pytest.mark.parametrize("rules", RULES, ids=["restored", "original"])
def test_a_large_file_that_s3_stored_otherwise_is_told_and_undone_where_that_is_allowed(
    s3: "S3Client", rules: Rules
) -> None:
    client = boto3.client("s3")
    with Stubber(client) as strict:
        _takes_an_upload(strict, stored=DAMAGED)
        if rules.may_undo:
            strict.add_response("delete_object", {}, {"Bucket": "restored", "Key": "k", "IfMatch": '"stored"'})
        upload = adapter(client, rules).begin("k", member("k", SMALL))
        upload.write(SMALL)

        with pytest.raises(NotWritten, match="what S3 stored differs"):
            upload.complete()
        upload.abort()
        strict.assert_no_pending_responses()


def test_a_large_file_that_s3_stored_as_it_was_stays(s3: "S3Client") -> None:
    client = boto3.client("s3")
    with Stubber(client) as strict:
        _takes_an_upload(strict, stored=SMALL)
        upload = adapter(client, RestoreBucketRules()).begin("k", member("k", SMALL))
        upload.write(SMALL)

        upload.complete()
        upload.abort()
        strict.assert_no_pending_responses()


def _takes_an_upload(strict: Stubber, *, stored: bytes) -> None:
    """S3's answers to an upload of one part at a free place, of which it has stored this."""
    strict.add_client_error("head_object", "404", http_status_code=404)
    strict.add_response("create_multipart_upload", {"UploadId": "upload"})
    part = {"Bucket": "restored", "Key": "k", "UploadId": "upload", "PartNumber": 1, "Body": ANY}
    checked = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32_of(SMALL)}
    strict.add_response("upload_part", {"ETag": '"part"'}, part | checked)
    answer = {"ETag": '"stored"', "ChecksumType": "FULL_OBJECT", "ChecksumCRC32": crc32_of(stored)}
    strict.add_response("complete_multipart_upload", answer)


@pytest.mark.parametrize("way", ["put", "begin", "copy"])
def test_a_renewed_file_does_not_write_over_what_somebody_put_there_meanwhile(s3: "S3Client", way: str) -> None:
    """Its key held the same file when it was looked at, and another one when it is written."""
    put(s3, VAULT_BUCKET, KEPT, SMALL)
    put(s3, "restored", "k", SMALL)
    client = boto3.client("s3")

    def meddle(**_event: Any) -> None:
        put(s3, "restored", "k", DAMAGED)

    def meddle_and_hold_to_condition(params: dict[str, Any], **_event: Any) -> None:
        """S3 compares the ETag with what is there when it copies; MiniStack does for the other two calls only."""
        meddle()
        there = s3.head_object(Bucket="restored", Key="k")["ETag"]
        if params.get("IfMatch", there) != there:
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "412"}}, "CopyObject")

    for call in ("PutObject", "CompleteMultipartUpload"):
        client.meta.events.register(f"before-call.s3.{call}", meddle)
    client.meta.events.register("provide-client-params.s3.CopyObject", meddle_and_hold_to_condition)
    files = adapter(client, RestoreBucketRules())

    with pytest.raises(Transient, match="somebody else writes"):
        _write(files, way)
    assert content(s3, "k") == DAMAGED


def _write(files: S3RestoredFiles, way: str) -> None:
    known = member("k", SMALL)
    if way == "put":
        files.put("k", known, SMALL)
    elif way == "copy":
        files.copy(KEPT, "k", replace(known, crc32=None))
    else:
        upload = files.begin("k", known)
        try:
            upload.write(SMALL)
            upload.complete()
        finally:
            upload.abort()


@dataclass(frozen=True)
class MortalS3:
    """A client that dies with a life."""

    life: Life
    s3: "S3Client"

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.s3, name)
        return lambda **arguments: self.life.live(lambda: call(**arguments))


@pytest.mark.slow
@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("rules", RULES, ids=["restored", "original"])
@pytest.mark.parametrize("size", [len(SMALL), len(LARGE)])
def test_whoever_is_killed_while_copying_leaves_the_whole_file_or_none_and_another_copies_it(
    s3: "S3Client", rules: Rules, size: int, after_effect: bool
) -> None:
    archived = LARGE[:size]
    s3.put_object(Bucket=VAULT_BUCKET, Key=KEPT, Body=archived)
    known = member("k", archived)

    def attempt(deaths: int) -> bool:
        life = Life(deaths, after_effect=after_effect)
        with suppress(Killed):
            adapter(MortalS3(life, s3), rules).copy(KEPT, f"k{deaths}", known)  # type: ignore[arg-type]
        assert content(s3, f"k{deaths}") in (None, archived)

        adapter(s3, rules).copy(KEPT, f"k{deaths}", known)

        assert content(s3, f"k{deaths}") == archived
        return life.dead

    until_nobody_dies(attempt, at_least=4)
