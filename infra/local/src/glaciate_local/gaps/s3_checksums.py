"""Checksums and sizes of multipart uploads, as S3 checks and reports them."""

import base64
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from awscrt import checksums
from ministack.services import s3

from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.s3_answer import Answer, current_object, refuse
from glaciate_local.settings import LocalSettings

Handler = Callable[..., Answer]
SMALLEST_PART_BYTES = 5 * 1024 * 1024
FULL_OBJECT_ALGORITHMS = {"CRC32", "CRC32C", "CRC64NVME"}
COMPOSITE_ALGORITHMS = {"", "CRC32", "CRC32C", "SHA1", "SHA256"}
full_object: ContextVar[str | None] = ContextVar("full_object", default=None)


def count_fast(_: LocalSettings) -> None:
    """CRC64NVME and CRC32C at the speed of C; MiniStack's Python blocks the server for seconds per part."""
    s3._crc64nvme = checksums.crc64nvme
    if hasattr(s3, "_crc32c"):
        s3._crc32c = checksums.crc32c


def checksum_of(algorithm: str, parts: list[bytes]) -> str:
    """The full-object checksum of the parts one after the other, in base64."""
    value = 0
    for part in parts:
        if algorithm == "CRC64NVME":
            value = checksums.crc64nvme(part, value)
        elif algorithm == "CRC32C":
            value = checksums.crc32c(part, value)
        else:
            value = zlib.crc32(part, value)
    return base64.b64encode(struct.pack(">Q" if algorithm == "CRC64NVME" else ">I", value)).decode()


def check_full_objects(_: LocalSettings) -> None:
    """FULL_OBJECT uploads: the checksum of the whole, checked on completion and reported as such.

    CRC64NVME is full-object always, and what S3 counts when nothing is asked for.
    """
    s3._create_multipart_upload = remember_the_kind(s3._create_multipart_upload)
    s3._complete_multipart_upload = check_the_whole(s3._complete_multipart_upload)
    s3._get_object_attributes = tell_the_kind(s3._get_object_attributes)
    composite_alone = s3._composite_checksum

    def composite(algorithm: str, digests: list[str]) -> str | None:
        value: str | None = full_object.get() or composite_alone(algorithm, digests)
        return value

    s3._composite_checksum = composite


def remember_the_kind(create_alone: Handler) -> Handler:
    """CreateMultipartUpload that keeps the checksum type and refuses pairs S3 does not have."""

    def create(bucket_name: str, key: str, headers: dict[str, str]) -> Answer:
        algorithm = (headers.get("x-amz-checksum-algorithm") or "").upper()
        kind = (headers.get("x-amz-checksum-type") or "").upper()
        if kind not in ("", "FULL_OBJECT", "COMPOSITE"):
            return refuse("InvalidRequest", f"Value for x-amz-checksum-type is invalid: {kind}")
        whole = kind == "FULL_OBJECT" or (not kind and algorithm in ("", "CRC64NVME"))
        if algorithm not in (FULL_OBJECT_ALGORITHMS | {""} if whole else COMPOSITE_ALGORITHMS):
            message = f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
            return refuse("InvalidRequest", message)
        status, answer_headers, body = create_alone(bucket_name, key, headers)
        if status == 200 and whole:
            upload_id = ET.fromstring(body).findtext(f"{{{s3.S3_NS}}}UploadId")
            upload = s3._multipart_uploads[upload_id]
            upload["checksum_algorithm"] = algorithm or "CRC64NVME"
            upload["glaciate_full_object"] = True
            answer_headers |= {
                "x-amz-checksum-algorithm": upload["checksum_algorithm"],
                "x-amz-checksum-type": "FULL_OBJECT",
            }
        return status, answer_headers, body

    return create


def check_the_whole(complete_alone: Handler) -> Handler:
    """CompleteMultipartUpload that compares the checksum of all bytes."""

    def complete(bucket_name: str, key: str, body: bytes, params: Any, headers: dict[str, str] | None = None) -> Answer:
        upload_id = s3._qp(params, "uploadId")
        upload = s3._multipart_uploads.get(upload_id)
        if upload is None:
            return complete_alone(bucket_name, key, body, params, headers)
        if refused := _parts_refused(upload, body, f"/{bucket_name}/{key}"):
            return refused
        if not upload.get("glaciate_full_object"):
            return complete_alone(bucket_name, key, body, params, headers)
        parts = [upload["parts"][one]["body"] for one in _part_numbers(body) if one in upload["parts"]]
        token = full_object.set(checksum_of(upload["checksum_algorithm"], parts))
        try:
            status, answer_headers, answer = complete_alone(bucket_name, key, body, params, headers)
        finally:
            full_object.reset(token)
        if status == 200:
            thing = current_object(bucket_name, key)
            thing["checksum_type"] = "FULL_OBJECT"
            for version in s3._object_versions.get((bucket_name, key), []):
                if version["version_id"] == thing.get("version_id"):
                    version["checksum_type"] = "FULL_OBJECT"
            answer = answer.replace(b"COMPOSITE", b"FULL_OBJECT")
            s3._completed_multipart_uploads[upload_id]["response"] = (status, answer_headers, answer)
        return status, answer_headers, answer

    return complete


def tell_the_kind(attributes_alone: Handler) -> Handler:
    """GetObjectAttributes that knows full-object checksums of multipart objects."""

    def attributes(bucket_name: str, key: str, *rest: Any) -> Answer:
        status, headers, body = attributes_alone(bucket_name, key, *rest)
        thing = current_object(bucket_name, key) or {}
        if status == 200 and thing.get("checksum_type") == "FULL_OBJECT":
            body = body.replace(b">COMPOSITE<", b">FULL_OBJECT<")
        return status, headers, body

    return attributes


def _part_numbers(body: bytes) -> list[int]:
    """The part numbers of a completion in the order given; the original answers what is malformed."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError:
        return []
    return [int(one.text or 0) for one in root.iter() if one.tag.rpartition("}")[2] == "PartNumber"]


def _parts_refused(upload: Any, body: bytes, at: str) -> Answer | None:
    """S3's refusal of parts out of order, or too small and not the last."""
    numbers = _part_numbers(body)
    if numbers != sorted(set(numbers)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        return refuse("InvalidPartOrder", message, at=at)
    for number in numbers[:-1]:
        if len(upload["parts"].get(number, {"body": bytes(SMALLEST_PART_BYTES)})["body"]) < SMALLEST_PART_BYTES:
            message = "Your proposed upload is smaller than the minimum allowed size"
            return refuse("EntityTooSmall", message, at=at)
    return None


GAPS = (
    Gap("fast checksums", "checks CRC64NVME and CRC32C without anybody noticing", count_fast),
    Gap("full-object checksums", "checks and reports FULL_OBJECT checksums, part order and size", check_full_objects),
)
