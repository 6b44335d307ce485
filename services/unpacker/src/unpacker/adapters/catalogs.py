"""The catalogs beside the vault."""

import gzip
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import obstore
from isal import igzip, isal_zlib
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from glaciate.catalog import Excerpt, Member, read_excerpt
from glaciate.catalog_index import (
    TAIL_BYTES,
    Block,
    CatalogIndex,
    index_bytes,
    left_out_in,
    members_in,
    read_index,
)
from glaciate.errors import Transient
from glaciate.names import ArchiveId, catalog_key
from unpacker.adapters.stores import code_in
from unpacker.ports import CatalogUnusable

if TYPE_CHECKING:
    from obstore import GetOptions

_PLAIN_BYTES: Final = 1024**2  # of a catalog at once
_GAP_BYTES: Final = 32 * 1024  # blocks nearer than this are read together
_RANGE_BYTES: Final = 512 * 1024
_READS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """The catalogs beside the vault: of a long one its end, and by the index there the blocks that hold what is asked for."""

    store: S3Store

    def read(self, archive_id: ArchiveId, keys: frozenset[str]) -> Excerpt:
        """What an archive's catalog says of some keys."""
        key = catalog_key(archive_id)
        try:
            return _read(_Stored.at(self.store, key), keys)
        except (gzip.BadGzipFile, isal_zlib.error, EOFError, ValueError) as error:  # type: ignore[misc]  # isal's stub shows the class as an instance
            msg = f"{key} cannot be read: {error}"
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


def _read(stored: _Stored, keys: frozenset[str]) -> Excerpt:
    length = index_bytes(stored.tail)
    if not length or stored.size <= len(stored.tail):
        return _read_whole(stored.bytes(0, stored.size), keys)
    index = read_index(stored.bytes(stored.size - length, stored.size))
    holding = index.holding(keys)
    members: dict[str, Member] = {}
    with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="catalog") as threads:
        for found in threads.map(
            lambda blocks: {
                key: member
                for block, plain in _open(stored, blocks)
                for key, member in members_in(plain, holding[block]).items()
            },
            _together(holding),
        ):
            members |= found
    return index.excerpt(members, _left_out(stored, index, keys - members.keys()))


def _left_out(stored: _Stored, index: CatalogIndex, keys: frozenset[str]) -> dict[str, str]:
    if not keys:
        return {}
    said = [left_out_in(plain) for blocks in _together(index.of_left_out()) for _block, plain in _open(stored, blocks)]
    return {key: reason for some in said for key, reason in some.items() if key in keys}


def _together(blocks: Iterable[Block]) -> list[list[Block]]:
    """The blocks, in order, in groups to be read by one GET each."""
    groups: list[list[Block]] = []
    for block in sorted(blocks, key=lambda block: block.start):
        if (
            groups
            and block.start - groups[-1][-1].end <= _GAP_BYTES
            and block.end - groups[-1][0].start <= _RANGE_BYTES
        ):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _open(stored: _Stored, blocks: list[Block]) -> Iterable[tuple[Block, bytes]]:
    """The blocks' lines, plain."""
    start = blocks[0].start
    data = memoryview(stored.bytes(start, blocks[-1].end))
    for block in blocks:
        plain = isal_zlib.decompressobj(wbits=-15).decompress(data[block.start - start : block.end - start])
        if isal_zlib.crc32(plain) != block.crc32:
            msg = f"the block at byte {block.start} is damaged"
            raise ValueError(msg)
        yield block, plain


def _read_whole(data: bytes, keys: frozenset[str]) -> Excerpt:
    with igzip.IGzipFile(fileobj=io.BytesIO(data)) as plain, io.BufferedReader(plain, _PLAIN_BYTES) as lines:  # type: ignore[no-untyped-call]
        return read_excerpt(lines, keys)
