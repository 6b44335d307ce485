"""Look at a manifest before a job is accepted that is to take its files from it."""

from collections.abc import Iterator
from dataclasses import dataclass

from archive_intake.domain.estimates import SourceSample
from archive_intake.ports import Manifests
from glaciate.errors import unprocessable
from glaciate.jobs import JobOrder
from glaciate.manifests import (
    MOST_INVENTORY_BYTES,
    BadManifest,
    Document,
    Expected,
    Inventory,
    Row,
    Rows,
    Slice,
    SourceList,
    inventory_columns,
    kind_of,
    read_inventory,
    split_uri,
)
from glaciate.projects import Project
from glaciate.requests import ArchiveRequest


@dataclass(frozen=True, slots=True)
class LookAtManifest:
    """Says which version of a manifest a job is to use, and refuses what can be seen to be wrong without reading it whole."""

    manifests: Manifests

    def __call__(self, request: ArchiveRequest, project: Project, uri: str) -> SourceList:
        """Reads a CSV's first row, or an inventory's `manifest.json`. The rest is read by the job, on condition of the ETag.

        Raises:
            Problem: 403, a bucket that the project may not read manifests in; 422, the manifest cannot be used.
        """
        bucket, key = split_uri(uri)
        project.require_manifest_bucket(bucket)
        expected = Expected(
            kind_of(key), request.bucket_name, request.prefix, needs_time=request.older_than is not None
        )
        document = _opened(self.manifests, bucket, key)
        try:
            if expected.kind == "inventory":
                inventory = _read_whole(document)
                project.require_manifest_bucket(inventory.destination_bucket)
                _require_use(inventory, expected)
            else:
                next(Rows(expected).read(document.blocks()), None)
        except BadManifest as error:
            raise unprocessable("ManifestUnusable", f"{uri}: {error}") from error
        return SourceList(kind=expected.kind, bucket=bucket, key=key, etag=document.etag or "")


@dataclass(frozen=True, slots=True)
class SampleManifest:
    """The sizes of the first files that a job's manifest names."""

    manifests: Manifests

    def __call__(self, order: JobOrder, source: SourceList, *, limit: int) -> SourceSample:
        """Reads as many rows as are wanted, in the order they stand in.

        Raises:
            Problem: 422, the manifest cannot be used.
        """
        sizes: list[int] = []
        try:
            for row in self._rows(order, source):
                if len(sizes) == limit:
                    return SourceSample(tuple(sizes), complete=False)
                sizes.append(row.size)
        except BadManifest as error:
            raise unprocessable("ManifestUnusable", f"{source.uri}: {error}") from error
        return SourceSample(tuple(sizes), complete=True)

    def _rows(self, order: JobOrder, source: SourceList) -> Iterator[Row]:
        expected = Expected(source.kind, order.bucket, order.prefix, needs_time=order.older_than is not None)
        document = _opened(self.manifests, source.bucket, source.key, source.etag)
        if source.kind == "csv":
            yield from Rows(expected).read(document.blocks())
            return
        inventory = _read_whole(document)
        for file in inventory.files:
            data = _opened(self.manifests, inventory.destination_bucket, file.key, md5=file.md5)
            try:
                yield from Rows(expected, inventory_columns(inventory)).read(data.blocks())
            except BadManifest as error:
                raise BadManifest(f"{file.key}: {error}") from error


def _opened(
    manifests: Manifests, bucket: str, key: str, etag: str | None = None, *, md5: str | None = None
) -> Document:
    def read(start: int, condition: str | None) -> Slice:
        return manifests.read(bucket, key, start=start, etag=condition)

    return Document(read, etag, md5)


def _read_whole(document: Document) -> Inventory:
    gathered = bytearray()
    for block in document.blocks():
        gathered += block
        if len(gathered) > MOST_INVENTORY_BYTES:
            raise BadManifest(f"a manifest.json has {MOST_INVENTORY_BYTES} bytes at the most")
    return read_inventory(bytes(gathered))


def _require_use(inventory: Inventory, expected: Expected) -> None:
    if inventory.source_bucket != expected.bucket:
        raise BadManifest(f"it lists bucket {inventory.source_bucket}, but the job is to archive {expected.bucket}")
    if expected.needs_time and "modified" not in inventory_columns(inventory):
        raise BadManifest("its fileSchema has no LastModifiedDate, which older_than needs")
