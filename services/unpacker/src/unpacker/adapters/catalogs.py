"""The catalogs beside the vault."""

import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from isal import igzip, isal_zlib

from glaciate.catalog import Excerpt, read_excerpt
from glaciate.names import ArchiveId, catalog_key
from unpacker.adapters.stores import NOT_THERE, error_code
from unpacker.ports import CatalogUnusable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PLAIN_BYTES: Final = 1024**2  # of a catalog at once


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """The catalogs beside the vault, read as they come."""

    s3: "S3Client"
    bucket: str

    def read(self, archive_id: ArchiveId, keys: frozenset[str]) -> Excerpt:
        """What an archive's catalog says of some keys."""
        key = catalog_key(archive_id)
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
        except ClientError as error:
            if error_code(error) in NOT_THERE:
                msg = f"there is no {key}"
                raise CatalogUnusable(msg) from error
            raise
        try:
            with body, igzip.IGzipFile(fileobj=body) as plain, io.BufferedReader(plain, _PLAIN_BYTES) as lines:  # type: ignore[no-untyped-call]
                return read_excerpt(lines, keys)
        except (gzip.BadGzipFile, isal_zlib.error, EOFError, ValueError) as error:  # type: ignore[misc]  # isal's stub shows the class as an instance
            msg = f"{key} cannot be read: {error}"
            raise CatalogUnusable(msg) from error
