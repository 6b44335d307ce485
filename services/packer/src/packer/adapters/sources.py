"""The source files: many GETs at once by libcurl, each verified as it comes and compressed as it is taken."""

import random
import re
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from hashlib import md5
from http.client import OK
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from glaciate.catalog import Skipped
from glaciate.errors import Transient
from glaciate.requests import Compression
from packer.adapters.aws_requests import TOO_LONG, AwsRequest, AwsRequests, S3Urls
from packer.adapters.integrity import CHECKSUM_MODE, mismatch
from packer.adapters.objects import error_code
from packer.adapters.tags import FoundTags, TagsUnreadable, read_tags, tags_of_version
from packer.adapters.transfers import Answer, Pause, Task, TransferFailed, Transfers
from packer.domain.codec import pack
from packer.domain.sources import Description, ReadFile, SourceFile, SourceState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ATTEMPTS: Final = 5
_READ_ATTEMPTS: Final = 8  # S3 may ask to slow down for a minute, and what was packed before would be packed again
_DELETE_BATCH: Final = 1000
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_MD5_CHARACTERS: Final = 32
_CODE: Final = re.compile(rb"<Code>([\w.]+)</Code>")
_ERROR_BYTES: Final = 64 * 1024  # S3's words about an error are shorter
_METADATA: Final = "x-amz-meta-"
_START: Final = 10  # characters, by which the few of an answer's headers are told that matter here
_TELLING: Final = frozenset(
    start[:_START].encode()
    for start in (
        "http/1.0 2", "http/1.1 2", "content-type", "content-encoding", "content-disposition", "content-language", "cache-control",
        _METADATA, "x-amz-version-id", "x-amz-server-side-encryption",
    )
)  # fmt: skip
_NOT_FOR_XML: Final = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]")
_UNREADABLE: Final = frozenset(
    {"AccessDenied", "403", "InvalidObjectState", "InvalidRequest", "400", "KMS.DisabledException", "KMS.NotFoundException",
     "KMS.KMSInvalidStateException"}
)  # fmt: skip
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})
_PRECONDITION: Final = frozenset({"412", "PreconditionFailed"})
_AGAIN: Final = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "500", "503"})
_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
REWRITTEN: Final = "it was rewritten since it was listed"
VANISHED: Final = "it vanished since it was listed"
OTHER_SIZE: Final = "it has {} bytes, but {} were listed"
KEPT: Final = "archived, but the source was rewritten since and is kept"


class _Damaged(Exception):
    """Not all of the object's bytes arrived."""


class _Refused(Exception):
    """An answer that is not the object."""

    def __init__(self, status: int, body: bytearray) -> None:
        told = _CODE.search(body)
        self.code = told[1].decode() if told else ""
        super().__init__(f"the answer was {status} {self.code}".strip())


class _OtherSize(Exception):
    """The object has another size than the list says."""


class _Mismatch(Exception):
    """As many bytes as the object has arrived, but not those that its ETag or its checksum tells of."""


@dataclass(frozen=True, slots=True)
class CurlSources:
    """GETs by libcurl, whatever else there is to ask by boto3. Memory: that of `transfers`, and a file while it is packed."""

    s3: "S3Client"
    requests: AwsRequests
    urls: S3Urls
    transfers: Transfers
    pause_seconds: float = 0.2

    def read(
        self, bucket: str, files: Iterable[SourceFile], *, compression: Compression, tagged: bool = False
    ) -> Generator[ReadFile | Skipped]:
        """Files are compressed when they are taken."""
        base_url = self.urls.of_bucket(bucket)
        tasks = ((file.size, self._reading(bucket, base_url, file, tagged=tagged)) for file in files)
        with closing(self.transfers.in_runs(tasks)) as runs:
            for run in runs:
                packed = [got.packed(compression) if isinstance(got, _Got) else got for got in run]
                run.clear()  # the plain bytes need not wait for those who take the packed ones
                yield from packed

    def describe(self, bucket: str, file: SourceFile, *, tagged: bool = False) -> SourceState | Skipped:
        """A HEAD on condition of the ETag, if one is known."""
        try:
            tags = read_tags(self.s3, bucket, file.key) if tagged else None
            head = self.s3.head_object(Bucket=bucket, Key=file.key, ChecksumMode="ENABLED", **_if_match(file))
            about = _described(head)
            if tags is not None:
                about = self._with_tags(bucket, file, about, tags)
        except ClientError as error:
            reason = _reason(error_code(error))
            if reason is None:
                raise
            return Skipped(file.key, reason)
        except TagsUnreadable as unreadable:
            return Skipped(file.key, str(unreadable))
        if head["ContentLength"] != file.size:
            return Skipped(file.key, OTHER_SIZE.format(head["ContentLength"], file.size))
        is_whole = head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        checksum = head.get("ChecksumCRC64NVME") if is_whole else None
        return SourceState(about, checksum, file.seen(etag=head["ETag"], modified=head["LastModified"]))

    def delete(self, bucket: str, files: Iterable[tuple[str, str]]) -> Iterator[Skipped]:
        """A thousand a request, each on condition of its ETag; in a versioned bucket a delete marker hides the version."""
        pending = iter(files)
        while batch := list(islice(pending, _DELETE_BATCH)):
            for key, etag in batch:
                if _NOT_FOR_XML.search(key):
                    yield from self._delete_one(bucket, key, etag)
            yield from self._delete_batch(bucket, [item for item in batch if not _NOT_FOR_XML.search(item[0])])

    def _reading(self, bucket: str, base_url: str, file: SourceFile, *, tagged: bool) -> "Task[_Got | Skipped]":
        failure: Exception | None = None
        for attempt in range(_READ_ATTEMPTS):
            if attempt >= _ATTEMPTS and isinstance(failure, _Mismatch):
                break  # the others of the archive need not wait for what never comes right
            if attempt:
                yield Pause(self.pause_seconds * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - no secret depends on it
            try:
                return (yield from self._reading_once(bucket, base_url, file, tagged=tagged))
            except (TagsUnreadable, _OtherSize) as left:
                return Skipped(file.key, str(left))
            except (OSError, ClientError, BotoCoreError, _Refused, _Damaged, _Mismatch) as error:
                if reason := _reason(_code(error)):
                    return Skipped(file.key, reason)
                failure = error
        if isinstance(failure, _Mismatch):
            return Skipped(file.key, f"it can't be verified: {failure}")
        raise Transient(f"{file.key} could not be read: {failure}") from failure

    def _reading_once(self, bucket: str, base_url: str, file: SourceFile, *, tagged: bool) -> "Task[_Got]":
        tags = (yield partial(read_tags, self.s3, bucket, file.key)) if tagged else None
        try:
            got = _got(file, (yield self._request(base_url, file)))
        except TransferFailed as failure:
            if failure.errno == TOO_LONG:  # nobody asked what has it: it may be larger than the memory
                yield partial(self._why_another_size, bucket, file)
            raise
        if len(got.data) != file.size:
            yield partial(self._why_another_size, bucket, got.file)
        got.verify()
        if tags is not None:
            got.description = yield partial(self._with_tags, bucket, file, got.description, tags)
        return got

    def _request(self, base_url: str, file: SourceFile) -> AwsRequest:
        headers = [("if-match", file.etag), CHECKSUM_MODE] if file.etag else [CHECKSUM_MODE]
        url = base_url + self.urls.path(file.key)
        return self.requests.get(url, headers, most_bytes=max(file.size, _ERROR_BYTES))

    def _why_another_size(self, bucket: str, file: SourceFile) -> None:
        """Tells a list that is wrong about a file from an answer that was cut short."""
        has = self.s3.head_object(Bucket=bucket, Key=file.key, **_if_match(file))["ContentLength"]
        if has != file.size:
            raise _OtherSize(OTHER_SIZE.format(has, file.size))
        msg = f"not just the {has} bytes that it has came"
        raise _Damaged(msg)

    def _with_tags(self, bucket: str, file: SourceFile, about: Description, tags: FoundTags) -> Description:
        if not (file.etag or about.version_id) and read_tags(self.s3, bucket, file.key) != tags:
            raise Transient(f"{file.key} changed while its tags were read")  # no condition held bytes and tags together
        return replace(about, tags=tags_of_version(self.s3, bucket, file.key, tags, version_id=about.version_id))

    def _delete_batch(self, bucket: str, batch: list[tuple[str, str]]) -> Iterator[Skipped]:
        for attempt in range(_ATTEMPTS):
            if not batch:
                return
            if attempt:
                time.sleep(self.pause_seconds * 2**attempt)
            answer = self.s3.delete_objects(
                Bucket=bucket,
                Delete={"Objects": [{"Key": key, "ETag": etag} for key, etag in batch], "Quiet": True},
            )
            again: set[str] = set()
            for failed in answer.get("Errors", ()):
                key, code = failed["Key"], failed.get("Code", "")
                if code in _AGAIN:
                    again.add(key)
                elif code not in _NOT_FOUND:
                    yield Skipped(key, _kept_reason(code))
            batch = [item for item in batch if item[0] in again]
        if batch:
            raise Transient(f"{len(batch)} sources could not be deleted yet, {batch[0][0]} among them")

    def _delete_one(self, bucket: str, key: str, etag: str) -> Iterator[Skipped]:
        """For keys that XML has no characters for."""
        try:
            self.s3.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            code = error_code(error)
            if code in _AGAIN:
                raise Transient(f"{key!r} could not be deleted yet: {code}") from error
            if code not in _NOT_FOUND:
                yield Skipped(key, _kept_reason(code))


@dataclass(slots=True)
class _Got:
    """An answer: the bytes that came, and what is told of the object."""

    data: bytearray
    file: SourceFile
    description: Description
    encryption: str
    head: list[bytes]

    def verify(self) -> None:
        """Holds the bytes to the ETag where that is an MD5, else to the checksums that S3 tells."""
        etag = self.file.etag.strip('"')
        if len(etag) == _MD5_CHARACTERS and self.encryption not in _KMS:  # under KMS an ETag only looks like an MD5
            if md5(self.data, usedforsecurity=False).hexdigest() == etag:
                return
            if _MD5.fullmatch(etag):
                msg = f"its bytes do not match its ETag {self.file.etag}"
                raise _Mismatch(msg)
        if wrong := mismatch(self.data, self.head):
            msg = f"its bytes do not match its {wrong}"
            raise _Mismatch(msg)

    def packed(self, compression: Compression) -> ReadFile:
        return ReadFile(self.file, self.description, pack(self.data, compression))


def _got(file: SourceFile, answer: Answer) -> _Got:
    """An answer of libcurl's."""
    if answer.status != OK:
        raise _Refused(answer.status, answer.body)
    description, encryption = _told(tuple([line for line in answer.head if line[:_START].lower() in _TELLING]))
    if not file.is_known:
        told = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in answer.head)}
        file = file.seen(etag=_etag_of(told), modified=_modified(told))
    return _Got(answer.body, file, description, encryption, answer.head)


@lru_cache(maxsize=4096)
def _told(lines: tuple[bytes, ...]) -> tuple[Description, str]:
    """What an answer of libcurl's tells of the object, and how that is encrypted. Most files of a prefix are alike."""
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if name.startswith("HTTP/"):  # what came before was a proxy's
            values.clear()
        else:
            values[name.lower()] = value.strip()
    description = Description(
        version_id=values.get("x-amz-version-id"),
        content_type=values.get("content-type"),
        content_encoding=values.get("content-encoding"),
        content_disposition=values.get("content-disposition"),
        content_language=values.get("content-language"),
        cache_control=values.get("cache-control"),
        metadata={name.removeprefix(_METADATA): value for name, value in values.items() if name.startswith(_METADATA)},
    )
    return description, values.get("x-amz-server-side-encryption", "")


def _if_match(file: SourceFile) -> Any:
    return {"IfMatch": file.etag} if file.etag else {}


def _etag_of(told: Mapping[bytes, bytes]) -> str:
    """The ETag, without which neither a later read nor a deletion can be held to what was read."""
    etag = told.get(b"etag")
    if not etag:
        msg = "S3 told no ETag"
        raise _Damaged(msg)
    return etag.decode()


def _modified(told: Mapping[bytes, bytes]) -> datetime:
    try:
        return parsedate_to_datetime(told[b"last-modified"].decode())
    except (KeyError, ValueError) as error:
        msg = "S3 did not tell when it was written"
        raise _Damaged(msg) from error


def _code(error: Exception) -> str:
    """S3's code, out of what was raised; empty where there is none."""
    if isinstance(error, ClientError):
        return error_code(error)
    return error.code if isinstance(error, _Refused) else ""


def _reason(code: str) -> str | None:
    """Why a file with this error is left out; None where the error may pass, or is not about the file."""
    if code in _NOT_FOUND:
        return VANISHED
    if code in _PRECONDITION:
        return REWRITTEN
    return f"it can't be read: {code}" if code in _UNREADABLE else None


def _kept_reason(code: str) -> str:
    return KEPT if code in _PRECONDITION else f"archived, but the source can't be deleted: {code}"


def _described(answer: Any) -> Description:
    """What a HEAD of boto3's tells."""
    return Description(
        version_id=answer.get("VersionId"),
        content_type=answer.get("ContentType"),
        content_encoding=answer.get("ContentEncoding"),
        content_disposition=answer.get("ContentDisposition"),
        content_language=answer.get("ContentLanguage"),
        cache_control=answer.get("CacheControl"),
        metadata=answer.get("Metadata", {}),
    )
