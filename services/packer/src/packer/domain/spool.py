"""Lines that are gathered while an archive is written, kept deflated: a million of them take some tens of megabytes."""

from collections.abc import Iterator
from struct import pack
from typing import Final

from isal import isal_zlib

_BLOCK_BYTES: Final = 256 * 1024
_LEVEL: Final = 2
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Spool:
    """Append only; can be read any number of times once closed, plain, deflated or gzipped. Deterministic."""

    def __init__(self) -> None:
        self._deflater = isal_zlib.compressobj(_LEVEL, wbits=-15)
        self._blocks: list[bytes] = []
        self._pending = bytearray()
        self._cut_crc32 = 0
        self.is_closed = False
        self.size = 0
        self.deflated_size = 0  # how long the raw deflate stream is so far
        self.crc32 = 0

    def append(self, data: bytes) -> None:
        """Takes more bytes."""
        self._pending += data
        if len(self._pending) >= _BLOCK_BYTES:
            self._squeeze()

    def cut(self) -> tuple[int, int]:
        """What comes next can be inflated by itself: where that begins deflated, and the CRC-32 of all since the cut before."""
        self._squeeze()
        self._keep(self._deflater.flush(isal_zlib.Z_FULL_FLUSH))
        crc32, self._cut_crc32 = self._cut_crc32, 0
        return self.deflated_size, crc32

    def close(self) -> None:
        """Nothing more will come."""
        if not self.is_closed:
            self._squeeze()
            self._keep(self._deflater.flush())
            self.is_closed = True

    @property
    def deflated(self) -> tuple[bytes, ...]:
        """The raw deflate stream, block by block."""
        return tuple(self._blocks)

    def gzipped(self) -> bytes:
        """The whole as a gzip file without a time."""
        trailer = pack("<LL", self.crc32, self.size & 0xFFFFFFFF)
        return b"".join((_GZIP_HEADER, *self._blocks, trailer))

    def plain(self) -> Iterator[bytes]:
        """The bytes that were appended, in blocks."""
        inflater = isal_zlib.decompressobj(wbits=-15)
        for block in self._blocks:
            data = inflater.decompress(block)
            if data:
                yield data
        yield inflater.flush()

    def _squeeze(self) -> None:
        block = bytes(self._pending)
        self._pending.clear()
        self.size += len(block)
        self.crc32 = isal_zlib.crc32(block, self.crc32)
        self._cut_crc32 = isal_zlib.crc32(block, self._cut_crc32)
        self._keep(self._deflater.compress(block))

    def _keep(self, deflated: bytes) -> None:
        self._blocks.append(deflated)
        self.deflated_size += len(deflated)
