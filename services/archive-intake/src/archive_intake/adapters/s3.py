"""What the intake reads of S3."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from pydantic_core import from_json

from archive_intake.domain.answers import ArchiveObject, ArchivesPage, SkippedFile, SkippedPage
from archive_intake.domain.estimates import SourceSample
from archive_intake.domain.jobs import Job
from glaciate.errors import invalid
from glaciate.manifests import BadManifest, Slice
from glaciate.names import JobId, archive_of_vault_key, job_of, skipped_prefix

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef


_UNREADABLE: Final = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidObjectState", "PermanentRedirect"})


@dataclass(frozen=True, slots=True)
class S3SkippedFiles:
    """JSON lines in the work bucket, gzipped or plain, read object after object in the order of their names.

    A token is the number of lines taken of an object, and the object's name under the job's prefix.
    """

    s3: "S3Client"
    bucket: str

    def page(self, job_id: JobId, *, limit: int, token: str | None) -> SkippedPage:
        """Reads as many objects as the page needs."""
        prefix = skipped_prefix(job_id)
        name, lines = _read_token(token)
        files: list[SkippedFile] = []
        for key in self._keys(prefix, start=name):
            document = self._lines(key)
            skip = lines if key == prefix + name else 0
            room = limit - len(files)
            files.extend(
                SkippedFile(line["key"], line["reason"]) for line in map(from_json, document[skip : skip + room])
            )
            if len(document) - skip > room:
                return SkippedPage(tuple(files), f"{skip + room}:{key.removeprefix(prefix)}")
        return SkippedPage(tuple(files), None)

    def _keys(self, prefix: str, *, start: str) -> Iterator[str]:
        if start:
            yield prefix + start
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=prefix + start
        )
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"]

    def _lines(self, key: str) -> list[bytes]:
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey as error:
            raise _foreign_token() from error
        plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        return [line for line in plain.split(b"\n") if line]


def _foreign_token() -> Exception:
    return invalid("next_token is none of this job's")


def _read_token(token: str | None) -> tuple[str, int]:
    if token is None:
        return "", 0
    lines, separator, name = token.partition(":")
    if not (separator and name and lines.isascii() and lines.isdecimal() and len(lines) < 10):
        raise _foreign_token()
    return name, int(lines)


@dataclass(frozen=True, slots=True)
class S3Vault:
    """The vault bucket: a job's archives lie under its output prefix and their names begin with its id. A token is such a name."""

    s3: "S3Client"
    bucket: str

    def page(self, job: Job, *, limit: int, token: str | None) -> ArchivesPage:
        """One request."""
        folder = job.order.output_prefix
        if token is not None:
            _require_archive_of(job, token)
        answer = self.s3.list_objects_v2(
            Bucket=self.bucket,
            Prefix=folder + job.job_id,
            StartAfter=folder + (token or job.job_id),
            MaxKeys=min(limit, 1000),
        )
        found = answer.get("Contents", [])
        last = found[-1]["Key"].removeprefix(folder) if answer["IsTruncated"] else None
        return ArchivesPage(tuple(self._archive(each) for each in found), last)

    def _archive(self, found: "ObjectTypeDef") -> ArchiveObject:
        key = found["Key"]
        return ArchiveObject(
            archive_id=archive_of_vault_key(key),
            location=f"s3://{self.bucket}/{key}",
            size_bytes=found["Size"],
            storage_class=found.get("StorageClass", "STANDARD"),
        )


def _require_archive_of(job: Job, name: str) -> None:
    try:
        ours = job_of(archive_of_vault_key(name)) == job.job_id
    except ValueError:
        ours = False
    if not ours:
        raise invalid("archives_token is none of this job's")


@dataclass(frozen=True, slots=True)
class S3Manifests:
    """Ranged GETs."""

    s3: "S3Client"
    slice_bytes: int = 1024 * 1024

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        """One request. A range behind the end, or of an empty object, answers 416; then a HEAD tells which object it is."""
        condition: dict[str, Any] = {"IfMatch": etag} if etag else {}
        span = f"bytes={start}-{start + self.slice_bytes - 1}"
        try:
            answer = self.s3.get_object(Bucket=bucket, Key=key, Range=span, **condition)
            data = answer["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in {"416", "InvalidRange"}:
                return Slice(b"", self.s3.head_object(Bucket=bucket, Key=key)["ETag"], start)
            if code in {"412", "PreconditionFailed"}:
                raise BadManifest("it changed while it was read") from error
            if code in _UNREADABLE:
                raise BadManifest(f"it can't be read: {code}") from error
            raise
        return Slice(data, answer["ETag"], int(answer["ContentRange"].rpartition("/")[2]))


@dataclass(frozen=True, slots=True)
class S3Sources:
    """The source buckets, as far as this deployment may list them."""

    s3: "S3Client"

    def sample(self, bucket: str, prefix: str, *, limit: int) -> SourceSample:
        """A thousand files a request. A bucket that is not there or may not be listed has a reason instead of files."""
        sizes: list[int] = []
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                sizes.extend(found["Size"] for found in page.get("Contents", []))
                if len(sizes) >= limit and page["IsTruncated"]:
                    return SourceSample(tuple(sizes[:limit]), complete=False)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"AccessDenied", "NoSuchBucket", "PermanentRedirect"}:
                raise
            return SourceSample(complete=False, unreadable=error.response["Error"]["Code"])
        return SourceSample(tuple(sizes[:limit]), complete=len(sizes) <= limit)
