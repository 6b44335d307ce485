"""Archives put into a vault and its index as the packer leaves them, and the tables around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fakes.aws import make_tables
from glaciate.catalog import Catalog, CatalogHeader, Member, compress, write_catalog
from glaciate.names import ArchiveId, JobId, ProjectName, archive_id, catalog_key, job_of, vault_key_of_zip
from glaciate.tables import (
    ArchiveRow,
    FileRow,
    RequestRow,
    archive_hash_key,
    archive_range_key,
    bind,
    file_hash_key,
    file_range_prefix,
    file_stamp,
    split_key,
)

JOB: Final = JobId("01aaaaa00001")
PROJECT: Final = ProjectName("demo")
SOURCE: Final = "source-bucket"
VAULT: Final = "vault-bucket"
SEALED_AT: Final = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)


def make_all_tables() -> None:
    """The three tables, in the region's DynamoDB as moto plays it."""
    bind(files="files", archives="archives", jobs="jobs")
    make_tables(FileRow, ArchiveRow, RequestRow)


@dataclass(frozen=True)
class VaultKit:
    """Puts archives where the packer puts them; `s3` is a boto3 client or stands for one."""

    s3: Any

    def put(
        self,
        number: int,
        files: Mapping[str, int] | Sequence[str],
        *,
        bucket: str = SOURCE,
        project: ProjectName = PROJECT,
        sealed_at: datetime = SEALED_AT,
        storage_class: str = "DEEP_ARCHIVE",
        state: str = "DONE",
        size_bytes: int = 1000,
        job_id: JobId = JOB,
        page: int | None = None,
    ) -> ArchiveId:
        """An archive of these keys (with their sizes, else 10 bytes each), and its rows, which point to `page`. Returns its id."""
        archive = archive_id(job_id, number)
        sizes = dict(files) if isinstance(files, Mapping) else dict.fromkeys(files, 10)
        keys = sorted(sizes)
        vault_key = vault_key_of_zip(f"archives/{project}/", archive)
        header = CatalogHeader(project, bucket, "", archive, VAULT, vault_key, storage_class, "zip")
        members = tuple(
            Member(key, key, 100 * place, sizes[key], sizes[key], 0, 1, '"e"', None, sealed_at)
            for place, key in enumerate(keys)
        )
        catalog = compress(write_catalog(Catalog(header, members)))
        self.s3.put_object(Bucket=VAULT, Key=vault_key, Body=b"z" * size_bytes, StorageClass=storage_class)
        self.s3.put_object(Bucket=VAULT, Key=catalog_key(archive), Body=catalog)
        ArchiveRow(
            archive_hash_key(project, bucket),
            archive_range_key(keys[0], archive),
            archive_id=archive,
            job_id=job_of(archive),
            state=state,
            first_key=keys[0],
            last_key=keys[-1],
            kind="zip",
            planned_files=len(keys),
            planned_bytes=sum(sizes.values()),
            storage_class=storage_class,
            vault_bucket=VAULT,
            vault_key=vault_key,
            members=len(keys),
            bytes_in=sum(sizes.values()),
            size_bytes=size_bytes,
            sealed_at=sealed_at,
        ).save()
        if state in {"INDEXED", "DONE"}:
            with FileRow.batch_write() as batch:
                for key in keys:
                    size = sizes[key]
                    batch.save(
                        file_row(project, bucket, key, size=size, sealed_at=sealed_at, archive=archive, page=page)
                    )
        return archive


def file_row(
    project: ProjectName,
    bucket: str,
    key: str,
    *,
    size: int,
    sealed_at: datetime,
    archive: ArchiveId,
    page: int | None = None,
) -> FileRow:
    """The index row of one member."""
    head, name = split_key(key)
    prefix, cut = file_range_prefix(bucket, head)
    range_key = f"{prefix}{file_stamp(sealed_at, archive)}"
    return FileRow(file_hash_key(project, name), range_key, s=size, c=True if cut else None, p=page)
