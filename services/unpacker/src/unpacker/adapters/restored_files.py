"""Files into the restore bucket, and into their original buckets."""

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

import obstore
from botocore.exceptions import ClientError, ParamValidationError
from isal import isal_zlib
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from glaciate.catalog import Member
from glaciate.errors import Transient
from unpacker.adapters.stores import (
    ARCHIVED,
    NOT_THERE,
    code_in,
    error_code,
    fits_obstore,
    message_in,
    raise_for_source,
)
from unpacker.ports import NotWritten, Upload, Vanished

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, HeadObjectOutputTypeDef

_MOST_PARTS: Final = 10_000
_COMPARED_BYTES: Final = 8 * 1024**2  # at once, when two files are compared
_COPIES_AT_ONCE: Final = 8
_MET_ANOTHER: Final = frozenset({"PreconditionFailed", "412"})
_CONDITION_FAILED: Final = _MET_ANOTHER | {
    "ConditionalRequestConflict",
    "NoSuchKey",
}  # the last: If-Match, and nothing is there
Condition = dict[str, Any]  # arguments of a conditional write
_ATTRIBUTE_NAMES: Final = frozenset(
    {"content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "storage-class"}
)
REFUSED: Final = frozenset(
    {"KeyTooLongError", "MetadataTooLarge", "InvalidArgument", "InvalidTag", "InvalidRequest", "EntityTooLarge"}
)


def _properties(member: Member) -> dict[str, Any]:
    """All that the catalog knows of a file, as S3's calls take it."""
    named = {
        "ContentType": member.content_type,
        "ContentEncoding": member.content_encoding,
        "ContentDisposition": member.content_disposition,
        "ContentLanguage": member.content_language,
        "CacheControl": member.cache_control,
        "Metadata": dict(member.metadata),
        "Tagging": urlencode(dict(member.tags or {})),
    }
    return {name: value for name, value in named.items() if value}


def _base64(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def _attributes(member: Member) -> dict[str, str]:
    """All that the catalog knows of a file but its tags, as obstore takes it."""
    named = {
        "Content-Type": member.content_type,
        "Content-Encoding": member.content_encoding,
        "Content-Disposition": member.content_disposition,
        "Content-Language": member.content_language,
        "Cache-Control": member.cache_control,
    }
    return {name: value for name, value in named.items() if value} | dict(member.metadata)


def _is_plain(member: Member) -> bool:
    """Whether a file's properties are as any HTTP client sends them, and none looks like another."""
    names = {name.lower() for name in member.metadata}
    texts = [*_attributes(member).values(), *names]
    return all(text.isascii() and text.isprintable() for text in texts) and not names & _ATTRIBUTE_NAMES


@dataclass(frozen=True, slots=True)
class Occupied:
    """Something is where a file is to appear, and whether it is that file."""

    address: str
    there: "HeadObjectOutputTypeDef"
    member: Member
    same: bool


class Rules(Protocol):
    """What holds for a bucket that files are written to."""

    @property
    def refusals(self) -> frozenset[str]:
        """S3's codes that mean: this file cannot be written there. Others are bugs or missing permissions, and rise."""

    @property
    def may_undo(self) -> bool:
        """Whether what S3 stored, and is not the file, may be deleted again."""

    def over(self, occupied: Occupied) -> Condition | None:
        """On what condition to write over what is there; None: it is the file, and stays as it is.

        Raises:
            NotWritten: it is not to be written over.
        """


@dataclass(frozen=True, slots=True)
class RestoreBucketRules:
    """The bucket is ours. A key that holds the same file is written again, which renews its stay; another file is left alone."""

    refusals: frozenset[str] = REFUSED
    may_undo: bool = True

    def over(self, occupied: Occupied) -> Condition | None:
        """The same file is renewed."""
        if occupied.same:
            return {"IfMatch": occupied.there["ETag"]}
        msg = f"{occupied.address} holds another file; name another destination_prefix"
        raise NotWritten(msg)


@dataclass(frozen=True, slots=True)
class S3RestoredFiles:
    """A bucket that files are restored to. A key is written on condition that it is free, or as the bucket's rules say."""

    s3: "S3Client"
    store: S3Store
    bucket: str
    vault_bucket: str
    part_size_bytes: int
    copy_part_bytes: int
    rules: Rules = field(default_factory=RestoreBucketRules)

    def put(self, destination: str, member: Member, content: bytes) -> None:
        """Writes a whole file: by obstore where it takes the key and the properties as they are, else by boto3."""
        if not (fits_obstore(destination) and _is_plain(member)):
            self._put_slowly(destination, member, content, {"IfNoneMatch": "*"})
            return
        try:
            obstore.put(
                self.store,
                destination,
                content,
                attributes=_attributes(member),
                tags=dict(member.tags or {}) or None,
                mode="create",
                use_multipart=False,
            )
        except AlreadyExistsError:
            self._put_slowly(destination, member, content, self._condition(destination, member))
        except (BaseError, OSError) as error:  # some of obstore's are Python's own: FileNotFoundError for 404
            self._raise_if_code_refuses(code_in(error), message_in(error), destination, error)
            raise

    def _put_slowly(self, destination: str, member: Member, content: bytes, condition: Condition | None) -> None:
        """S3 itself compares the CRC-32."""
        if condition is None:
            return
        try:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=destination,
                Body=content,
                ChecksumCRC32=_base64(isal_zlib.crc32(content)),
                **_properties(member),
                **condition,
            )
        except ClientError as error:
            if error_code(error) in _MET_ANOTHER and "IfNoneMatch" in condition:
                self._put_slowly(destination, member, content, self._condition(destination, member))
                return
            self.raise_if_refused(error, destination)
            raise
        except ParamValidationError as error:
            msg = f"S3 refuses to store it: {error}"
            raise NotWritten(msg) from error

    def begin(self, destination: str, member: Member) -> Upload:
        """Begins a multipart upload."""
        condition = self._condition(destination, member)
        if condition is None:
            return _AlreadyThere()
        try:
            begun = self.s3.create_multipart_upload(
                Bucket=self.bucket,
                Key=destination,
                ChecksumAlgorithm="CRC32",
                ChecksumType="FULL_OBJECT",
                **_properties(member),
            )
        except ClientError as error:
            self.raise_if_refused(error, destination)
            raise
        except ParamValidationError as error:
            msg = f"S3 refuses to store it: {error}"
            raise NotWritten(msg) from error
        part_size_bytes = max(self.part_size_bytes, -(-member.size // _MOST_PARTS))
        return _MultipartUpload(self, destination, member, begun["UploadId"], condition, part_size_bytes)

    def copy(self, vault_key: str, destination: str, member: Member) -> None:
        """Copies a file out of the vault, in one call or in parts: a call that copies gigabytes outlives every time-out."""
        source = self._head(self.vault_bucket, vault_key)
        if source is None:
            raise Vanished(vault_key)
        if source["ContentLength"] != member.size:
            msg = f"what is archived differs from the file: {source['ContentLength']} bytes instead of {member.size}"
            raise NotWritten(msg)
        there = self._head(self.bucket, destination)
        condition: Condition | None = {"IfNoneMatch": "*"}
        if there is not None:
            same = there["ETag"] == member.etag or self._same(source, vault_key, there, destination)
            condition = self.rules.over(Occupied(self._address(destination), there, member, same=same))
        if condition is None:
            return
        try:
            if self.rules.may_undo and source["ContentLength"] <= self.copy_part_bytes:
                self._copy_at_once(vault_key, destination, member, condition)
            else:
                self._copy_in_parts(vault_key, source, destination, member, condition)
        except ClientError as error:
            raise_for_source(error, vault_key)
            self.raise_if_refused(error, destination)
            raise
        copied = self._head(self.bucket, destination)
        if copied is None or _differ(source, copied):
            if copied is not None and self.rules.may_undo:
                self.s3.delete_object(Bucket=self.bucket, Key=destination, IfMatch=copied["ETag"])
            msg = "the copy that S3 made differs from the archived file"
            raise NotWritten(msg)

    def _copy_at_once(self, vault_key: str, destination: str, member: Member, condition: Mapping[str, Any]) -> None:
        self.s3.copy_object(
            Bucket=self.bucket,
            Key=destination,
            CopySource={"Bucket": self.vault_bucket, "Key": vault_key},
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            StorageClass="STANDARD",
            ChecksumAlgorithm="CRC64NVME",
            **_properties(member),
            **condition,
        )

    def _copy_in_parts(
        self,
        vault_key: str,
        source: "HeadObjectOutputTypeDef",
        destination: str,
        member: Member,
        condition: Mapping[str, Any],
    ) -> None:
        """S3 itself compares the size, and the checksum where it knows the archive's, before anything appears."""
        size, checksum = source["ContentLength"], _whole_checksum(source)
        expected: dict[str, Any] = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": checksum} if checksum else {}
        upload: dict[str, Any] = {"Bucket": self.bucket, "Key": destination}
        begun = self.s3.create_multipart_upload(**upload, ChecksumAlgorithm="CRC64NVME", **_properties(member))
        upload["UploadId"] = begun["UploadId"]
        part_bytes = max(self.copy_part_bytes, -(-size // _MOST_PARTS))

        def copy_part(number: int) -> "CompletedPartTypeDef":
            start = (number - 1) * part_bytes
            answer = self.s3.upload_part_copy(
                PartNumber=number,
                CopySource={"Bucket": self.vault_bucket, "Key": vault_key},
                CopySourceRange=f"bytes={start}-{min(start + part_bytes, size) - 1}",
                **upload,
            )
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        try:
            with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
                parts = list(pool.map(copy_part, range(1, -(-size // part_bytes) + 1)))
            self.s3.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, MpuObjectSize=size, **upload, **expected, **condition
            )
        except BaseException:  # an unfinished upload is billed until someone aborts it
            self.s3.abort_multipart_upload(**upload)
            raise

    def raise_if_refused(self, error: ClientError, destination: str) -> None:
        """Says what a failed write means, unless nobody knows."""
        code = error_code(error)
        self._raise_if_code_refuses(code, error.response["Error"].get("Message") or code, destination, error)

    def _raise_if_code_refuses(self, code: str, message: str, destination: str, error: Exception) -> None:
        if code in self.rules.refusals:
            msg = f"S3 refuses to store it: {message}"
            raise NotWritten(msg) from error
        if code in _CONDITION_FAILED:
            msg = f"somebody else writes {destination!r} at this moment"
            raise Transient(msg) from error
        if code == "BadDigest":
            msg = f"what reached S3 for {destination!r} was not what was sent"
            raise Transient(msg) from error

    def _condition(self, destination: str, member: Member) -> Condition | None:
        """On what condition a file may be written: nothing is there, or as the rules say; None: it is there, and stays as it is.

        Raises:
            NotWritten: another file is there.
        """
        there = self._head(self.bucket, destination)
        if there is None:
            return {"IfNoneMatch": "*"}
        same = self._holds(there, destination, member)
        return self.rules.over(Occupied(self._address(destination), there, member, same=same))

    def _holds(self, there: "HeadObjectOutputTypeDef", destination: str, member: Member) -> bool:
        """Whether what is there is the file: by its ETag, where it is a single object's MD5 or untouched; by a checksum; by reading it."""
        if there["ContentLength"] != member.size:
            return False
        if there["ETag"] == member.etag:
            return True
        if there.get("ChecksumType") == "FULL_OBJECT" and "ChecksumCRC32" in there and member.crc32 is not None:
            return there["ChecksumCRC32"] == _base64(member.crc32)
        try:
            return self._crc32(destination, member.size) == member.crc32
        except ClientError as error:
            if error_code(error) in ARCHIVED:
                return False
            raise

    def _address(self, destination: str) -> str:
        return f"s3://{self.bucket}/{destination}"

    def _head(self, bucket: str, key: str) -> "HeadObjectOutputTypeDef | None":
        try:
            return self.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error_code(error) in NOT_THERE:
                return None
            raise

    def _crc32(self, key: str, size: int) -> int:
        crc32 = 0
        for piece in self._pieces(self.bucket, key, size):
            crc32 = isal_zlib.crc32(piece, crc32)
        return crc32

    def _pieces(self, bucket: str, key: str, size: int) -> Iterator[bytes]:
        for start in range(0, size, _COMPARED_BYTES):
            piece = f"bytes={start}-{min(start + _COMPARED_BYTES, size) - 1}"
            yield self.s3.get_object(Bucket=bucket, Key=key, Range=piece)["Body"].read()

    def _same(
        self, source: "HeadObjectOutputTypeDef", vault_key: str, there: "HeadObjectOutputTypeDef", destination: str
    ) -> bool:
        size = source["ContentLength"]
        if there["ContentLength"] != size:
            return False
        if _whole_checksum(source) and _whole_checksum(there):
            return not _differ(source, there)
        try:
            pieces = zip(
                self._pieces(self.vault_bucket, vault_key, size),
                self._pieces(self.bucket, destination, size),
                strict=True,
            )
            return all(one == other for one, other in pieces)
        except ClientError as error:
            raise_for_source(error, vault_key)
            raise


def _whole_checksum(head: "HeadObjectOutputTypeDef") -> str | None:
    return head.get("ChecksumCRC64NVME") if head.get("ChecksumType") == "FULL_OBJECT" else None


def _differ(one: "HeadObjectOutputTypeDef", other: "HeadObjectOutputTypeDef") -> bool:
    """Whether two objects differ as far as their sizes and whole checksums tell."""
    checksums = {_whole_checksum(one), _whole_checksum(other)} - {None}
    return one["ContentLength"] != other["ContentLength"] or len(checksums) > 1


class _AlreadyThere:
    """A large file that is there already: nothing is to be written."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Is not needed."""

    def complete(self) -> None:
        """It is."""

    def abort(self) -> None:
        """Nothing was begun."""


@dataclass(slots=True)
class _MultipartUpload:
    """A large file on its way, one part in memory."""

    files: S3RestoredFiles
    destination: str
    member: Member
    upload_id: str
    condition: Condition
    part_size_bytes: int
    _part: bytearray = field(default_factory=bytearray)
    _parts: "list[CompletedPartTypeDef]" = field(default_factory=list)
    _completed: bool = False

    def write(self, chunk: bytes | memoryview) -> None:
        """The next bytes; sent when they make a part."""
        self._part += chunk
        while len(self._part) >= self.part_size_bytes:
            self._send(bytes(self._part[: self.part_size_bytes]))
            del self._part[: self.part_size_bytes]

    def complete(self) -> None:
        """Makes it appear; S3 compares the size, and where it knows the whole file's CRC-32, that is compared too."""
        if self._part:
            self._send(bytes(self._part))
        try:
            answer = self.files.s3.complete_multipart_upload(
                **self._upload(),
                MultipartUpload={"Parts": self._parts},
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=self.member.size,
                **self.condition,
            )
        except ClientError as error:
            self.files.raise_if_refused(error, self.destination)
            raise
        self._completed = True
        if answer.get("ChecksumType") == "FULL_OBJECT" and answer.get("ChecksumCRC32") != self._expected():
            if self.files.rules.may_undo:
                self.files.s3.delete_object(Bucket=self.files.bucket, Key=self.destination, IfMatch=answer["ETag"])
            msg = "what S3 stored differs from the archived file"
            raise NotWritten(msg)

    def abort(self) -> None:
        """Forgets it, unless it was completed."""
        if not self._completed:
            self.files.s3.abort_multipart_upload(**self._upload())

    def _expected(self) -> str | None:
        return None if self.member.crc32 is None else _base64(self.member.crc32)

    def _upload(self) -> dict[str, Any]:
        return {"Bucket": self.files.bucket, "Key": self.destination, "UploadId": self.upload_id}

    def _send(self, part: bytes) -> None:
        number = len(self._parts) + 1
        checksum = _base64(isal_zlib.crc32(part))
        answer = self.files.s3.upload_part(
            **self._upload(), PartNumber=number, Body=part, ChecksumAlgorithm="CRC32", ChecksumCRC32=checksum
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": checksum})
