"""Earlier archives: their rows by one query, their catalogs block by block."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from pydantic_core import from_json

from glaciate.jobs import JobOrder
from glaciate.names import ArchiveId, JobId, catalog_key
from glaciate.tables import ArchiveRow, archive_hash_key
from glaciate.telemetry import logger
from packer.adapters.objects import drafted, error_code
from packer.domain.archives import ArchiveState, Seal
from packer.domain.earlier import EarlierArchive, KnownFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BLOCK_BYTES: Final = 64 * 1024
_KEY_ROOM: Final = 1000  # of a sort key's 1,024 bytes
_LAST_CHARACTER: Final = "\U0010ffff"
_GZIP: Final = 31
_GONE: Final = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, slots=True)
class IndexedArchives:
    """The archives table, which must be bound, and the vault bucket's catalogs."""

    s3: "S3Client"
    vault_bucket: str

    def archives(self, order: JobOrder, *, besides: JobId, after: str | None) -> Iterator[EarlierArchive]:
        """One query, page by page, of rows that begin before the prefix ends; DynamoDB leaves out those that end before it begins."""
        end = order.prefix.encode()[:_KEY_ROOM].decode(errors="ignore") + _LAST_CHARACTER
        counts = (
            ArchiveRow.state.is_in(ArchiveState.INDEXED, ArchiveState.DONE)
            & (ArchiveRow.members > 0)
            & (ArchiveRow.last_key >= max(order.prefix, after or "", "\x00"))
            & (ArchiveRow.job_id != besides)
        )
        rows = ArchiveRow.query(
            archive_hash_key(order.project, order.bucket), ArchiveRow.range_id < end, filter_condition=counts
        )
        for row in rows:
            yield EarlierArchive(
                archive_id=ArchiveId(row.archive_id),
                job_id=JobId(row.job_id),
                row_order=row.range_id,
                first_key=row.first_key,
                last_key=row.last_key,
                vault_key=row.vault_key,
                seal=_seal(row),
            )

    def files(self, archive: EarlierArchive) -> Iterator[KnownFile]:
        """Read as it is asked for: hundreds of catalogs may be open at once."""
        try:
            for line in _lines(self._blocks(archive)):
                told = from_json(line)
                if "k" in told:
                    yield KnownFile(told["k"], told["e"], "tags" in told)
        except ClientError as error:
            if error_code(error) not in _GONE:
                raise
            logger().warning("an earlier archive has no catalog", extra={"archive_id": archive.archive_id})

    def _blocks(self, archive: EarlierArchive) -> Iterator[bytes]:
        start, unchanged = 0, dict[str, Any]()
        while True:
            answer = self.s3.get_object(
                Bucket=self.vault_bucket,
                Key=catalog_key(archive.archive_id),
                Range=f"bytes={start}-{start + _BLOCK_BYTES - 1}",
                **unchanged,
            )
            if not start and not drafted(answer["Metadata"]).became(archive.seal):
                logger().warning("a catalog tells of another object", extra={"archive_id": archive.archive_id})
                return
            yield answer["Body"].read()
            start += _BLOCK_BYTES
            if start >= int(answer["ContentRange"].rpartition("/")[2]):
                return
            unchanged = {"IfMatch": answer["ETag"]}


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a gzip file that comes in blocks; never more than a block and a line are in memory."""
    inflate, rest = zlib.decompressobj(_GZIP), b""
    for block in blocks:
        pending = block
        while pending:
            *lines, rest = (rest + inflate.decompress(pending, _BLOCK_BYTES)).split(b"\n")
            yield from lines
            pending = inflate.unconsumed_tail
    *lines, rest = (rest + inflate.flush()).split(b"\n")
    yield from lines


def _seal(row: ArchiveRow) -> Seal:
    return Seal(
        size_bytes=int(row.size_bytes),
        checksum=row.checksum,
        members=int(row.members),
        bytes_in=int(row.bytes_in),
        sealed_at=row.sealed_at,
    )
