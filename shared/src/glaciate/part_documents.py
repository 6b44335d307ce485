"""Where the lists of files of a restore request's parts are kept: the work bucket."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from botocore.exceptions import ClientError

from glaciate.errors import GlaciateError
from glaciate.names import ArchiveId, RequestId, part_key, part_result_key
from glaciate.parts import FileResult, WantedFile, read_results, read_wanted, write_results, write_wanted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")


class DocumentLost(GlaciateError):
    """A list of files is not in the work bucket any more, or is damaged: to read it again does not help."""


class PartDocuments(Protocol):
    """The lists of files of a part: what is wanted, and what became of it."""

    def put_wanted(self, request_id: RequestId, archive_id: ArchiveId, files: tuple[WantedFile, ...]) -> None:
        """Keeps what the part wants."""

    def wanted(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        """What the part wants.

        Raises:
            DocumentLost: nobody can say any more.
        """

    def put_results(self, request_id: RequestId, archive_id: ArchiveId, results: tuple[FileResult, ...]) -> None:
        """Keeps what became of the part's files."""

    def results(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[FileResult, ...] | None:
        """What became of the part's files, or None where nobody has said.

        Raises:
            DocumentLost: nobody can say any more.
        """


@dataclass(frozen=True, slots=True)
class S3PartDocuments:
    """The documents in the work bucket, under the names of `glaciate.names`."""

    s3: "S3Client"
    bucket: str

    def put_wanted(self, request_id: RequestId, archive_id: ArchiveId, files: tuple[WantedFile, ...]) -> None:
        """Keeps what the part wants; the same files give the same object."""
        self.s3.put_object(Bucket=self.bucket, Key=part_key(request_id, archive_id), Body=write_wanted(files))

    def wanted(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        """What the part wants; written before the part is recorded, so it is there until the bucket's lifecycle takes it.

        Raises:
            DocumentLost: the lifecycle or somebody has taken it, or it is damaged. Whatever else S3 says may pass, and rises.
        """
        key = part_key(request_id, archive_id)
        document = self._get(key)
        if document is None:
            msg = f"s3://{self.bucket}/{key} is not there any more"
            raise DocumentLost(msg)
        return self._read(key, document, read_wanted)

    def put_results(self, request_id: RequestId, archive_id: ArchiveId, results: tuple[FileResult, ...]) -> None:
        """Keeps what became of the part's files."""
        self.s3.put_object(Bucket=self.bucket, Key=part_result_key(request_id, archive_id), Body=write_results(results))

    def results(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[FileResult, ...] | None:
        """What became of the part's files, or None where nobody has said.

        Raises:
            DocumentLost: it is damaged.
        """
        key = part_result_key(request_id, archive_id)
        document = self._get(key)
        return None if document is None else self._read(key, document, read_results)

    def _get(self, key: str) -> bytes | None:
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def _read(self, key: str, document: bytes, read: Callable[[bytes], T]) -> T:
        try:
            return read(document)
        except ValueError as error:
            msg = f"s3://{self.bucket}/{key} is damaged: {error}"
            raise DocumentLost(msg) from error
