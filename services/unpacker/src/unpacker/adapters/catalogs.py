"""The catalogs beside the vault."""

import gzip
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from botocore.exceptions import ClientError
from isal import igzip, isal_zlib
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from glaciate.catalog import CatalogHeader, Excerpt, Member, read_catalog, read_excerpt, stored_metadata
from glaciate.catalog_index import (
    TAIL_BYTES,
    Block,
    index_bytes,
    left_out_in,
    members_in,
    read_index,
    span_of,
)
from glaciate.errors import Transient
from glaciate.names import ArchiveId, ProjectName, catalog_key
from glaciate.telemetry import logger
from unpacker.adapters.stores import NOT_THERE, code_in, error_code, message_in
from unpacker.ports import CatalogUnusable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore import GetOptions

_CONDITION_FAILED: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_PLAIN_BYTES: Final = 1024**2  # of a catalog at once
_GAP_BYTES: Final = 32 * 1024  # blocks nearer than this are read together
_RANGE_BYTES: Final = 512 * 1024
_RANGES_A_CALL: Final = 10  # as many as obstore has on their way at once
_THREADS: Final = 16
_MOST_PAGES: Final = 128  # to read ahead: 4 MB; to whom wants more, a round trip is nothing
Range = tuple[int, int]  # from a byte to before another
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """The catalogs beside the vault: of a long one its end, and by the index there the blocks that hold what is asked for."""

    s3: "S3Client"
    bucket: str
    store: S3Store

    def read(self, archive_id: ArchiveId, keys: frozenset[str], pages: Collection[int] = ()) -> Excerpt:
        """What an archive's catalog says of some keys. What lies at `pages` is read at the same time as the end."""
        key = catalog_key(archive_id)
        with _damage_of(key):
            return _read(_Stored.at(self.store, key, pages), keys)

    def open(self, stored: bytes, keys: frozenset[str]) -> Excerpt:
        """The same of a catalog in hand."""
        with _damage_of("the archive's own catalog"):
            return _read_whole(stored, keys)

    def put_back(self, archive_id: ArchiveId, stored: bytes, *, vault_key: str) -> None:
        """Stores a catalog with what the packer says beside it of the archive, unless somebody has written one meanwhile."""
        archive = self.s3.head_object(Bucket=self.bucket, Key=vault_key, ChecksumMode="ENABLED")
        whole = archive.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        checksum = archive.get("ChecksumCRC64NVME") if whole else None
        members = read_catalog(stored).members
        about = stored_metadata(
            size_bytes=archive["ContentLength"],
            checksum=checksum,
            members=len(members),
            bytes_in=sum(member.size for member in members),
        )
        key = catalog_key(archive_id)
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=stored, Metadata=about, **self._as_it_is(archive_id))
        except ClientError as error:
            if error_code(error) not in _CONDITION_FAILED:
                raise
            logger().info("somebody else has written the catalog", extra={"archive_id": archive_id})

    def of_object(self, archive_id: ArchiveId, vault_key: str, key: str) -> Excerpt:
        """By HEAD: a copy inside S3 keeps size, content type and metadata of its source."""
        try:
            head = self.s3.head_object(Bucket=self.bucket, Key=vault_key)
        except ClientError as error:
            if error_code(error) in NOT_THERE:
                msg = f"there is no {vault_key}"
                raise CatalogUnusable(msg) from error
            raise
        size = head["ContentLength"]
        storage_class = head.get("StorageClass", "STANDARD")
        member = Member(
            key=key, name=key, offset=0, compressed_size=size, size=size, method=0, crc32=None,
            etag=head["ETag"], version_id=None, modified=head["LastModified"],
            content_type=head.get("ContentType"), content_encoding=head.get("ContentEncoding"),
            content_disposition=head.get("ContentDisposition"), content_language=head.get("ContentLanguage"),
            cache_control=head.get("CacheControl"), metadata=head["Metadata"],
        )  # fmt: skip
        unknown = ProjectName("")
        header = CatalogHeader(unknown, "", "", archive_id, self.bucket, vault_key, storage_class, "object")
        return Excerpt(header, {key: member}, {}, size)

    def _as_it_is(self, archive_id: ArchiveId) -> dict[str, Any]:
        try:
            return {"IfMatch": self.s3.head_object(Bucket=self.bucket, Key=catalog_key(archive_id))["ETag"]}
        except ClientError as error:
            if error_code(error) in NOT_THERE:
                return {"IfNoneMatch": "*"}
            raise


@contextmanager
def _damage_of(what: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, isal_zlib.error, EOFError, ValueError) as error:  # type: ignore[misc]  # isal's stub shows the class as an instance
        msg = f"{what} cannot be read: {error}"
        raise CatalogUnusable(msg) from error


@dataclass(frozen=True, slots=True)
class _Stored:
    """One stored catalog, the same in every read; its end and what was read with it are in hand."""

    store: S3Store
    key: str
    etag: str
    size: int
    tail: bytes
    in_hand: tuple[tuple[int, memoryview], ...]  # where each piece begins, and its bytes

    @classmethod
    def at(cls, store: S3Store, key: str, pages: Collection[int]) -> "_Stored":
        spans = _groups(_together(map(span_of, pages))) if len(pages) <= _MOST_PAGES else []
        with ThreadPoolExecutor(len(spans) or 1, thread_name_prefix="catalog") as threads:
            ahead = threads.map(partial(_ahead, store, key), spans)
            etag, size, tail = _end(store, key)
            pieces = [piece for some in ahead for piece in some]
        return cls(store, key, etag, size, tail, ((size - len(tail), memoryview(tail)), *pieces))

    def bytes(self, start: int, end: int) -> bytes:
        """Bytes `start` to before `end` of the stored catalog."""
        data = self.held(start, end)
        if data is not None:
            return bytes(data)
        options: GetOptions = {"range": (start, end), "if_match": self.etag}
        try:
            return bytes(obstore.get(self.store, self.key, options=options).bytes())
        except PreconditionError as error:
            msg = f"{self.key} was written again while it was read"
            raise Transient(msg) from error

    def held(self, start: int, end: int) -> memoryview | None:
        """The same, if they are in hand."""
        for at, data in self.in_hand:
            if at <= start and end <= at + len(data):
                return data[start - at : end - at]
        return None

    def ranges(self, ranges: Sequence[Range]) -> list[memoryview]:
        """Several ranges, whichever version of the catalog is there now: each block has a checksum."""
        return _ranges(self.store, self.key, ranges)


def _end(store: S3Store, key: str) -> tuple[str, int, bytes]:
    """A catalog's ETag, its size and its end."""
    try:
        found = obstore.get(store, key, options={"range": {"suffix": TAIL_BYTES}})
        return found.meta["e_tag"] or "", found.meta["size"], bytes(found.bytes())
    except (BaseError, FileNotFoundError) as error:
        match code_in(error):
            case "NoSuchKey":
                msg = f"there is no {key}"
                raise CatalogUnusable(msg) from error
            case "InvalidRange":  # no byte long
                return "", 0, b""
        raise


def _ahead(store: S3Store, key: str, spans: list[Range]) -> list[tuple[int, memoryview]]:
    """Some spans, each with where it begins; none where that fails: whoever needs them reads them again, and sees why."""
    try:
        found = _ranges(store, key, spans)
    except (BaseError, FileNotFoundError) as error:
        logger().info("not read ahead", extra={"key": key, "reason": message_in(error)})
        return []
    return [(start, data) for (start, _end), data in zip(spans, found, strict=True)]


def _ranges(store: S3Store, key: str, ranges: Sequence[Range]) -> list[memoryview]:
    starts, ends = zip(*ranges, strict=True)
    return [memoryview(data) for data in obstore.get_ranges(store, key, starts=starts, ends=ends, coalesce=0)]


def _read(stored: _Stored, keys: frozenset[str]) -> Excerpt:
    length = index_bytes(stored.tail)
    if not length or stored.size <= len(stored.tail):
        return _read_whole(stored.bytes(0, stored.size), keys)
    index = read_index(stored.bytes(stored.size - length, stored.size))
    holding = index.holding(keys)
    found = _each_block(stored, holding, lambda block, plain: members_in(plain, holding[block]))
    members = {key: member for some in found for key, member in some.items()}
    said = _each_block(
        stored, index.of_left_out() if keys - members.keys() else (), lambda _, plain: left_out_in(plain)
    )
    return index.excerpt(members, {key: reason for some in said for key, reason in some.items() if key in keys})


def _each_block(stored: _Stored, blocks: Iterable[Block], do: Callable[[Block, bytes], T]) -> list[T]:
    """Does it for each of these blocks, with its lines; several at once, where they are to be read first."""
    done: list[T] = []
    away: list[Block] = []
    for block in blocks:
        data = stored.held(block.start, block.end)
        if data is None:
            away.append(block)
        else:
            done.append(do(block, _open(data, block)))

    def read(ranges: list[Range]) -> list[T]:
        some = stored.ranges(ranges)
        return [
            do(block, _open(data[block.start - start : block.end - start], block))
            for (start, end), data in zip(ranges, some, strict=True)
            for block in away
            if start <= block.start < end
        ]

    groups = _groups(_together((block.start, block.end) for block in away))
    if len(groups) < 2:
        return done + [some for group in groups for some in read(group)]
    with ThreadPoolExecutor(min(len(groups), _THREADS), thread_name_prefix="catalog") as threads:
        return done + [some for found in threads.map(read, groups) for some in found]


def _together(ranges: Iterable[Range]) -> list[Range]:
    """The ranges, in order, joined to those that are to be read by one GET each."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        last_start, last_end = joined[-1] if joined else (0, 0)
        if joined and start - last_end <= _GAP_BYTES and end - last_start <= _RANGE_BYTES:
            joined[-1] = last_start, max(end, last_end)
        else:
            joined.append((start, end))
    return joined


def _groups(ranges: list[Range]) -> list[list[Range]]:
    """The ranges in groups to be read by one call each."""
    groups: list[list[Range]] = []
    size = 0
    for start, end in ranges:
        if groups and len(groups[-1]) < _RANGES_A_CALL and size + end - start <= _RANGE_BYTES:
            groups[-1].append((start, end))
            size += end - start
        else:
            groups.append([(start, end)])
            size = end - start
    return groups


def _open(data: memoryview, block: Block) -> bytes:
    """The block's lines, plain."""
    plain = isal_zlib.decompressobj(wbits=-15).decompress(data)
    if isal_zlib.crc32(plain) != block.crc32:
        msg = f"the block at byte {block.start} is damaged"
        raise ValueError(msg)
    return plain


def _read_whole(data: bytes, keys: frozenset[str]) -> Excerpt:
    with igzip.IGzipFile(fileobj=io.BytesIO(data)) as plain, io.BufferedReader(plain, _PLAIN_BYTES) as lines:  # type: ignore[no-untyped-call]
        return read_excerpt(lines, keys)
