"""Rows of a manifest as lines that sort as their keys do, and stretches of such lines as they are kept between two steps.

A line is the key, a zero byte, and the other fields with zero bytes between them. Bytes of a key up to the line feed are
written as two, so that neither a zero byte nor a line feed stands in it and the order stays S3's: that of the UTF-8 bytes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from isal import isal_zlib

from glaciate.manifests import Row, read_time
from packer.domain.sources import UNKNOWN_TIME, SourceFile

TOLD_TWICE: Final = "the manifest names it more than once, and differently"
_LOW: Final = re.compile(rb"[\x00-\x0a]")
_ESCAPED: Final = re.compile(rb"\x01(.)", re.DOTALL)
_SHIFT: Final = 0x10
_LEVEL: Final = 1
_MORE: Final = b"+"
_LAST: Final = b"."


def _escaped(key: str) -> bytes:
    encoded = key.encode()
    if _LOW.search(encoded):
        return _LOW.sub(lambda found: bytes((1, found[0][0] + _SHIFT)), encoded)
    return encoded


def _unescaped(key: bytes) -> str:
    if b"\x01" in key:
        key = _ESCAPED.sub(lambda found: bytes((found[1][0] - _SHIFT,)), key)
    return key.decode()


def line_of(row: Row) -> bytes:
    """A row as a line."""
    rest = f"\0{row.size}\0{row.etag}\0{row.modified}\0{row.storage_class}"
    return _escaped(row.key) + rest.encode()


def first_line_after(key: str) -> bytes:
    """What sorts behind every line of a key and before every line of a later one."""
    return _escaped(key) + b"\x01"


def files_of(lines: Iterable[bytes]) -> Iterator[SourceFile]:
    """The files that sorted lines name, each once. One that is named differently is given with the reason to leave it."""
    held: bytes | None = None
    held_key = b""
    differs = False
    for line in lines:
        key = line.partition(b"\0")[0]
        if held is not None and key == held_key:
            differs = differs or line != held
            continue
        if held is not None:
            yield _file(held, differs=differs)
        held, held_key, differs = line, key, False
    if held is not None:
        yield _file(held, differs=differs)


def _file(line: bytes, *, differs: bool) -> SourceFile:
    key, size, etag, modified, storage_class = line.split(b"\0")
    return SourceFile(
        key=_unescaped(key),
        size=int(size),
        etag=etag.decode(),
        modified=read_time(modified.decode()) if modified else UNKNOWN_TIME,
        storage_class=storage_class.decode() or "STANDARD",
        refused=TOLD_TWICE if differs else None,
    )


def without_repeats(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Sorted lines, equal ones once."""
    last = None
    for line in lines:
        if line != last:
            yield line
        last = line


def chunks_of(lines: Iterable[bytes], *, chunk_bytes: int) -> Iterator[bytes]:
    """Lines in compressed chunks; each says whether another one follows, so that a missing one cannot go unnoticed."""
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        if size >= chunk_bytes:
            yield isal_zlib.compress(b"\n".join((_MORE, *gathered)), _LEVEL)
            gathered, size = [], 0
        gathered.append(line)
        size += len(line)
    yield isal_zlib.compress(b"\n".join((_LAST, *gathered)), _LEVEL)


def lines_of(chunk: bytes) -> tuple[list[bytes], bool]:
    """A chunk's lines, and whether it is the last."""
    flag, *lines = isal_zlib.decompress(chunk).split(b"\n")
    return lines, flag == _LAST
