"""A ZIP, written front to back: every byte follows from what was put in. Sizes and CRC stand in the local headers.

APPNOTE 6.3.10; ZIP64 where a size, an offset or the number of members needs it; UTF-8 names; extended timestamps.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Final

from packer.domain.spool import Spool

_LOCAL: Final = Struct("<4sHHHHHLLLHH")
_CENTRAL: Final = Struct("<4sHHHHHHLLLHHHHHLL")
_END: Final = Struct("<4sHHHHLLH")
_END64: Final = Struct("<4sQHHLLQQQQ")
_LOCATOR64: Final = Struct("<4sLQL")
_TIMESTAMP: Final = Struct("<HHBL")
_SIZES64: Final = Struct("<HHQQ")
_CENTRAL64: Final = Struct("<HHQQQ")

_UTF8: Final = 0x0800
_NEEDS_20: Final = 20  # deflate and directories
_NEEDS_45: Final = 45  # ZIP64
_MADE_BY_UNIX: Final = 3 << 8 | _NEEDS_45
_FILE_MODE: Final = 0o100644 << 16
_DIRECTORY_MODE: Final = 0o040755 << 16 | 0x10
_MAX16: Final = 0xFFFF
_MAX32: Final = 0xFFFFFFFF

_DAY_SECONDS: Final = 86_400
_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY: Final = (date(1980, 1, 1) - _EPOCH).days
_LAST_DAY: Final = (date(2107, 12, 31) - _EPOCH).days
_END_OF_TIMESTAMPS: Final = 1 << 31  # the extended timestamp has signed 32 bits

_HEADER_BYTES: Final = _LOCAL.size + _CENTRAL.size + 2 * _TIMESTAMP.size + _SIZES64.size + _CENTRAL64.size
_CATALOG_LINE_BYTES: Final = 384


def overhead_bytes(key: str) -> int:
    """How many bytes a member takes besides its data, at the most, as far as it can be known before: headers, name, catalog line."""
    return _HEADER_BYTES + _CATALOG_LINE_BYTES + 3 * len(key.encode())


class ZipWriter:
    """Gives the bytes that go around the members' data; `offset` is how many bytes the ZIP has so far."""

    def __init__(self) -> None:
        self.offset = 0
        self.members = 0
        self._directory = Spool()

    def header(
        self, name: str, *, modified: datetime, method: int, crc32: int, size: int, compressed_size: int
    ) -> bytes:
        """The local header of the next member, whose `compressed_size` bytes must follow it; `offset` is then after them."""
        encoded = name.encode()
        seconds = int(modified.timestamp())
        day, time = _dos_time(seconds)
        stamp = _TIMESTAMP.pack(0x5455, 5, 1, seconds) if 0 <= seconds < _END_OF_TIMESTAMPS else b""
        is_big = size >= _MAX32 or compressed_size >= _MAX32
        extra = stamp + (_SIZES64.pack(1, 16, size, compressed_size) if is_big else b"")
        shown = (_MAX32, _MAX32) if is_big else (compressed_size, size)
        needs = _NEEDS_45 if is_big else _NEEDS_20
        local = _LOCAL.pack(b"PK\3\4", needs, _UTF8, method, time, day, crc32, *shown, len(encoded), len(extra))

        if is_big or self.offset >= _MAX32:
            central_extra = _CENTRAL64.pack(1, 24, size, compressed_size, self.offset) + stamp
            needs, shown, start = _NEEDS_45, (_MAX32, _MAX32), _MAX32
        else:
            central_extra, start = stamp, self.offset
        mode = _DIRECTORY_MODE if name.endswith("/") else _FILE_MODE
        central = _CENTRAL.pack(
            b"PK\1\2", _MADE_BY_UNIX, needs, _UTF8, method, time, day, crc32, *shown,
            len(encoded), len(central_extra), 0, 0, 0, mode, start,
        )  # fmt: skip
        self._directory.append(central + encoded + central_extra)
        self.offset += len(local) + len(encoded) + len(extra) + compressed_size
        self.members += 1
        return local + encoded + extra

    def end(self) -> Iterator[bytes]:
        """The central directory and its end records; nothing may follow."""
        self._directory.close()
        start, size, members = self.offset, self._directory.size, self.members
        yield from self._directory.plain()
        self.offset += size
        if members >= _MAX16 or start >= _MAX32 or size >= _MAX32:
            yield _END64.pack(
                b"PK\6\6", _END64.size - 12, _MADE_BY_UNIX, _NEEDS_45, 0, 0, members, members, size, start
            )
            yield _LOCATOR64.pack(b"PK\6\7", 0, self.offset, 1)
            self.offset += _END64.size + _LOCATOR64.size
        shown = min(members, _MAX16)
        yield _END.pack(b"PK\5\6", 0, 0, shown, shown, min(size, _MAX32), min(start, _MAX32), 0)
        self.offset += _END.size


def _dos_time(seconds: int) -> tuple[int, int]:
    """Date and time as DOS has them, in UTC: from 1980 to 2107, in steps of two seconds."""
    day, second = divmod(seconds, _DAY_SECONDS)
    if day < _FIRST_DAY:
        return 0x21, 0
    if day > _LAST_DAY:
        return 0xFF9F, 0xBF7D
    return _dos_date(day), second // 3600 << 11 | second // 60 % 60 << 5 | second % 60 // 2


@lru_cache(maxsize=4096)
def _dos_date(day: int) -> int:
    its = _EPOCH + timedelta(days=day)
    return (its.year - 1980) << 9 | its.month << 5 | its.day
