"""The index: the files and archives tables, and the catalogs beside the vault."""

import base64
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from glaciate.catalog import Catalog, CatalogHeader, Kind, read_catalog, read_lines
from glaciate.errors import invalid
from glaciate.names import ArchiveId, ProjectName, catalog_key
from glaciate.tables import (
    ArchiveRow,
    FileRow,
    archive_hash_key,
    file_hash_key,
    file_range_prefix,
    read_file_stamp,
    split_key,
)
from glaciate.telemetry import logger
from restore_intake.domain.finding import ArchiveRange, FileVersion
from restore_intake.ports import CatalogLost, Catalogs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HEADER_BYTES: Final = 8192  # a header compresses to about 300 bytes, and never to more than its prefix and some
_THREADS: Final = 16
_DAMAGED: Final = (gzip.BadGzipFile, zlib.error, EOFError, ValueError)
_INDEXED: Final = ("INDEXED", "DONE")
_FIRST_CHARACTER: Final = "\x00"
_LAST_CHARACTER: Final = "\U0010ffff"
_KEY_ROOM: Final = 1000  # what fits into a sort key of 1,024 bytes beside an id or a last character


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """The catalogs beside the vault; the archives' header is read without the rest."""

    s3: "S3Client"
    bucket: str

    def read(self, archive_id: ArchiveId) -> Catalog:
        """A whole catalog.

        Raises:
            CatalogLost: it is not there, or damaged.
        """
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=catalog_key(archive_id))
            return read_catalog(answer["Body"].read())
        except (ClientError, *_DAMAGED) as error:
            _raise_unless_lost(error)
            logger().error("catalog lost", extra={"archive_id": archive_id, "reason": str(error)})
            raise CatalogLost(archive_id) from error

    def headers(self, archive_ids: Iterable[ArchiveId]) -> Mapping[ArchiveId, CatalogHeader]:
        """The headers of several catalogs, some at a time; of a catalog that is lost there is none."""
        wanted = tuple(archive_ids)
        with ThreadPoolExecutor(_THREADS) as pool:
            found = zip(wanted, pool.map(self._header, wanted), strict=True)
            return {archive_id: header for archive_id, header in found if header is not None}

    def _header(self, archive_id: ArchiveId) -> CatalogHeader | None:
        key = catalog_key(archive_id)
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{_HEADER_BYTES - 1}")
            return _read_header(answer["Body"].read())
        except (ClientError, *_DAMAGED) as error:
            _raise_unless_lost(error)
            logger().error("catalog lost", extra={"archive_id": archive_id, "reason": str(error)})
            return None


def _read_header(compressed: bytes) -> CatalogHeader:
    start = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(compressed)
    line, end, _rest = start.partition(b"\n")
    header = next(iter(read_lines([line])), None)
    if not end or not isinstance(header, CatalogHeader):
        msg = "it does not begin with a catalog's header"
        raise ValueError(msg)
    return header


def _raise_unless_lost(error: Exception) -> None:
    """An empty object has no range to answer with; every other answer of S3's may be another next time."""
    if isinstance(error, ClientError) and error.response["Error"]["Code"] not in {"NoSuchKey", "InvalidRange"}:
        raise error


@dataclass(frozen=True, slots=True)
class DynamoIndex:
    """The files and archives tables, which must be bound; keys that were cut are completed from the catalogs."""

    catalogs: Catalogs

    def versions(self, project: ProjectName, bucket: str, key: str) -> Iterator[FileVersion]:
        """The versions of one file, newest first."""
        head, name = split_key(key)
        prefix, _cut = file_range_prefix(bucket, head)
        of_this_folder = FileRow.d.startswith(prefix)
        for row in FileRow.query(file_hash_key(project, name), of_this_folder, scan_index_forward=False):
            where, sealed_at, archive_id = read_file_stamp(row.d)
            if f"{where}#" == prefix:  # a folder whose name goes on with '#' begins alike
                yield FileVersion(bucket, key, int(row.s), sealed_at, archive_id, _page(row))

    def named(self, project: ProjectName, name: str) -> Iterator[FileVersion]:
        """Every version of every file of a bare name."""
        read = _ReadOnce(self.catalogs)
        for row in FileRow.query(file_hash_key(project, name)):
            yield from _complete(row, name, read)

    def named_page(
        self, project: ProjectName, name: str, *, limit: int, token: str | None
    ) -> tuple[tuple[FileVersion, ...], str | None]:
        """The same in pages of about `limit`."""
        read = _ReadOnce(self.catalogs)
        hash_key = file_hash_key(project, name)
        start = _read_token(token, hash_key) if token else None
        rows = FileRow.query(hash_key, limit=limit, last_evaluated_key=start)
        found = tuple(version for row in rows for version in _complete(row, name, read))
        return found, _write_token(rows.last_evaluated_key) if rows.last_evaluated_key else None

    def header(self, project: ProjectName, version: FileVersion) -> CatalogHeader | None:
        """What an archive's row says of it, by a file in it; the row is among those that begin before the file."""
        up_to_the_file = ArchiveRow.range_id.between(_FIRST_CHARACTER, f"{_cut(version.key)}{_LAST_CHARACTER}")
        it_is_the_one = ArchiveRow.archive_id == version.archive_id
        owner = archive_hash_key(project, version.bucket)
        for row in ArchiveRow.query(owner, up_to_the_file, filter_condition=it_is_the_one):
            kind: Kind = "object" if row.kind == "object" else "zip"
            return CatalogHeader(
                project,
                version.bucket,
                "",
                version.archive_id,
                row.vault_bucket,
                row.vault_key,
                row.storage_class,
                kind,
            )
        return None

    def ranges(
        self, project: ProjectName, bucket: str, prefix: str, *, after: str | None = None
    ) -> tuple[ArchiveRange, ...]:
        """The indexed archives whose keys meet a prefix."""
        start = _cut(after or "") or _FIRST_CHARACTER
        begins_before_its_end = ArchiveRow.range_id.between(start, f"{_cut(prefix)}{_LAST_CHARACTER}")
        counts = ArchiveRow.state.is_in(*_INDEXED) & (ArchiveRow.last_key >= prefix)
        rows = ArchiveRow.query(archive_hash_key(project, bucket), begins_before_its_end, filter_condition=counts)
        found = [
            _range(row, bucket)
            for row in rows
            if (row.first_key < prefix or row.first_key.startswith(prefix)) and (after is None or row.first_key > after)
        ]
        return tuple(sorted(found, key=lambda archive: (archive.first_key, archive.archive_id)))


class _ReadOnce:
    """The catalogs, each read once."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs
        self._read: dict[ArchiveId, Catalog] = {}

    def __call__(self, archive_id: ArchiveId) -> Catalog:
        if archive_id not in self._read:
            self._read[archive_id] = self._catalogs.read(archive_id)
        return self._read[archive_id]


def _complete(row: FileRow, name: str, read: _ReadOnce) -> Iterator[FileVersion]:
    where, sealed_at, archive_id = read_file_stamp(row.d)
    bucket, _slash, head = where.partition("/")
    if not row.c:
        yield FileVersion(bucket, f"{head}{name}", int(row.s), sealed_at, archive_id, _page(row))
        return
    for member in read(archive_id).members:
        folder, basename = split_key(member.key)
        if basename == name and file_range_prefix(bucket, folder)[0] == f"{where}#":
            yield FileVersion(bucket, member.key, member.size, sealed_at, archive_id)


def _page(row: FileRow) -> int | None:
    return None if row.p is None else int(row.p)


def _range(row: ArchiveRow, bucket: str) -> ArchiveRange:
    if row.sealed_at is None or row.size_bytes is None:
        msg = (
            f"archive {row.archive_id} is {row.state}, but its row does not say when it was sealed and how large it is"
        )
        raise ValueError(msg)
    return ArchiveRange(
        archive_id=ArchiveId(row.archive_id),
        bucket=bucket,
        first_key=row.first_key,
        last_key=row.last_key,
        sealed_at=row.sealed_at,
        storage_class=row.storage_class,
        size_bytes=int(row.size_bytes),
        members=int(row.members or row.planned_files),
        bytes_in=int(row.bytes_in or row.planned_bytes),
    )


def _cut(key: str) -> str:
    return key.encode()[:_KEY_ROOM].decode(errors="ignore")


def _write_token(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(key["d"]["S"].encode()).decode()


def _read_token(token: str, hash_key: str) -> dict[str, dict[str, str]]:
    try:
        range_key = base64.urlsafe_b64decode(token).decode()
    except ValueError as error:
        msg = "next_token is not one that this call gave"
        raise invalid(msg) from error
    return {"n": {"S": hash_key}, "d": {"S": range_key}}
