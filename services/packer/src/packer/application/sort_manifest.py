"""Sorting a manifest: its rows, in whatever order they stand, become files in key order, each once.

Archives must keep key order, so that neighbours share one and a prefix finds few; and a file that is named twice must be
archived once. Both take a sort, and memory must not grow with the rows: so rows are sorted in runs of some megabytes, kept
in the work bucket, and merged. Nothing is planned before the last row was read and understood.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, dropwhile
from typing import Final, Self

from pydantic_core import from_json, to_json

from glaciate.manifests import (
    BadManifest,
    Document,
    Expected,
    Rows,
    Slice,
    SourceList,
    inventory_columns,
    read_inventory,
)
from glaciate.names import JobId
from glaciate.telemetry import logger
from packer.domain.archives import Job
from packer.domain.sorted_rows import (
    chunks_of,
    files_of,
    first_line_after,
    line_of,
    lines_of,
    without_repeats,
)
from packer.domain.sources import SourceFile
from packer.ports import Manifests, ManifestUnusable, Notes, NotesMissing

_PROGRESS: Final = "progress.json"
_LINE_OVERHEAD_BYTES: Final = 48  # what Python needs for a line besides its bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sorting is. What was done up to here is kept, and doing it again gives the same bytes.

    `document`, `offset`, `number`, `columns`, `etag`: where reading goes on. `runs` runs of `level` are there; of the next
    level `merged`.
    """

    document: int = 0
    offset: int = 0
    number: int = 0
    columns: tuple[str, ...] | None = None
    etag: str | None = None
    is_read: bool = False
    level: int = 0
    runs: int = 0
    merged: int = 0

    def to_json(self) -> bytes:
        """As it is kept."""
        return to_json({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """What was kept."""
        values = from_json(text)
        columns = values.pop("columns")
        return cls(**values, columns=None if columns is None else tuple(columns))


@dataclass(frozen=True, slots=True)
class SortedManifest:
    """Where the sorted rows of a job's manifest are kept. It stays so, whatever a slower planner notes of its own progress."""

    job_id: JobId
    level: int
    runs: int


@dataclass(frozen=True, slots=True)
class SortManifest:
    """Sorts a job's manifest, and gives its files.

    Memory: `run_bytes` of rows while they are read; `fan_in` chunks while runs are merged. Twice is harmless, also at once:
    every step is a function of the manifest's version, so a second planner writes the same bytes under the same names.
    """

    manifests: Manifests
    notes: Notes
    run_bytes: int = 16 * 1024 * 1024
    chunk_bytes: int = 1024 * 1024
    fan_in: int = 32

    def __call__(self, job: Job) -> SortedManifest:
        """Reads and sorts from where an earlier attempt stopped; raises `ManifestUnusable`."""
        progress = self._progress(job.job_id)
        source = _source_of(job)
        try:
            if not progress.is_read:
                progress = self._read(job, source, progress)
        except BadManifest as error:
            raise ManifestUnusable(f"{source.uri}: {error}") from error
        while progress.runs > self.fan_in:
            progress = self._merge(job.job_id, progress)
        return SortedManifest(job.job_id, progress.level, progress.runs)

    def files(self, manifest: SortedManifest, *, after: str | None) -> Iterator[SourceFile]:
        """Every file in key order, those after `after`; raises `NotesMissing`."""
        lines = self._merged(manifest.job_id, manifest.level, range(manifest.runs))
        if after is not None:
            start = first_line_after(after)
            lines = dropwhile(lambda line: line < start, lines)
        return files_of(lines)

    def _progress(self, job_id: JobId) -> Progress:
        kept = self.notes.find(job_id, _PROGRESS)
        return Progress.from_json(kept) if kept else Progress()

    def _keep(self, job_id: JobId, progress: Progress) -> Progress:
        self.notes.put(job_id, _PROGRESS, progress.to_json())
        return progress

    def _read(self, job: Job, source: SourceList, progress: Progress) -> Progress:
        documents, columns = self._documents(source)
        for place in range(progress.document, len(documents)):
            progress = self._read_one(job, documents[place], progress, columns)
        progress = self._keep(job.job_id, replace(progress, is_read=True))
        logger().info("manifest read", extra={"job_id": job.job_id, "runs": progress.runs})
        return progress

    def _read_one(self, job: Job, document: "_Named", progress: Progress, columns: tuple[str, ...] | None) -> Progress:
        """One document, from where an earlier attempt stopped, to its end."""
        order, source = job.order, _source_of(job)
        bytes_of = document.opened(self.manifests, progress.etag)
        expected = Expected(source.kind, order.bucket, order.prefix, needs_time=order.older_than is not None)
        rows = Rows(expected, progress.columns or columns, progress.offset, progress.number)
        lines: list[bytes] = []
        size = 0
        try:
            for row in rows.read(bytes_of.blocks(offset=rows.offset)):
                lines.append(line_of(row))
                size += len(lines[-1]) + _LINE_OVERHEAD_BYTES
                if size >= self.run_bytes:
                    progress = self._keep_run(job.job_id, progress, lines)
                    progress = replace(progress, offset=rows.offset, number=rows.number, columns=rows.columns)
                    progress = self._keep(job.job_id, replace(progress, etag=bytes_of.etag))
                    lines, size = [], 0
        except BadManifest as error:
            raise BadManifest(f"{document.key}: {error}" if source.kind == "inventory" else str(error)) from error
        if lines:
            progress = self._keep_run(job.job_id, progress, lines)
        done = replace(progress, document=progress.document + 1, offset=0, number=0, columns=None, etag=None)
        return self._keep(job.job_id, done)

    def _documents(self, source: SourceList) -> tuple[tuple["_Named", ...], tuple[str, ...] | None]:
        if source.kind == "csv":
            return (_Named(source.bucket, source.key, source.etag, None),), None
        manifest = Document(_Reader(self.manifests, source.bucket, source.key), source.etag)
        inventory = read_inventory(b"".join(manifest.blocks()))
        bucket = inventory.destination_bucket
        return tuple(_Named(bucket, file.key, None, file.md5) for file in inventory.files), inventory_columns(inventory)

    def _keep_run(self, job_id: JobId, progress: Progress, lines: list[bytes]) -> Progress:
        lines.sort()
        self._write(job_id, 0, progress.runs, lines)
        return replace(progress, runs=progress.runs + 1)

    def _merge(self, job_id: JobId, progress: Progress) -> Progress:
        """One level up: each run of the next level is made of `fan_in` runs of this one."""
        groups = -(-progress.runs // self.fan_in)
        for group in range(progress.merged, groups):
            runs = range(group * self.fan_in, min((group + 1) * self.fan_in, progress.runs))
            self._write(job_id, progress.level + 1, group, self._merged(job_id, progress.level, runs))
            progress = self._keep(job_id, replace(progress, merged=group + 1))
        return self._keep(job_id, replace(progress, level=progress.level + 1, runs=groups, merged=0))

    def _write(self, job_id: JobId, level: int, run: int, lines: Iterable[bytes]) -> None:
        for number, chunk in enumerate(chunks_of(without_repeats(lines), chunk_bytes=self.chunk_bytes)):
            self.notes.put(job_id, _chunk_name(level, run, number), chunk)

    def _merged(self, job_id: JobId, level: int, runs: range) -> Iterator[bytes]:
        return without_repeats(heapq.merge(*(self._lines(job_id, level, run) for run in runs)))

    def _lines(self, job_id: JobId, level: int, run: int) -> Iterator[bytes]:
        for number in count():
            name = _chunk_name(level, run, number)
            chunk = self.notes.find(job_id, name)
            if chunk is None:
                raise NotesMissing(f"{name} of job {job_id} is not in the work bucket any more")
            lines, is_last = lines_of(chunk)
            yield from lines
            if is_last:
                return


@dataclass(frozen=True, slots=True)
class _Reader:
    manifests: Manifests
    bucket: str
    key: str

    def __call__(self, start: int, etag: str | None) -> Slice:
        return self.manifests.read(self.bucket, self.key, start=start, etag=etag)


@dataclass(frozen=True, slots=True)
class _Named:
    """A document of a list: the CSV itself, or a data file of an inventory."""

    bucket: str
    key: str
    etag: str | None
    md5: str | None

    def opened(self, manifests: Manifests, etag: str | None) -> Document:
        """Its bytes; `etag`: of the version that an earlier attempt read the beginning of."""
        return Document(_Reader(manifests, self.bucket, self.key), self.etag or etag, self.md5)


def _source_of(job: Job) -> SourceList:
    if job.order.source is None:
        msg = f"job {job.job_id} has no manifest"
        raise ValueError(msg)
    return job.order.source


def _chunk_name(level: int, run: int, number: int) -> str:
    return f"{level}/{run:06}/{number:06}"
