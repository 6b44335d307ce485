"""The catalogs beside the vault."""

import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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
)
from glaciate.errors import Transient
from glaciate.names import ArchiveId, ProjectName, catalog_key
from glaciate.telemetry import logger
from unpacker.adapters.stores import NOT_THERE, code_in, error_code
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
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """The catalogs beside the vault: of a long one its end, and by the index there the blocks that hold what is asked for."""

    s3: "S3Client"
    bucket: str
    store: S3Store

    def read(self, archive_id: ArchiveId, keys: frozenset[str]) -> Excerpt:
        """What an archive's catalog says of some keys."""
        key = catalog_key(archive_id)
        with _damage_of(key):
            return _read(_Stored.at(self.store, key), keys)

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
    """One stored catalog, the same in every read, and its end, which is in hand."""

    store: S3Store
    key: str
    etag: str
    size: int
    tail: bytes

    @classmethod
    def at(cls, store: S3Store, key: str) -> "_Stored":
        try:
            found = obstore.get(store, key, options={"range": {"suffix": TAIL_BYTES}})
            etag = found.meta["e_tag"] or ""
            return cls(store, key, etag, found.meta["size"], bytes(found.bytes()))
        except (BaseError, FileNotFoundError) as error:
            match code_in(error):
                case "NoSuchKey":
                    msg = f"there is no {key}"
                    raise CatalogUnusable(msg) from error
                case "InvalidRange":  # no byte long
                    return cls(store, key, "", 0, b"")
            raise

    def bytes(self, start: int, end: int) -> bytes:
        """Bytes `start` to before `end` of the stored catalog."""
        tail_start = self.size - len(self.tail)
        if start >= tail_start:
            return self.tail[start - tail_start : end - tail_start]
        options: GetOptions = {"range": (start, end), "if_match": self.etag}
        try:
            return bytes(obstore.get(self.store, self.key, options=options).bytes())
        except PreconditionError as error:
            msg = f"{self.key} was written again while it was read"
            raise Transient(msg) from error

    def ranges(self, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Several ranges, whichever version of the catalog is there now: each block has a checksum."""
        starts, ends = zip(*ranges, strict=True)
        found = obstore.get_ranges(self.store, self.key, starts=starts, ends=ends, coalesce=0)
        return [memoryview(data) for data in found]


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
    """Does it for each of these blocks, with its lines; several at once."""

    def read(ranges: list[list[Block]]) -> list[T]:
        some = stored.ranges([(together[0].start, together[-1].end) for together in ranges])
        return [
            do(block, _open(data[block.start - together[0].start : block.end - together[0].start], block))
            for together, data in zip(ranges, some, strict=True)
            for block in together
        ]

    groups = _groups(_together(blocks))
    if len(groups) < 2:
        return [done for group in groups for done in read(group)]
    with ThreadPoolExecutor(min(len(groups), _THREADS), thread_name_prefix="catalog") as threads:
        return [done for some in threads.map(read, groups) for done in some]


def _together(blocks: Iterable[Block]) -> list[list[Block]]:
    """The blocks, in order, in ranges to be read by one GET each."""
    ranges: list[list[Block]] = []
    for block in sorted(blocks, key=lambda block: block.start):
        last = ranges[-1] if ranges else None
        if last and block.start - last[-1].end <= _GAP_BYTES and block.end - last[0].start <= _RANGE_BYTES:
            last.append(block)
        else:
            ranges.append([block])
    return ranges


def _groups(ranges: list[list[Block]]) -> list[list[list[Block]]]:
    """The ranges in groups to be read by one call each."""
    groups: list[list[list[Block]]] = []
    size = 0
    for together in ranges:
        length = together[-1].end - together[0].start
        if groups and len(groups[-1]) < _RANGES_A_CALL and size + length <= _RANGE_BYTES:
            groups[-1].append(together)
            size += length
        else:
            groups.append([together])
            size = length
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
