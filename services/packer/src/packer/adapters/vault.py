"""The vault bucket: multipart uploads with a checksum over the whole object, copies inside S3, and what lies there."""

from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from awscrt.checksums import combine_crc64nvme, crc64nvme
from botocore.exceptions import ClientError

from glaciate.catalog import Skipped
from glaciate.errors import Transient
from packer.adapters.objects import error_code
from packer.adapters.tags import tagging_header
from packer.domain.archives import StoredObject
from packer.domain.sources import Description, SourceFile
from packer.ports import ArchiveAlreadyDifferent

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_MOST_PARTS: Final = 9_000  # S3 takes 10,000
_SMALLEST_PART_BYTES: Final = 5 * 1024**2
_MEBIBYTE: Final = 1024**2
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_PRECONDITION: Final = frozenset({"412", "PreconditionFailed"})
_REFUSED_BYTES: Final = frozenset({"BadDigest", "InvalidPart", "InvalidRequest", "EntityTooSmall"})


def _base64(checksum: int) -> str:
    return b64encode(checksum.to_bytes(8, "big")).decode()


def part_size_for(most_bytes: int, smallest: int) -> int:
    """The size of parts that lets an object of so many bytes be uploaded: whole mebibytes, no smaller than `smallest`."""
    needed = -(-most_bytes // _MOST_PARTS)
    return max(smallest, _SMALLEST_PART_BYTES, -(-needed // _MEBIBYTE) * _MEBIBYTE)


@dataclass(frozen=True, slots=True)
class S3Vault:
    """The vault bucket. Memory while uploading: `parts_in_flight` + 1 parts."""

    s3: "S3Client"
    bucket: str
    part_size_bytes: int
    parts_in_flight: int
    copy_part_bytes: int = 256 * _MEBIBYTE

    def find(self, vault_key: str) -> StoredObject | None:
        """HEAD works on archived objects without a thaw."""
        try:
            head = self.s3.head_object(Bucket=self.bucket, Key=vault_key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error_code(error) in _NOT_FOUND:
                return None
            raise
        is_whole = head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        return StoredObject(
            size_bytes=head["ContentLength"],
            checksum=head.get("ChecksumCRC64NVME") if is_whole else None,
            storage_class=head.get("StorageClass", "STANDARD"),
            modified=head["LastModified"],
        )

    @contextmanager
    def upload(self, vault_key: str, *, storage_class: str, most_bytes: int) -> Iterator["S3Upload"]:
        """Nothing stays behind: an unfinished upload is billed until someone aborts it."""
        self._abort_leftovers(vault_key)
        upload = S3Upload(
            vault=self,
            key=vault_key,
            options={"StorageClass": storage_class, "ContentType": "application/zip"},
            part_size=part_size_for(most_bytes, self.part_size_bytes),
        )
        try:
            yield upload
        finally:
            upload.close()

    def copy(
        self, bucket: str, file: SourceFile, about: Description, vault_key: str, *, storage_class: str
    ) -> Skipped | None:
        """One request for a small file, ranges in parallel for a large one; both on condition of the ETag."""
        try:
            if file.size <= self.copy_part_bytes:
                self._copy_at_once(bucket, file, about, vault_key, storage_class)
            else:
                self._abort_leftovers(vault_key)
                self._copy_in_parts(bucket, file, about, vault_key, storage_class)
        except ClientError as error:
            code = error_code(error)
            if code in _PRECONDITION:
                return None if self.find(vault_key) else Skipped(file.key, "it was rewritten since it was listed")
            if code in _NOT_FOUND:
                return Skipped(file.key, "it vanished since it was listed")
            if code in {"AccessDenied", "403", "InvalidObjectState"}:
                return Skipped(file.key, f"it can't be read: {code}")
            raise
        return None

    def _copy_at_once(
        self, bucket: str, file: SourceFile, about: Description, vault_key: str, storage_class: str
    ) -> None:
        tags = tagging_header(about.tags)
        kept: dict[str, Any] = {"Tagging": tags} if tags else {}
        self.s3.copy_object(
            Bucket=self.bucket,
            Key=vault_key,
            CopySource={"Bucket": bucket, "Key": file.key},
            CopySourceIfMatch=file.etag,
            IfNoneMatch="*",
            StorageClass=storage_class,  # type: ignore[arg-type]
            ChecksumAlgorithm="CRC64NVME",
            TaggingDirective="REPLACE",  # by those that the catalog tells of; to copy others takes rights that nobody asked for
            **kept,
        )

    def _copy_in_parts(
        self, bucket: str, file: SourceFile, about: Description, vault_key: str, storage_class: str
    ) -> None:
        options: dict[str, Any] = {
            "StorageClass": storage_class,
            "ContentType": about.content_type,
            "ContentEncoding": about.content_encoding,
            "ContentDisposition": about.content_disposition,
            "ContentLanguage": about.content_language,
            "CacheControl": about.cache_control,
            "Metadata": dict(about.metadata),
            "Tagging": tagging_header(about.tags),
        }
        upload = S3Upload(
            vault=self,
            key=vault_key,
            options={name: value for name, value in options.items() if value},
            part_size=part_size_for(file.size, self.copy_part_bytes),
        )
        try:
            upload.copy_from(bucket, file)
            upload.complete()
        finally:
            upload.close()

    def _abort_leftovers(self, vault_key: str) -> None:
        pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=vault_key)
        for page in pages:
            for found in page.get("Uploads", ()):
                if found["Key"] == vault_key:
                    self.abort(vault_key, found["UploadId"])

    def abort(self, vault_key: str, upload_id: str) -> None:
        """Gives up an upload; one that is gone is fine."""
        try:
            self.s3.abort_multipart_upload(Bucket=self.bucket, Key=vault_key, UploadId=upload_id)
        except ClientError as error:
            if error_code(error) != "NoSuchUpload":
                raise


@dataclass(slots=True)
class _Part:
    number: int
    etag: str
    checksum: int | None
    size: int


@dataclass(slots=True)
class S3Upload:
    """One multipart upload; it begins with its first part. Parts go up in threads while the next one gathers."""

    vault: S3Vault
    key: str
    options: dict[str, Any]
    part_size: int
    size_bytes: int = 0
    _upload_id: str | None = None
    _pending: bytearray = field(default_factory=bytearray)
    _threads: ThreadPoolExecutor | None = None
    _in_flight: deque[Future[_Part]] = field(default_factory=deque)
    _parts: list[_Part] = field(default_factory=list)
    _sent: int = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """More bytes; waits while too many parts are in flight."""
        self.size_bytes += len(data)
        room = self.part_size - len(self._pending)
        if len(data) < room:
            self._pending += data
            return
        rest = memoryview(data)
        while len(rest) >= (room := self.part_size - len(self._pending)):
            self._pending += rest[:room]
            self._send_pending()
            rest = rest[room:]
        self._pending += rest

    def finish_parts(self) -> tuple[int, str]:
        """All bytes are in S3's hands; their number, and their checksum."""
        if self._pending or not self._sent:
            self._send_pending()
        self._wait_until(0)
        return self.size_bytes, self._checksum() or ""

    def copy_from(self, bucket: str, file: SourceFile) -> None:
        """Fills the upload with ranges of another object, as long as that is as planned."""
        for start in range(0, file.size, self.part_size):
            end = min(start + self.part_size, file.size)
            self._submit(self._copy_part, bucket, file, start, end)
        self.size_bytes = file.size
        self._wait_until(0)

    def complete(self) -> None:
        """S3 itself refuses a damaged or a doubled object."""
        parts: list[CompletedPartTypeDef] = []
        for part in self._parts:
            checked: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": part.etag}
            if part.checksum is not None:
                checked["ChecksumCRC64NVME"] = _base64(part.checksum)
            parts.append(checked)
        checksum = self._checksum()
        upload_id, whole = self._upload_id or "", {"ChecksumCRC64NVME": checksum} if checksum else {}
        try:
            self.vault.s3.complete_multipart_upload(
                Bucket=self.vault.bucket,
                Key=self.key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
                MpuObjectSize=self.size_bytes,
                ChecksumType="FULL_OBJECT",
                **whole,  # type: ignore[arg-type]
            )
        except ClientError as error:
            self._settle(error, checksum)
        else:
            self._upload_id = None

    def close(self) -> None:
        """Lets the threads go; aborts what was not completed."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        if self._upload_id is not None:
            self.vault.abort(self.key, self._upload_id)
            self._upload_id = None

    def _settle(self, error: ClientError, checksum: str | None) -> None:
        """Completion was refused; fine if the same object is there, from an earlier attempt or from this call's first try."""
        code = error_code(error)
        if code in _PRECONDITION or code == "NoSuchUpload":
            stored = self.vault.find(self.key)
            if stored is not None:
                same_bytes = checksum is None or stored.checksum == checksum  # S3 may tell none of copied parts
                if same_bytes and stored.size_bytes == self.size_bytes:
                    return
                raise ArchiveAlreadyDifferent(
                    f"{self.key} is there already with {stored.size_bytes} bytes and CRC64NVME {stored.checksum}, "
                    f"but {self.size_bytes} bytes with {checksum} were sent"
                ) from error
        if code in _PRECONDITION | _REFUSED_BYTES | {"NoSuchUpload", "ConditionalRequestConflict"}:
            raise Transient(f"S3 did not complete {self.key}: {error}") from error
        raise error

    def _checksum(self) -> str | None:
        whole = 0
        for part in self._parts:
            if part.checksum is None:
                return None
            whole = combine_crc64nvme(whole, part.checksum, part.size)
        return _base64(whole)

    def _send_pending(self) -> None:
        body = bytes(self._pending)
        self._pending = bytearray()
        self._submit(self._send_part, body)

    def _submit(self, send: Any, *arguments: Any) -> None:
        if self._threads is None:
            answer = self.vault.s3.create_multipart_upload(
                Bucket=self.vault.bucket,
                Key=self.key,
                ChecksumAlgorithm="CRC64NVME",
                ChecksumType="FULL_OBJECT",
                **self.options,
            )
            self._upload_id = answer["UploadId"]
            self._threads = ThreadPoolExecutor(self.vault.parts_in_flight, thread_name_prefix="part")
        self._wait_until(self.vault.parts_in_flight - 1)
        self._sent += 1
        self._in_flight.append(self._threads.submit(send, self._sent, *arguments))

    def _wait_until(self, most: int) -> None:
        while len(self._in_flight) > most:
            self._parts.append(self._in_flight.popleft().result())

    def _send_part(self, number: int, body: bytes) -> _Part:
        checksum = crc64nvme(body)
        answer = self.vault.s3.upload_part(
            Bucket=self.vault.bucket,
            Key=self.key,
            UploadId=self._upload_id or "",
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm="CRC64NVME",
            ChecksumCRC64NVME=_base64(checksum),
        )
        return _Part(number, answer["ETag"], checksum, len(body))

    def _copy_part(self, number: int, bucket: str, file: SourceFile, start: int, end: int) -> _Part:
        answer = self.vault.s3.upload_part_copy(
            Bucket=self.vault.bucket,
            Key=self.key,
            UploadId=self._upload_id or "",
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": file.key},
            CopySourceIfMatch=file.etag,
            CopySourceRange=f"bytes={start}-{end - 1}",
        )["CopyPartResult"]
        told = answer.get("ChecksumCRC64NVME")
        checksum = int.from_bytes(b64decode(told), "big") if told else None
        return _Part(number, answer["ETag"], checksum, end - start)
