"""Stand-ins for what unpacking needs; those of S3 pass the adapters' contract suites."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zlib import crc32

from glaciate.catalog import Catalog, CatalogHeader, Excerpt, Kind, Member, Skipped, read_excerpt, write_catalog
from glaciate.names import ArchiveId, ProjectName
from unpacker.ports import CatalogUnusable, NotReadable, NotWritten, Vanished

VAULT_BUCKET = "the-vault"
ARCHIVED_AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def header_of(archive_id: ArchiveId, kind: Kind = "zip") -> CatalogHeader:
    """A catalog's first line."""
    return CatalogHeader(
        project=ProjectName("demo"),
        bucket="sources",
        prefix="",
        archive_id=archive_id,
        vault_bucket=VAULT_BUCKET,
        vault_key=f"archives/demo/{archive_id}.{kind}",
        storage_class="DEEP_ARCHIVE",
        kind=kind,
    )


def zip_of(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> tuple[bytes, tuple[Member, ...]]:
    """A ZIP by somebody else's program, and the members that our catalog would list."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for key, content in files.items():
            archive.writestr(key, content)
    data = buffer.getvalue()
    members = []
    with zipfile.ZipFile(buffer) as archive:
        for info in archive.infolist():
            local = data[info.header_offset :]
            offset = (
                info.header_offset
                + 30
                + int.from_bytes(local[26:28], "little")
                + int.from_bytes(local[28:30], "little")
            )
            members.append(
                member(
                    info.filename,
                    files[info.filename],
                    offset=offset,
                    compressed_size=info.compress_size,
                    method=info.compress_type,
                )
            )
    return data, tuple(members)


def member(
    key: str,
    content: bytes,
    *,
    offset: int = 0,
    compressed_size: int | None = None,
    method: int = 0,
    content_type: str | None = "text/plain",
    tags: Mapping[str, str] | None = None,
) -> Member:
    """One member, with something in every optional field."""
    return Member(
        key=key,
        name=key,
        offset=offset,
        compressed_size=len(content) if compressed_size is None else compressed_size,
        size=len(content),
        method=method,
        crc32=crc32(content),
        etag='"e"',
        version_id=None,
        modified=ARCHIVED_AT,
        content_type=content_type,
        content_disposition="inline",
        content_language="de",
        cache_control="no-cache",
        metadata={"owner": "somebody"},
        tags=tags or {},
    )


@dataclass
class FakeCatalogs:
    """Catalogs by archive."""

    documents: dict[ArchiveId, bytes] = field(default_factory=dict)
    objects: dict[str, Member] = field(default_factory=dict)  # what the vault says of big files, by vault key

    def keep(self, header: CatalogHeader, members: tuple[Member, ...], skipped: tuple[Skipped, ...] = ()) -> None:
        self.documents[header.archive_id] = write_catalog(Catalog(header, members, skipped))

    def read(self, archive_id: ArchiveId, keys: frozenset[str], pages: Collection[int] = ()) -> Excerpt:
        if archive_id not in self.documents:
            msg = "there is none"
            raise CatalogUnusable(msg)
        try:
            return read_excerpt(io.BytesIO(self.documents[archive_id]), keys)
        except ValueError as error:
            raise CatalogUnusable(str(error)) from error

    def open(self, stored: bytes, keys: frozenset[str]) -> Excerpt:
        try:
            return read_excerpt(gzip.decompress(stored).splitlines(keepends=True), keys)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise CatalogUnusable(str(error)) from error

    def put_back(self, archive_id: ArchiveId, stored: bytes, *, vault_key: str) -> None:
        self.documents[archive_id] = gzip.decompress(stored)

    def of_object(self, archive_id: ArchiveId, vault_key: str, key: str) -> Excerpt:
        if vault_key not in self.objects:
            msg = f"there is no {vault_key}"
            raise CatalogUnusable(msg)
        return Excerpt(header_of(archive_id, "object"), {key: self.objects[vault_key]}, {}, 0)


@dataclass
class FakeVault:
    """Archives by key; `cold` ones have no readable copy."""

    archives: dict[str, bytes] = field(default_factory=dict)
    cold: set[str] = field(default_factory=set)
    reads: list[tuple[int, int]] = field(default_factory=list)

    def read(self, vault_key: str, *, start: int, end: int) -> bytes:
        self.reads.append((start, end))
        return self.whole(vault_key)[start:end]

    def tail(self, vault_key: str) -> tuple[int, bytes]:
        data = self.whole(vault_key)
        return len(data), data[-65_536:]

    def read_several(self, vault_key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        return tuple(self.read(vault_key, start=start, end=end) for start, end in ranges)

    def whole(self, vault_key: str) -> bytes:
        if vault_key not in self.archives:
            raise Vanished(vault_key)
        if vault_key in self.cold:
            raise NotReadable(vault_key)
        return self.archives[vault_key]


@dataclass
class FakeRestoredFiles:
    """The restore bucket."""

    vault: FakeVault
    files: dict[str, tuple[bytes, Member]] = field(default_factory=dict)
    uploads: list["FakeUpload"] = field(default_factory=list)

    def put(self, destination: str, member: Member, content: bytes) -> None:
        self.require_free(destination, content)
        self.files[destination] = (content, member)

    def begin(self, destination: str, member: Member) -> "FakeUpload":
        there = self.files.get(destination)
        if there is not None and crc32(there[0]) != member.crc32:
            self.require_free(destination, None)
        self.uploads.append(FakeUpload(self, destination, member))
        return self.uploads[-1]

    def copy(self, vault_key: str, destination: str, member: Member) -> None:
        content = self.vault.whole(vault_key)
        self.require_free(destination, content)
        if len(content) != member.size:
            msg = "the copy differs"
            raise NotWritten(msg)
        self.files[destination] = (content, member)

    def require_free(self, destination: str, content: bytes | None) -> None:
        if destination in self.files and self.files[destination][0] != content:
            msg = f"{destination} holds another file"
            raise NotWritten(msg)


@dataclass
class FakeOriginalFiles:
    """Original buckets: what is in them, and when it was last modified."""

    vault: FakeVault
    now: datetime = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    objects: dict[tuple[str, str], tuple[bytes, datetime]] = field(default_factory=dict)
    uploads: list["FakeUpload"] = field(default_factory=list)

    def in_bucket(self, bucket: str, *, replaces: datetime | None) -> "FakeOriginalBucket":
        return FakeOriginalBucket(self, bucket, replaces)


@dataclass
class FakeOriginalBucket:
    """One of them, for one request."""

    originals: FakeOriginalFiles
    bucket: str
    replaces: datetime | None

    def put(self, destination: str, member: Member, content: bytes) -> None:
        if not self.holds(destination, member):
            self.keep(destination, member, content)

    def begin(self, destination: str, member: Member) -> "FakeUpload":
        self.holds(destination, member)
        self.originals.uploads.append(FakeUpload(self, destination, member))
        return self.originals.uploads[-1]

    def copy(self, vault_key: str, destination: str, member: Member) -> None:
        content = self.originals.vault.whole(vault_key)
        if len(content) != member.size:
            msg = "what is archived differs from the file"
            raise NotWritten(msg)
        self.put(destination, replace(member, crc32=crc32(content)), content)

    def holds(self, destination: str, member: Member) -> bool:
        """Whether the file is there; what may not be written over is refused."""
        there = self.originals.objects.get((self.bucket, destination))
        if there is None:
            return False
        content, modified = there
        if (len(content), crc32(content)) == (member.size, member.crc32):
            return True
        if self.replaces is None or modified > self.replaces:
            msg = f"a newer object is there: last modified {modified}"
            raise NotWritten(msg)
        return False

    def keep(self, destination: str, _member: Member, content: bytes) -> None:
        self.originals.objects[self.bucket, destination] = (content, self.originals.now)


@dataclass
class FakeUpload:
    """A large file on its way."""

    restored: "FakeRestoredFiles | FakeOriginalBucket"
    destination: str
    member: Member
    content: bytes = b""
    state: str = "open"

    def write(self, chunk: bytes | memoryview) -> None:
        self.content += chunk

    def complete(self) -> None:
        self.restored.put(self.destination, self.member, self.content)
        self.state = "completed"

    def abort(self) -> None:
        if self.state == "open":
            self.state = "aborted"
