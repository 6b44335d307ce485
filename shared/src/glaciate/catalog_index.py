"""The index at the end of a stored catalog: by it a few lines are read without the others.

Beside the vault a catalog is a gzip file of one long deflate stream, flushed every so many lines: what follows, a block, can be
inflated by itself. Behind the stream stands an empty gzip member (RFC 1952: members follow one another, and may carry an extra
field) whose extra field tells where each block begins, with which key, and its CRC-32. So any gzip program reads the lines and
nothing else, and whoever wants a few of them reads the end and the blocks that hold them.
A catalog has no index where its keys are not in order, or where the index would not fit into an extra field: it is read whole.

Who knows where in the catalog a file's line is need not wait for the index: a file's row in the files table tells the `page`, and
whoever reads the catalog asks for what lies there at the same time as for the end. It is a hint and no more: the index decides.
"""

import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from pydantic_core import from_json, to_json

from glaciate.catalog import (
    CatalogHeader,
    Excerpt,
    Member,
    Skipped,
    header_fields,
    read_header_fields,
    read_item,
)

TAIL_BYTES: Final = 64 * 1024  # what to read of a catalog's end: its index, and a small catalog altogether
PAGE_BYTES: Final = 4 * 1024  # in these a row of the files table counts
SPAN_BYTES: Final = 32 * 1024  # what to read from the beginning of a page on

_BLOCK_BYTES: Final = (
    64 * 1024
)  # of plain lines; more where there are many, so that the index grows slower than the catalog
_BLOCKS_PER_SIZE: Final = 512
_MOST_EXTRA_BYTES: Final = 0xFFFF
_HEAD: Final = Struct("<10sH")  # gzip's header with the flag for an extra field, and the length of that
_SUBFIELD: Final = Struct("<2sH")
_GZIP_WITH_EXTRA: Final = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
_INDEX: Final = b"gi"
_LENGTH: Final = b"gl"
_NUMBER: Final = Struct("<L")
_EMPTY: Final = b"\x03\x00" + bytes(8)  # no data, their CRC-32 and their size
_TRAILER_BYTES: Final = _SUBFIELD.size + _NUMBER.size + len(_EMPTY)


class Block(NamedTuple):
    """Bytes `start` to before `end` of the stored catalog: lines of members from `first_key` on, or (None) of files left out."""

    start: int
    end: int
    crc32: int  # of the lines, plain
    first_key: str | None  # of the first block it is empty


@dataclass(frozen=True, slots=True)
class CatalogIndex:
    """Where a stored catalog's lines are. The first line of the first block is the header's."""

    header: CatalogHeader
    data_end: int  # see `glaciate.catalog.Excerpt`
    blocks: tuple[Block, ...]

    def holding(self, keys: Iterable[str]) -> Mapping[Block, Sequence[str]]:
        """The blocks that hold the lines of the members with these keys, if there are any; of each block the keys in order."""
        first_keys = [block.first_key for block in self.blocks if block.first_key is not None]
        found: dict[Block, list[str]] = {}
        for key in sorted(keys):
            found.setdefault(self.blocks[bisect_right(first_keys, key) - 1], []).append(key)
        return found

    def of_left_out(self) -> tuple[Block, ...]:
        """The blocks that tell of files left out."""
        return tuple(block for block in self.blocks if block.first_key is None)

    def pages(self, catalog_bytes: int) -> Iterator[tuple[str, int | None]]:
        """Of each block with members the first key, and the page from which on a span holds the block.

        None of a block that a span does not hold, and of one that lies in the end of the catalog, which everybody reads.
        """
        for block in self.blocks:
            if block.first_key is not None:
                page = block.start // PAGE_BYTES
                is_read_anyway = block.start >= catalog_bytes - TAIL_BYTES
                yield block.first_key, None if is_read_anyway or block.end > span_of(page)[1] else page

    def excerpt(self, members: Mapping[str, Member], left_out: Mapping[str, str]) -> Excerpt:
        """What was found, as a catalog that is read whole tells it."""
        return Excerpt(self.header, members, left_out, self.data_end)


def span_of(page: int) -> tuple[int, int]:
    """From where to before where to read a stored catalog for the block that begins in a page."""
    start = page * PAGE_BYTES
    return start, start + SPAN_BYTES


class PageFinder:
    """Tells of the members of a stored catalog, asked for in the catalog's order, in which page their rows are to point."""

    def __init__(self, stored: bytes) -> None:
        length = index_bytes(stored) if len(stored) > TAIL_BYTES else 0
        self._ahead = deque(read_index(stored[-length:]).pages(len(stored)) if length else ())
        self._page: int | None = None

    def __call__(self, key: str) -> int | None:
        """The page, if there is one that helps."""
        while self._ahead and key >= self._ahead[0][0]:
            _first_key, self._page = self._ahead.popleft()
        return self._page


@dataclass(slots=True)
class IndexWriter:
    """Gathers an index while a catalog is written: `due` says when to begin a block."""

    header: CatalogHeader
    _blocks: list[tuple[int, int, str | None]] = field(default_factory=list)  # start, CRC-32, first key
    _last_key: str = ""
    _in_order: bool = True
    _data_end: int = 0

    def due(self, pending_bytes: int) -> bool:
        """Whether a block of so many plain bytes is long enough."""
        return pending_bytes >= _BLOCK_BYTES << len(self._blocks) // _BLOCKS_PER_SIZE

    def block(self, start: int, crc32: int, first_key: str | None) -> None:
        """A block that is complete: where it starts in the deflate stream, and its lines' CRC-32."""
        self._blocks.append((start, crc32, first_key))

    def member(self, key: str, data_end: int) -> None:
        """A member's line was written."""
        self._in_order = self._in_order and (key > self._last_key or not self._last_key)
        self._last_key, self._data_end = key, data_end

    def gzip_member(self, end: int) -> bytes:
        """What to put behind the stored catalog, whose deflate stream is `end` bytes long; nothing where there is to be no index."""
        about = {"header": header_fields(self.header), "data_end": self._data_end, "end": end, "blocks": self._blocks}
        index = zlib.compress(to_json(about), 6)
        extra_bytes = _SUBFIELD.size + len(index) + _SUBFIELD.size + _NUMBER.size
        if not self._in_order or extra_bytes > _MOST_EXTRA_BYTES:
            return b""
        return b"".join(
            [
                _HEAD.pack(_GZIP_WITH_EXTRA, extra_bytes),
                _SUBFIELD.pack(_INDEX, len(index)),
                index,
                _SUBFIELD.pack(_LENGTH, _NUMBER.size),
                _NUMBER.pack(_HEAD.size + extra_bytes + len(_EMPTY)),
                _EMPTY,
            ]
        )


def index_bytes(tail: bytes) -> int:
    """How many bytes at the end of a stored catalog are its index; 0 where it has none. `tail` is some of its end."""
    trailer = tail[-_TRAILER_BYTES:]
    if len(trailer) < _TRAILER_BYTES or trailer[-len(_EMPTY) :] != _EMPTY:
        return 0
    if trailer[: _SUBFIELD.size] != _SUBFIELD.pack(_LENGTH, _NUMBER.size):
        return 0
    (length,) = _NUMBER.unpack_from(trailer, _SUBFIELD.size)
    return int(length)


def read_index(member: bytes, *, gzip_header_bytes: int = 10) -> CatalogIndex:
    """Reads the last `index_bytes` of a stored catalog.

    Raises:
        ValueError: they are damaged.
    """
    start = _HEAD.size + _SUBFIELD.size
    try:
        about = from_json(zlib.decompress(member[start:-_TRAILER_BYTES]))
        header, data_end, found = read_header_fields(about["header"]), about["data_end"], about["blocks"]
        starts = [gzip_header_bytes + at for at, _crc32, _key in found]
        ends = [*starts[1:], gzip_header_bytes + about["end"]]
        blocks = tuple(
            Block(start, end, crc32, key) for (_at, crc32, key), start, end in zip(found, starts, ends, strict=True)
        )
    except (zlib.error, KeyError, TypeError) as error:
        msg = f"the catalog's index is damaged: {error}"
        raise ValueError(msg) from error
    return CatalogIndex(header, data_end, blocks)


def members_in(plain: bytes, keys: Iterable[str]) -> dict[str, Member]:
    """The members with these keys, which must be in order, among a block's lines.

    Raises:
        ValueError: their lines are not a catalog's.
    """
    found: dict[str, Member] = {}
    lines = b"\n" + plain
    at = 0
    for key in keys:
        start = lines.find(b'\n{"k":%b,' % to_json(key), at)
        if start < 0:
            continue
        at = lines.find(b"\n", start + 1)
        item = read_item(lines[start + 1 : at if at >= 0 else None])
        if isinstance(item, Member):
            found[item.key] = item
        at = max(at, start)
    return found


def left_out_in(plain: bytes) -> dict[str, str]:
    """What a block tells of files left out: key and reason.

    Raises:
        ValueError: its lines are not a catalog's.
    """
    items = map(read_item, plain.splitlines())
    return {item.key: item.reason for item in items if isinstance(item, Skipped)}
