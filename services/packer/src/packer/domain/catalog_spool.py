"""An archive's catalog while the archive is written."""

from typing import Final

from glaciate.catalog import CatalogHeader, Member, Skipped, header_line, member_line, skipped_line
from glaciate.catalog_index import IndexWriter
from packer.domain.spool import Spool

_RUN_MEMBERS: Final = 128


class CatalogSpool(Spool):
    """Takes members in the order of the archive, then what was left out; keeps its lines deflated, in blocks that an index finds."""

    def __init__(self, header: CatalogHeader) -> None:
        super().__init__()
        self._index = IndexWriter(header)
        self._unwritten: list[Member] = []
        self._start = 0
        self._first_key: str | None = ""
        line = header_line(header)
        self._in_block = len(line)
        self.append(line)

    def member(self, member: Member) -> None:
        """The next member. Lines are made for many at once: between two files' data the processor has forgotten how."""
        self._unwritten.append(member)
        if len(self._unwritten) >= _RUN_MEMBERS:
            self._write_members()

    def left_out(self, files: list[Skipped]) -> None:
        """Everything that was left out."""
        self._write_members()
        for number, skipped in enumerate(files):
            if number == 0 or self._index.due(self._in_block):
                self._end_block(None)
            self._add(skipped_line(skipped))

    def close(self) -> None:
        """Nothing more will come."""
        if not self.is_closed:
            self._write_members()
            self._end_block(None)
        super().close()

    def gzipped(self) -> bytes:
        """As it is stored beside the vault."""
        return super().gzipped() + self._index.gzip_member(self.deflated_size)

    def _write_members(self) -> None:
        for member in self._unwritten:
            if self._index.due(self._in_block):
                self._end_block(member.key)
            self._index.member(member.key, member.offset + member.compressed_size)
            self._add(member_line(member))
        self._unwritten.clear()

    def _add(self, line: bytes) -> None:
        self._in_block += len(line)
        self.append(line)

    def _end_block(self, next_first_key: str | None) -> None:
        start, crc32 = self.cut()
        self._index.block(self._start, crc32, self._first_key)
        self._start, self._first_key, self._in_block = start, next_first_key, 0
