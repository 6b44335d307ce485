"""Compression of one member: raw deflate, or stored where deflate gains nothing. The same input gives the same bytes."""

from typing import Final, NamedTuple

import deflate
from isal import isal_zlib

from glaciate.requests import Compression

STORED: Final = 0
DEFLATED: Final = 8

_SAMPLED_FROM_BYTES: Final = 256 * 1024
_SAMPLE_BYTES: Final = 32 * 1024
_WORTH_IT: Final = 0.97


class Packed(NamedTuple):
    """A member's bytes as they stand in the ZIP, and what a header says of them."""

    method: int
    crc32: int
    size: int
    data: bytes | bytearray | memoryview

    @property
    def compressed_size(self) -> int:
        """How many bytes stand in the ZIP."""
        return len(self.data)


def pack(data: bytes | bytearray | memoryview, compression: Compression) -> Packed:
    """Compresses a file: `fast` by ISA-L level 1, `best` by libdeflate level 6. Both let other threads run meanwhile."""
    crc32 = isal_zlib.crc32(data)
    size = len(data)
    if compression is not Compression.STORED and _looks_compressible(data):
        smaller = _deflate(data, compression)
        if len(smaller) < size:
            return Packed(DEFLATED, crc32, size, smaller)
    return Packed(STORED, crc32, size, data)


def _looks_compressible(data: bytes | bytearray | memoryview) -> bool:
    size = len(data)
    if size < _SAMPLED_FROM_BYTES:
        return size > 0
    view = memoryview(data)
    starts = (0, size // 2 - _SAMPLE_BYTES // 2, size - _SAMPLE_BYTES)
    packed = sum(len(_deflate(view[start : start + _SAMPLE_BYTES], Compression.FAST)) for start in starts)
    return packed < _WORTH_IT * _SAMPLE_BYTES * len(starts)


def _deflate(data: bytes | bytearray | memoryview, compression: Compression) -> bytes:
    if compression is Compression.BEST:
        return bytes(deflate.deflate_compress(data, 6))
    smaller: bytes = isal_zlib.compress(data, 1, -15)
    return smaller
