"""Which version of which file is wanted, and where it is to appear."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final, TypeVar

from glaciate.names import ArchiveId
from glaciate.parts import WantedFile

LONGEST_KEY_BYTES: Final = 1024  # S3's limit
_DIGEST_CHARACTERS: Final = 32
Item = TypeVar("Item")
_PROGRESS: Final = "\x00"  # in no key that a listing can tell


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of a file: where it came from, and the archive it lies in."""

    bucket: str
    key: str
    size: int
    sealed_at: datetime
    archive_id: ArchiveId
    page: int | None = field(default=None, compare=False)  # where its row says that the catalog's line is

    @property
    def age(self) -> tuple[int, str]:
        """Sorts the versions of a file from old to new, as the index does."""
        return int(self.sealed_at.timestamp()), self.archive_id

    @property
    def address(self) -> str:
        """The file's address before it was archived."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class ArchiveRange:
    """An archive as the archives table knows it: what keys it spans, and what it weighs."""

    archive_id: ArchiveId
    bucket: str
    first_key: str
    last_key: str
    sealed_at: datetime
    storage_class: str
    size_bytes: int
    members: int
    bytes_in: int


def sealed_by(moment: datetime, as_of: datetime | None) -> bool:
    """Whether an archive sealed at that moment counts; to the second, as the index keeps it."""
    return as_of is None or int(moment.timestamp()) <= int(as_of.timestamp())


Place = Callable[[FileVersion], str]
Want = Callable[[FileVersion], WantedFile]


def newest(versions: Iterable[FileVersion]) -> tuple[FileVersion, ...]:
    """The newest version of each file, in order of their keys."""
    found: dict[tuple[str, str], FileVersion] = {}
    for version in versions:
        known = found.get((version.key, version.bucket))
        if known is None or known.age < version.age:
            found[version.key, version.bucket] = version
    return tuple(found[identity] for identity in sorted(found))


def clusters(ranges: Iterable[ArchiveRange]) -> Iterator[tuple[ArchiveRange, ...]]:
    """Archives of one bucket in groups that share no key with one another, in order of their keys."""
    group: list[ArchiveRange] = []
    end = ""
    for found in sorted(ranges, key=lambda found: (found.first_key, found.archive_id)):
        if group and found.first_key > end:
            yield tuple(group)
            group = []
        end = max(end, found.last_key) if group else found.last_key
        group.append(found)
    if group:
        yield tuple(group)


def newest_first(archives: Iterable[ArchiveRange]) -> list[ArchiveRange]:
    """Archives in the order in which their versions of a file count."""
    return sorted(archives, key=lambda found: (int(found.sealed_at.timestamp()), found.archive_id), reverse=True)


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """So many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request is resolved: every group of a bucket's archives up to a key, and of the next so many archives. Its text grows."""

    bucket: str = ""
    after: str | None = None
    read: int = 0

    @property
    def text(self) -> str:
        """As it is kept; further on sorts behind."""
        return f"{self.bucket}/{self.after or ''}" + (f"{_PROGRESS}{self.read:08}" if self.read else "")

    def further(self, archives: int) -> "Progress":
        """So many archives on."""
        return Progress(self.bucket, self.after, self.read + archives)


def read_progress(text: str | None) -> Progress:
    """What `Progress.text` says."""
    place, _mark, read = (text or "").partition(_PROGRESS)
    bucket, _slash, after = place.partition("/")
    return Progress(bucket, after or None, int(read or 0))


def destination(prefix: str, key: str) -> str:
    """Where a file appears: the prefix and its full key; where S3 has no room for that, the key is cut and completed by a digest."""
    whole = f"{prefix}{key}"
    encoded = whole.encode()
    if len(encoded) <= LONGEST_KEY_BYTES:
        return whole
    digest = sha256(key.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    start = encoded[: LONGEST_KEY_BYTES - _DIGEST_CHARACTERS - 1].decode(errors="ignore")
    return f"{start}~{digest}"


@dataclass(frozen=True, slots=True)
class Collision:
    """Files that would appear under one key."""

    destination: str
    sources: tuple[str, ...]


def version_name(version: FileVersion) -> str:
    """A key that says which version it is: when it was sealed, and in which archive, before its extension."""
    head, slash, name = version.key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    return f"{head}{slash}{stem}~{version.sealed_at:%Y%m%dT%H%M%SZ}-{version.archive_id}{dot}{extension}"


def collisions(versions: Sequence[FileVersion], place: Place) -> tuple[Collision, ...]:
    """The files of a request that would land on one another."""
    by_place: dict[str, list[str]] = defaultdict(list)
    for version in versions:
        by_place[place(version)].append(version.address)
    return tuple(Collision(where, tuple(sources)) for where, sources in by_place.items() if len(sources) > 1)


def wanted_by_archive(versions: Iterable[FileVersion], want: Want) -> dict[ArchiveId, tuple[WantedFile, ...]]:
    """What is wanted of each archive, in order of the archives' ids; the files of each in order of their keys."""
    parts: dict[ArchiveId, list[WantedFile]] = defaultdict(list)
    for version in versions:
        parts[version.archive_id].append(want(version))
    return {archive_id: tuple(sorted(parts[archive_id], key=lambda file: file.key)) for archive_id in sorted(parts)}
