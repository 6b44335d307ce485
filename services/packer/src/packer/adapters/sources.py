"""The source files: many small GETs at once by obstore, verified and compressed in the threads that fetched them."""

import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import md5
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError
from obstore.store import S3Store

from glaciate.catalog import Skipped
from glaciate.errors import Transient
from glaciate.requests import Compression
from packer.adapters.lanes import Lanes, in_order
from packer.adapters.objects import error_code
from packer.adapters.tags import FoundTags, TagsUnreadable, read_tags, tags_of_version
from packer.domain.codec import pack
from packer.domain.member_names import is_plain
from packer.domain.sources import Description, ReadFile, SourceFile, SourceState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

StoreOf = Callable[[str], S3Store]

_ATTEMPTS: Final = 5
_CHUNK_FILES: Final = 16
_SMALL_BYTES: Final = 32 * 1024
_DELETE_BATCH: Final = 1000
_MD5: Final = re.compile(r'"?([0-9a-f]{32})"?')
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
# obstore cleans paths up before it asks: such keys go through boto3
_NOT_FOR_OBSTORE: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f]")
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


class _OtherSize(Exception):
    """The object has another size than the list says."""


class _Mismatch(Exception):
    """As many bytes as the object has arrived, but not those that its ETag tells of."""


@dataclass(frozen=True, slots=True)
class ObstoreSources:
    """Memory: `window_bytes` of files fetched and not yet taken (or one file, if it is larger), twice while they are packed."""

    s3: "S3Client"
    store_of: StoreOf
    concurrency: int
    window_bytes: int
    pause_seconds: float = 0.2

    def read(
        self, bucket: str, files: Iterable[SourceFile], *, compression: Compression, tagged: bool = False
    ) -> Generator[ReadFile | Skipped]:
        """Small files go in chunks, because handing one over to a thread costs as much as compressing it."""
        store = self.store_of(bucket)

        def read_chunk(chunk: _Chunk, stop: threading.Event) -> list[_Verified | ReadFile | Skipped]:
            return self._read_chunk(store, bucket, chunk, compression, stop, tagged=tagged)

        lanes = Lanes(most=self.concurrency)
        chunks = in_order(
            _chunks(files, lanes, self.window_bytes), read_chunk, lanes=lanes, window_bytes=self.window_bytes
        )
        with closing(chunks):
            for chunk in chunks:
                yield from [got.packed(compression) if isinstance(got, _Verified) else got for got in chunk]

    def describe(self, bucket: str, file: SourceFile, *, tagged: bool = False) -> SourceState | Skipped:
        """A HEAD on condition of the ETag, if one is known."""
        try:
            tags = read_tags(self.s3, bucket, file.key) if tagged else None
            head = self.s3.head_object(Bucket=bucket, Key=file.key, ChecksumMode="ENABLED", **_if_match(file))
            about = self._with_tags(bucket, file, _described(head), tags)
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

    def _read_chunk(
        self,
        store: S3Store,
        bucket: str,
        chunk: "_Chunk",
        compression: Compression,
        stop: threading.Event,
        *,
        tagged: bool,
    ) -> "list[_Verified | ReadFile | Skipped]":
        """Small files are left to whoever takes them: many threads that compress push each other out of the caches."""
        read: list[_Verified | ReadFile | Skipped] = []
        for file in chunk.files:
            if stop.is_set():
                break
            got = self._read(store, bucket, file, tagged=tagged)
            read.append(got if chunk.is_small or isinstance(got, Skipped) else got.packed(compression))
        return read

    def _read(self, store: S3Store, bucket: str, file: SourceFile, *, tagged: bool) -> "_Verified | Skipped":
        failure: Exception | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(self.pause_seconds * 2**attempt)
            try:
                tags = read_tags(self.s3, bucket, file.key) if tagged else None
                data, about, seen = self._get(store, bucket, file)
                self._require_size(bucket, seen, len(data))
                self._verify(bucket, seen, data)
                about = self._with_tags(bucket, file, about, tags)
            except (TagsUnreadable, _OtherSize) as left:
                return Skipped(file.key, str(left))
            except (BaseError, OSError, ClientError, BotoCoreError, _Damaged, _Mismatch) as error:
                if reason := _reason(_code(error)):
                    return Skipped(file.key, reason)
                failure = error
            else:
                return _Verified(seen, about, data)
        if isinstance(failure, _Mismatch):  # the others of the archive need not wait for what never comes right
            return Skipped(file.key, f"it can't be verified: {failure}")
        raise Transient(f"{file.key} could not be read: {failure}") from failure

    def _get(self, store: S3Store, bucket: str, file: SourceFile) -> tuple[Any, Description, SourceFile]:
        """The file's bytes, what it carries besides, and the file as S3 tells of it."""
        if not is_plain(file.key) and _NOT_FOR_OBSTORE.search(file.key):
            answer = self.s3.get_object(Bucket=bucket, Key=file.key, **_if_match(file))
            seen = file.seen(etag=answer["ETag"], modified=answer["LastModified"])
            return answer["Body"].read(), _described(answer), seen
        result = obstore.get(store, file.key, options={"if_match": file.etag} if file.etag else None)
        description = _attributed(tuple(result.attributes.items()))
        meta = result.meta
        seen = file if file.is_known else file.seen(etag=_etag_of(meta), modified=meta["last_modified"])
        if version := meta["version"]:
            description = replace(description, version_id=version)
        return result.bytes(), description, seen

    def _with_tags(self, bucket: str, file: SourceFile, about: Description, tags: FoundTags | None) -> Description:
        if tags is None:
            return about
        if not (file.etag or about.version_id) and read_tags(self.s3, bucket, file.key) != tags:
            raise Transient(f"{file.key} changed while its tags were read")  # no condition held bytes and tags together
        return replace(about, tags=tags_of_version(self.s3, bucket, file.key, tags, version_id=about.version_id))

    def _require_size(self, bucket: str, file: SourceFile, came: int) -> None:
        """Tells a list that is wrong about a file from an answer that was cut short."""
        if came == file.size:
            return
        size = self.s3.head_object(Bucket=bucket, Key=file.key, IfMatch=file.etag)["ContentLength"]
        if size != file.size:
            raise _OtherSize(OTHER_SIZE.format(size, file.size))
        msg = f"{came} bytes came, {file.size} were listed"
        raise _Damaged(msg)

    def _verify(self, bucket: str, file: SourceFile, data: Any) -> None:
        etag = _MD5.fullmatch(file.etag)
        if etag is None or md5(data, usedforsecurity=False).hexdigest() == etag[1]:
            return
        head = self.s3.head_object(Bucket=bucket, Key=file.key, IfMatch=file.etag)
        if head.get("ServerSideEncryption") not in _KMS:  # under KMS an ETag only looks like an MD5
            msg = f"its bytes do not match its ETag {file.etag}"
            raise _Mismatch(msg)

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


@dataclass(frozen=True, slots=True)
class _Verified:
    """A file's bytes, as they were listed."""

    file: SourceFile
    description: Description
    data: Any

    def packed(self, compression: Compression) -> ReadFile:
        return ReadFile(self.file, self.description, pack(self.data, compression))


@dataclass(frozen=True, slots=True)
class _Chunk:
    files: tuple[SourceFile, ...]
    size: int

    @property
    def is_small(self) -> bool:
        """Whether compressing one of its files takes less than asking for it."""
        return self.size <= _SMALL_BYTES * len(self.files)


def _chunks(files: Iterable[SourceFile], lanes: Lanes, window_bytes: int) -> Iterator[_Chunk]:
    """The window has room for two a lane. The first ones are short: what they come to says whether the processors idle."""
    chunk: list[SourceFile] = []
    size = 0
    most = 1
    for file in files:
        if chunk and (len(chunk) >= most or size + file.size > window_bytes // (2 * lanes.open)):
            yield _Chunk(tuple(chunk), size)
            chunk, size = [], 0
            most = min(most + 1, _CHUNK_FILES)
        chunk.append(file)
        size += file.size
    if chunk:
        yield _Chunk(tuple(chunk), size)


def _if_match(file: SourceFile) -> Any:
    return {"IfMatch": file.etag} if file.etag else {}


def _etag_of(meta: Any) -> str:
    """The ETag, without which neither a later read nor a deletion can be held to what was read."""
    etag = meta["e_tag"]
    if not etag:
        msg = "S3 told no ETag"
        raise _Damaged(msg)
    return str(etag)


def _code(error: Exception) -> str:
    """S3's code, out of what boto3 or obstore raised; empty where there is none."""
    if isinstance(error, ClientError):
        return error_code(error)
    if told := _CODE.search(str(error)):
        return told[1]
    return "NoSuchKey" if isinstance(error, FileNotFoundError) else ""


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
    """What a boto3 GET or HEAD tells."""
    return Description(
        version_id=answer.get("VersionId"),
        content_type=answer.get("ContentType"),
        content_encoding=answer.get("ContentEncoding"),
        content_disposition=answer.get("ContentDisposition"),
        content_language=answer.get("ContentLanguage"),
        cache_control=answer.get("CacheControl"),
        metadata=answer.get("Metadata", {}),
    )


@lru_cache(maxsize=4096)
def _attributed(attributes: tuple[tuple[Any, str], ...]) -> Description:
    """What an obstore GET tells: standard headers capitalised, user metadata in lower case. Most files of a prefix are alike."""
    values = dict(attributes)
    return Description(
        content_type=values.pop("Content-Type", None),
        content_encoding=values.pop("Content-Encoding", None),
        content_disposition=values.pop("Content-Disposition", None),
        content_language=values.pop("Content-Language", None),
        cache_control=values.pop("Cache-Control", None),
        metadata={name: value for name, value in values.items() if name.islower() or not name[:1].isupper()},
    )
