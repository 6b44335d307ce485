"""What to read of an archive, and whether what was read is the file that was archived."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Protocol

from isal import isal_zlib

from glaciate.catalog import MEMBER_NAME, Member

_STORED: Final = 0
_DEFLATED: Final = 8
_ENDS_EARLY: Final = "its compressed data end early"
_CUT_SHORT: Final = "its compressed data are cut short"
_MAX16: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF
_CENTRAL: Final = Struct("<4sHHHHHHLLLHHHHHLL")
_END: Final = Struct("<4sHHHHLLH")
_END64: Final = Struct("<4sQHHLLQQQQ")
_LOCATOR64: Final = Struct("<4sLQL")
_SIZES64: Final = Struct("<QQ")  # the size, then the compressed one
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_TRAILER: Final = Struct("<LL")
_CATALOG_NAME: Final = MEMBER_NAME.encode()
_LONGEST_KEY_BYTES: Final = 1024  # S3's limit


class Damaged(Exception):
    """The archive's bytes are not the file that was archived."""


class _Inflater(Protocol):
    eof: bool
    unconsumed_tail: bytes
    unused_data: bytes

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one ranged GET may be.

    In money a GET costs something and bytes from S3 within the Region cost nothing, so fewer GETs always cost less. In time, the
    bytes of a gap must be worth the request they save: at 20 ms latency and 32 reads at once, about `gap_bytes`.
    From `whole_share` of the archive on, nearly everything is wanted: gaps are read as well, however long.
    A member above `whole_member_bytes`, compressed or not, is large: it is read piece by piece, and never with others.
    """

    gap_bytes: int
    limit_bytes: int
    whole_share: float
    whole_member_bytes: int

    def is_large(self, member: Member) -> bool:
        """Whether a member must not be held whole."""
        return max(member.compressed_size, member.size) > self.whole_member_bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A byte range of the archive, `start` to before `end`, and the members whose data lie in it, in order."""

    start: int
    end: int
    members: tuple[Member, ...]

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start


def end_of(member: Member) -> int:
    """The offset of the first byte after a member's data."""
    return member.offset + member.compressed_size


def plan_reads(members: Iterable[Member], *, archive_bytes: int, limits: ReadLimits) -> tuple[Span, ...]:
    """The ranges to read, in the archive's order: each member in exactly one, near ones together.

    A range is longer than `limit_bytes` only where a single member is. `archive_bytes` is the length of all the members' data.
    """
    ordered = sorted(members, key=lambda member: (member.offset, member.key))
    wanted_bytes = sum(member.compressed_size for member in ordered)
    nearly_everything = wanted_bytes >= limits.whole_share * archive_bytes
    gap_bytes = limits.limit_bytes if nearly_everything else limits.gap_bytes
    spans: list[Span] = []
    together: list[Member] = []
    start = end = 0
    for member in ordered:
        near = member.offset - end <= gap_bytes and end_of(member) - start <= limits.limit_bytes
        if together and near and not limits.is_large(member) and not limits.is_large(together[0]):
            together.append(member)
            end = max(end, end_of(member))
            continue
        if together:
            spans.append(Span(start, end, tuple(together)))
        together, start, end = [member], member.offset, end_of(member)
    if together:
        spans.append(Span(start, end, tuple(together)))
    return tuple(spans)


def groups_to_read(spans: Iterable[Span], *, most: int, limit_bytes: int) -> tuple[tuple[Span, ...], ...]:
    """Ranges to be read by one call each: at most so many, and no more bytes than that unless a single one has more."""
    groups: list[list[Span]] = []
    gathered = 0
    for span in spans:
        if groups and len(groups[-1]) < most and gathered + span.length <= limit_bytes:
            groups[-1].append(span)
            gathered += span.length
        else:
            groups.append([span])
            gathered = span.length
    return tuple(map(tuple, groups))


@dataclass(slots=True)
class Opening:
    """Turns a member's data, piece by piece, into the file's bytes, and knows at the end whether they are the file's.

    Give all pieces to `feed`, then call `close`; nothing longer than `chunk_bytes` comes out at once, nor more than the file's size.
    """

    member: Member
    chunk_bytes: int
    _size: int = 0
    _crc32: int = 0
    _inflater: _Inflater | None = field(init=False)

    def __post_init__(self) -> None:
        if self.member.method not in {_STORED, _DEFLATED}:
            msg = f"compressed by method {self.member.method}, which Glaciate does not write"
            raise Damaged(msg)
        self._inflater = isal_zlib.decompressobj(wbits=-15) if self.member.method == _DEFLATED else None

    def feed(self, piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The file's next bytes.

        Raises:
            Damaged: not a deflate stream, or longer than the file.
        """
        if self._inflater is None:
            for start in range(0, len(piece), self.chunk_bytes):
                yield self._counted(piece[start : start + self.chunk_bytes])
            return
        more = True
        while more:
            try:
                chunk = self._inflater.decompress(piece, self.chunk_bytes)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # isal's stub shows the class as an instance
                raise _not_deflated(error) from error
            if self._inflater.unused_data:
                raise Damaged(_ENDS_EARLY)
            piece = self._inflater.unconsumed_tail
            more = not self._inflater.eof and (bool(piece) or len(chunk) == self.chunk_bytes)
            if chunk:
                yield self._counted(chunk)

    def close(self) -> None:
        """All pieces were fed.

        Raises:
            Damaged: too short, or the CRC-32 differs.
        """
        if self._inflater is not None and not self._inflater.eof:
            raise Damaged(_CUT_SHORT)
        _check(self.member, self._size, self._crc32)

    def _counted(self, chunk: bytes | memoryview) -> bytes | memoryview:
        self._size += len(chunk)
        if self._size > self.member.size:
            msg = f"longer than the {self.member.size} bytes it should have"
            raise Damaged(msg)
        self._crc32 = isal_zlib.crc32(chunk, self._crc32)
        return chunk


def open_whole(member: Member, data: bytes | memoryview) -> bytes:
    """A whole file out of a member's whole data: `Opening` in one step.

    Raises:
        Damaged: it is not the file that was archived.
    """
    if member.method != _DEFLATED:
        opening = Opening(member, chunk_bytes=max(member.size, 1))
        content = b"".join(opening.feed(data))
        opening.close()
        return content
    inflater = isal_zlib.decompressobj(wbits=-15)
    try:
        content = inflater.decompress(data, member.size + 1)
    except isal_zlib.IsalError as error:  # type: ignore[misc]  # isal's stub shows the class as an instance
        raise _not_deflated(error) from error
    if inflater.unused_data:
        raise Damaged(_ENDS_EARLY)
    if not inflater.eof and len(content) <= member.size:
        raise Damaged(_CUT_SHORT)
    _check(member, len(content), isal_zlib.crc32(content))
    return content


def _check(member: Member, size: int, crc32: int) -> None:
    if size > member.size:
        msg = f"longer than the {member.size} bytes it should have"
        raise Damaged(msg)
    if size < member.size:
        msg = f"{size} bytes instead of {member.size}"
        raise Damaged(msg)
    if crc32 != member.crc32:
        expected = "none" if member.crc32 is None else f"{member.crc32:08x}"
        msg = f"CRC-32 {crc32:08x} instead of {expected}"
        raise Damaged(msg)


def _not_deflated(error: Exception) -> Damaged:
    return Damaged(f"cannot be inflated: {error}")


@dataclass(frozen=True, slots=True)
class CatalogMember:
    """Where an archive's last member, its own catalog, lies deflated: `start` to before `end`; and what it must inflate to."""

    start: int
    end: int
    size: int
    crc32: int

    def gzipped(self, deflated: bytes) -> bytes:
        """The catalog as it is stored beside the vault, but without an index: whoever opens it checks size and CRC-32."""
        return b"".join([_GZIP_HEADER, deflated, _GZIP_TRAILER.pack(self.crc32, self.size & _MAX32)])


def find_catalog_member(tail: bytes, *, archive_bytes: int) -> CatalogMember:
    """Finds the catalog in an archive of so many bytes by its end (APPNOTE 6.3.10); `tail` are the last bytes, at most 64 KB.

    Raises:
        Damaged: this is not the end of an archive of ours.
    """
    first = archive_bytes - len(tail)
    try:
        directory_start, directory_end = _directory(tail, first)
        entry, extra = _last_entry(tail[: directory_end - first])
        if _MAX32 in entry[8:10]:
            entry = (*entry[:8], *reversed(_SIZES64.unpack_from(extra, 4)), *entry[10:])
    except (struct.error, ValueError) as error:
        msg = f"the archive's end is not that of a ZIP of ours: {error}"
        raise Damaged(msg) from error
    _signature, _by, _needs, _flags, method, _time, _date, crc32, compressed_size, size, *_rest = entry
    start = directory_start - compressed_size  # the last member's data end where the directory begins
    if method != _DEFLATED or start < 0:
        msg = "the archive's last member is not its catalog"
        raise Damaged(msg)
    return CatalogMember(start, directory_start, size, crc32)


def _directory(tail: bytes, first: int) -> tuple[int, int]:
    """Where the central directory starts and ends."""
    at = len(tail) - _END.size
    signature, _disk, _start_disk, _here, members, size, start, _comment = _END.unpack_from(tail, max(at, 0))
    if signature != b"PK\5\6" or at < 0:
        msg = "no end record"
        raise ValueError(msg)
    if _MAX32 in {size, start} or members == _MAX16:
        at -= _LOCATOR64.size + _END64.size
        signature, *_about, size, start = _END64.unpack_from(tail, max(at, 0))
        if signature != b"PK\6\6" or at < 0:
            msg = "no ZIP64 end record"
            raise ValueError(msg)
    if start + size != first + at:
        msg = "the central directory does not end where it should"
        raise ValueError(msg)
    return start, first + at


def _last_entry(directory: bytes) -> tuple[tuple[int, ...], bytes]:
    """The directory's last entry, which must be the catalog's, and its extra field."""
    at = directory.rfind(_CATALOG_NAME) - _CENTRAL.size
    if at < 0:
        msg = "no catalog among its members"
        raise ValueError(msg)
    entry = _CENTRAL.unpack_from(directory, at)
    name, extra, comment = entry[10:13]
    end = at + _CENTRAL.size + name
    if entry[0] != b"PK\1\2" or name != len(_CATALOG_NAME) or end + extra + comment != len(directory):
        msg = "its last member is not its catalog"
        raise ValueError(msg)
    return entry, directory[end : end + extra]


def why_no_key(destination: str) -> str | None:
    """Why S3 takes no object under such a key; None where it does."""
    length = len(destination.encode())
    if length > _LONGEST_KEY_BYTES:
        return f"its key in the restore bucket would have {length} bytes, and S3 allows {_LONGEST_KEY_BYTES}"
    return None
