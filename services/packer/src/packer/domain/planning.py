"""Which files go into which archive: in key order, closed at the cap of files or of bytes, big files each for itself."""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from fnmatch import translate
from typing import Final

from glaciate.catalog import Kind
from glaciate.jobs import JobOrder
from packer.domain.sources import ARCHIVE_CLASSES, SourceFile, plan_line, skipped_json_line
from packer.domain.zip_writer import overhead_bytes

MOST_ARCHIVES_IN_A_SPAN: Final = 50  # one transaction records them all, and DynamoDB takes 100 items
_MOST_SKIPPED_IN_A_SPAN: Final = 20_000
_MOST_ALREADY_IN_A_SPAN: Final = 100_000
_GZIP: Final = 31


@dataclass(frozen=True, slots=True)
class PlannedArchive:
    """The members of one archive, as a plan."""

    kind: Kind
    first_key: str
    last_key: str
    files: int
    size_bytes: int
    plan: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the listing that is recorded in one step: after it, planning can resume at `last_key`."""

    last_key: str
    listed: int
    planned: int
    skipped: int
    already: int
    archives: tuple[PlannedArchive, ...]
    skipped_lines: bytes


def refusal(order: JobOrder) -> Callable[[SourceFile], str | None]:
    """Why a listed file is not archived, or None. Globs match the key under the prefix or the whole key; `*` crosses slashes."""
    included = _globs(order.include)
    excluded = _globs(order.exclude)
    older_than = order.older_than
    if older_than is not None and older_than.tzinfo is None:
        older_than = older_than.replace(tzinfo=UTC)

    def refuse(file: SourceFile) -> str | None:
        names = (file.key, file.key[len(order.prefix) :])
        if file.refused is not None:
            return file.refused
        if file.storage_class in ARCHIVE_CLASSES:
            return f"it is in storage class {file.storage_class} already"
        if included and not any(map(included.match, names)):
            return "it matches no include pattern"
        if excluded and any(map(excluded.match, names)):
            return "it matches an exclude pattern"
        if older_than is not None and file.modified >= older_than:
            return f"it was modified at {file.modified:%Y-%m-%dT%H:%M:%SZ}, which is not before older_than"
        return None

    return refuse


def _globs(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{translate(pattern)})" for pattern in patterns)) if patterns else None


class _Group:
    """An archive in the making."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.files = 0
        self.size_bytes = 0
        self.bound_bytes = 0
        self._first_key = ""
        self._last_key = ""
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._blocks: list[bytes] = []

    def add(self, file: SourceFile) -> None:
        if not self.files:
            self._first_key = file.key
        self._last_key = file.key
        self.files += 1
        self.size_bytes += file.size
        self.bound_bytes += file.size + overhead_bytes(file.key)
        self._blocks.append(self._deflater.compress(plan_line(file)))

    def closed(self) -> PlannedArchive:
        self._blocks.append(self._deflater.flush())
        return PlannedArchive(
            self.kind, self._first_key, self._last_key, self.files, self.size_bytes, b"".join(self._blocks)
        )


class _OpenSpan:
    def __init__(self) -> None:
        self.group: _Group | None = None
        self.big: list[PlannedArchive] = []
        self.skipped_lines = bytearray()
        self.listed = self.planned = self.skipped = self.already = 0
        self.last_key = ""

    def has_room(self, file: SourceFile, order: JobOrder) -> bool:
        if self.group is None:
            return True
        bound = self.group.bound_bytes + file.size + overhead_bytes(file.key)
        return self.group.files < order.max_files and bound <= order.max_bytes

    def add(self, file: SourceFile, order: JobOrder) -> None:
        if file.size >= order.direct_threshold_bytes:
            alone = _Group("object")
            alone.add(file)
            self.big.append(alone.closed())
        else:
            self.group = self.group or _Group("zip")
            self.group.add(file)
        self.planned += 1

    def skip(self, file: SourceFile, reason: str) -> None:
        self.skipped += 1
        self.skipped_lines += skipped_json_line(file.key, reason)

    def seen(self, key: str) -> None:
        self.listed += 1
        self.last_key = key

    @property
    def is_full(self) -> bool:
        many_passed = self.group is None and self.already >= _MOST_ALREADY_IN_A_SPAN  # an archive in the making goes on
        return many_passed or len(self.big) + 1 >= MOST_ARCHIVES_IN_A_SPAN or self.skipped >= _MOST_SKIPPED_IN_A_SPAN

    def closed(self) -> Span:
        group = (self.group.closed(),) if self.group else ()
        return Span(
            self.last_key,
            self.listed,
            self.planned,
            self.skipped,
            self.already,
            (*group, *self.big),
            bytes(self.skipped_lines),
        )


def _nothing_is(_file: SourceFile) -> bool:
    return False


def spans(
    files: Iterable[SourceFile], order: JobOrder, is_archived: Callable[[SourceFile], bool] = _nothing_is
) -> Iterator[Span]:
    """Cuts a listing in key order into spans of at most one ZIP and some big files.

    The cap of bytes is kept for sure: a file counts uncompressed, with its headers, name and catalog line, because how far
    it will shrink is not known before it is read; deflated archives therefore end below the cap. A single file above the
    cap still gets an archive of its own. What is archived already is counted and passed over. Memory does not grow with the
    number of files: a plan is kept compressed.
    """
    refuse = refusal(order)
    span = _OpenSpan()
    for file in files:
        reason = refuse(file)
        already = reason is None and is_archived(file)
        is_big = file.size >= order.direct_threshold_bytes
        if reason is None and not already and not is_big and not span.has_room(file, order):
            yield span.closed()
            span = _OpenSpan()
        span.seen(file.key)
        if already:
            span.already += 1
        elif reason is None:
            span.add(file, order)
        else:
            span.skip(file, reason)
        if span.is_full:
            yield span.closed()
            span = _OpenSpan()
    if span.listed:
        yield span.closed()
