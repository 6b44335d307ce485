"""One archive as a stream: the members, then the catalog as the last of them, then the ZIP's directory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from glaciate.catalog import MEMBER_NAME, CatalogHeader, Member, Skipped
from packer.domain.catalog_spool import CatalogSpool
from packer.domain.codec import DEFLATED
from packer.domain.member_names import MemberNames
from packer.domain.sources import ReadFile
from packer.domain.zip_writer import ZipWriter

_LONG_AGO: Final = datetime(1980, 1, 1, tzinfo=UTC)  # the catalog's own date: a clock would make two runs differ


class ZipArchive:
    """Takes read files and what was skipped, in the order of the plan; gives bytes. The same input gives the same bytes."""

    def __init__(self, header: CatalogHeader) -> None:
        self._zip = ZipWriter()
        self._names = MemberNames()
        self._catalog = CatalogSpool(header)
        self._skipped: list[Skipped] = []
        self.members = 0
        self.bytes_in = 0

    def member(self, read: ReadFile) -> bytes:
        """The local header of a member; its packed data must follow."""
        file, about, (method, crc32, size, data) = read
        key, modified, compressed_size = file.key, file.modified, len(data)
        name = self._names.name_of(key, is_empty=size == 0)
        header = self._zip.header(
            name, modified=modified, method=method, crc32=crc32, size=size, compressed_size=compressed_size
        )
        self.members += 1
        self.bytes_in += size
        self._catalog.member(
            Member(
                key=key,
                name=name,
                offset=self._zip.offset - compressed_size,
                compressed_size=compressed_size,
                size=size,
                method=method,
                crc32=crc32,
                etag=file.etag,
                version_id=about.version_id,
                modified=modified,
                content_type=about.content_type,
                content_encoding=about.content_encoding,
                content_disposition=about.content_disposition,
                content_language=about.content_language,
                cache_control=about.cache_control,
                metadata=about.metadata,
                tags=about.tags,
            )
        )
        return header

    def skip(self, skipped: Skipped) -> None:
        """A planned file that is left out."""
        self._skipped.append(skipped)

    def end(self) -> Iterator[bytes]:
        """The catalog as the last member, and the directory."""
        self._close_catalog()
        yield self._zip.header(
            MEMBER_NAME,
            modified=_LONG_AGO,
            method=DEFLATED,
            crc32=self._catalog.crc32,
            size=self._catalog.size,
            compressed_size=self._catalog.deflated_size,
        )
        yield from self._catalog.deflated
        yield from self._zip.end()

    def catalog(self) -> bytes:
        """The catalog, gzipped, once all members are in."""
        self._close_catalog()
        return self._catalog.gzipped()

    def _close_catalog(self) -> None:
        if self._catalog.is_closed:
            return
        self._catalog.left_out(self._skipped)
        self._catalog.close()
