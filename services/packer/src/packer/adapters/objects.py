"""Manifests, notes, plans and catalogs in S3."""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, HTTPClientError, ReadTimeoutError, ResponseStreamingError
from isal import igzip

from glaciate.catalog import Skipped, stored_metadata
from glaciate.catalog_index import PageFinder
from glaciate.errors import Transient
from glaciate.manifests import SLICE_BYTES, Slice
from glaciate.names import ArchiveId, JobId, catalog_key, note_key, plan_key, skipped_prefix
from packer.domain.archives import CatalogEntry, Draft, Seal
from packer.domain.sources import SourceFile, json_lines, read_plan_lines
from packer.ports import CatalogOfAnother, LostRace, ManifestUnusable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_NOT_READABLE: Final = frozenset(
    {
        "NoSuchKey",
        "NoSuchBucket",
        "AccessDenied",
        "AllAccessDisabled",
        "InvalidObjectState",
        "PermanentRedirect",
        "404",
        "403",
    }
)
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_PLAIN_BYTES: Final = 256 * 1024  # of what is inflated, at once
_CONDITION_FAILED: Final = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})


def error_code(error: ClientError) -> str:
    """S3's code; of a HEAD, which has no body, the HTTP status."""
    return error.response.get("Error", {}).get("Code", "")


@dataclass(frozen=True, slots=True)
class S3Manifests:
    """Ranged GETs: a connection would not outlive the sorting between two of them."""

    s3: "S3Client"
    slice_bytes: int = SLICE_BYTES

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        """One request. A range behind the end, or of an empty object, answers 416."""
        condition: dict[str, Any] = {"IfMatch": etag} if etag else {}
        span = f"bytes={start}-{start + self.slice_bytes - 1}"
        try:
            answer = self.s3.get_object(Bucket=bucket, Key=key, Range=span, **condition)
            with closing(answer["Body"]) as body:
                data = body.read()
        except ClientError as error:
            code = error_code(error)
            if code in {"416", "InvalidRange"}:
                return Slice(b"", etag or "", start)
            if code in _CONDITION_FAILED:
                raise ManifestUnusable(f"s3://{bucket}/{key} changed since the job was accepted") from error
            if code in _NOT_READABLE:
                raise ManifestUnusable(f"s3://{bucket}/{key} can't be read: {code}") from error
            raise
        except (HTTPClientError, ReadTimeoutError, ResponseStreamingError) as error:
            raise Transient(f"s3://{bucket}/{key} broke off: {error}") from error
        total = int(answer["ContentRange"].rpartition("/")[2])
        return Slice(data, answer["ETag"], total)


@dataclass(frozen=True, slots=True)
class S3Notes:
    """A job's notes under a prefix of their own; the work bucket's lifecycle removes them."""

    s3: "S3Client"
    work_bucket: str

    def put(self, job_id: JobId, name: str, data: bytes) -> None:
        """One request."""
        self.s3.put_object(Bucket=self.work_bucket, Key=note_key(job_id, name), Body=data)

    def find(self, job_id: JobId, name: str) -> bytes | None:
        """One request."""
        try:
            answer = self.s3.get_object(Bucket=self.work_bucket, Key=note_key(job_id, name))
        except ClientError as error:
            if error_code(error) in _NOT_FOUND:
                return None
            raise
        with closing(answer["Body"]) as body:
            return body.read()


@dataclass(frozen=True, slots=True)
class S3Plans:
    """Plans and lists of skipped files in the work bucket."""

    s3: "S3Client"
    work_bucket: str

    def put(self, archive_id: ArchiveId, plan: bytes) -> str:
        """Stores a plan under a key that holds its digest."""
        key = plan_key(archive_id, sha256(plan).hexdigest()[:16])
        self.s3.put_object(Bucket=self.work_bucket, Key=key, Body=plan)
        return key

    def read(self, plan_key: str) -> Iterator[SourceFile]:
        """Fetched whole, which is some tens of bytes a file, and inflated as it is read: packing may take hours."""
        answer = self.s3.get_object(Bucket=self.work_bucket, Key=plan_key)
        with closing(answer["Body"]) as body:
            plan = body.read()
        with _inflated(plan) as lines:
            yield from read_plan_lines(lines)

    def put_skipped(self, job_id: JobId, name: str, lines: bytes) -> None:
        """Stores a list, or deletes it when there is nothing on it."""
        key = f"{skipped_prefix(job_id)}{name}.jsonl"
        if lines:
            self.s3.put_object(Bucket=self.work_bucket, Key=key, Body=lines)
        else:
            self.s3.delete_object(Bucket=self.work_bucket, Key=key)


@dataclass(frozen=True, slots=True)
class S3Catalogs:
    """Catalogs in the vault bucket, in storage class Standard; what the archive's object must be stands in their metadata."""

    s3: "S3Client"
    vault_bucket: str

    def version(self, archive_id: ArchiveId) -> str | None:
        """The catalog's ETag."""
        head = self._head(archive_id)
        return head["ETag"] if head else None

    def put(self, archive_id: ArchiveId, catalog: bytes, draft: Draft, *, replacing: str | None) -> str:
        """Stores an archive's catalog; S3 checks the condition, and answers 409 or 412 where it does not hold."""
        metadata = stored_metadata(
            size_bytes=draft.size_bytes, checksum=draft.checksum, members=draft.members, bytes_in=draft.bytes_in
        )
        nobody_was_first: dict[str, Any] = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
        try:
            answer = self.s3.put_object(
                Bucket=self.vault_bucket,
                Key=catalog_key(archive_id),
                Body=catalog,
                Metadata=metadata,
                **nobody_was_first,
            )
        except ClientError as error:
            if error_code(error) not in _CONDITION_FAILED:
                raise
            raise LostRace(f"another worker wrote the catalog of {archive_id}") from error
        return answer["ETag"]

    def draft(self, archive_id: ArchiveId) -> Draft | None:
        """What an earlier attempt was about to complete."""
        head = self._head(archive_id)
        return drafted(head["Metadata"]) if head else None

    def entries(self, archive_id: ArchiveId, seal: Seal) -> Iterator[CatalogEntry | Skipped]:
        """Inflated line by line, and of each line only what is needed; the catalog says itself of which object it tells."""
        answer = self.s3.get_object(Bucket=self.vault_bucket, Key=catalog_key(archive_id))
        with closing(answer["Body"]) as body:
            if not drafted(answer["Metadata"]).became(seal):
                raise CatalogOfAnother(f"{catalog_key(archive_id)} does not tell of the object that was sealed")
            catalog = body.read()
        page_of = PageFinder(catalog)
        with _inflated(catalog) as lines:
            for line in json_lines(lines):
                if "k" in line:
                    yield CatalogEntry(line["k"], line["s"], line["e"], page_of(line["k"]))
                elif "skipped" in line:
                    yield Skipped(line["skipped"], line["reason"])

    def _head(self, archive_id: ArchiveId) -> "HeadObjectOutputTypeDef | None":
        try:
            return self.s3.head_object(Bucket=self.vault_bucket, Key=catalog_key(archive_id))
        except ClientError as error:
            if error_code(error) in _NOT_FOUND:
                return None
            raise


@contextmanager
def _inflated(data: bytes) -> Iterator[Iterable[bytes]]:
    """The lines of a gzip file, inflated as they are read."""
    with igzip.IGzipFile(fileobj=io.BytesIO(data)) as plain, io.BufferedReader(plain, _PLAIN_BYTES) as lines:  # type: ignore[no-untyped-call]
        yield lines


def drafted(metadata: Mapping[str, str]) -> Draft:
    """What a catalog's metadata say that its archive's object must be."""
    return Draft(
        size_bytes=int(metadata["size-bytes"]),
        checksum=metadata.get("crc64nvme"),
        members=int(metadata["members"]),
        bytes_in=int(metadata["bytes-in"]),
    )
