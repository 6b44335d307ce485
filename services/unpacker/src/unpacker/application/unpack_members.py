"""Reading members out of an archive and writing them as files, many at once, within bounds."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from glaciate.catalog import Excerpt, Member
from glaciate.telemetry import count, logger
from unpacker.application.wants import Outcomes, Want
from unpacker.domain import Damaged, Opening, ReadLimits, Span, end_of, groups_to_read, open_whole, plan_reads
from unpacker.ports import NotWritten, OriginalFiles, RestoredFiles, Vault

_CHUNK_BYTES: Final = 1024**2  # of a large file at once
_READS_A_THREAD: Final = 10
_WRITES_A_TASK: Final = 32  # where there are many: handing a file to a thread costs as much as opening it


@dataclass(frozen=True, slots=True)
class UnpackMembers:
    """Brings the wanted members of one archive to where they are wanted, each read once however many want it.

    At most `read_concurrency` reads are going on at once, ten by one thread, which has their bytes (at most `limits.limit_bytes`, or a
    single range) and the files it opens (at most `limits.whole_member_bytes`) in memory; and `write_concurrency` writes, each thread
    with its files, of which the same holds.
    """

    vault: Vault
    restored_files: RestoredFiles
    originals: OriginalFiles
    limits: ReadLimits
    read_concurrency: int
    write_concurrency: int
    open_concurrency: int = 1

    def __call__(self, excerpt: Excerpt, wants: Mapping[str, tuple[Want, ...]], outcomes: Outcomes) -> None:
        """Tells `outcomes` of every want, until the archive cannot be read any more.

        Raises:
            NotReadable: there is no readable copy, now or any more.
            Vanished: the archive is not in the vault.
        """
        writing = _Writing(self.write_concurrency)
        reading = _Reading(
            self.vault,
            self._files_for,
            self.limits.limit_bytes,
            self.limits.whole_member_bytes,
            excerpt,
            wants,
            outcomes,
            writing,
            threading.BoundedSemaphore(self.open_concurrency),
        )
        members = [excerpt.members[key] for key in wants]
        if excerpt.header.kind == "object":
            self._run([partial(reading.copy, member) for member in members], reading)
            return
        spans = plan_reads(members, archive_bytes=excerpt.data_end, limits=self.limits)
        large = [span.members[0] for span in spans if self.limits.is_large(span.members[0])]
        others = [span for span in spans if not self.limits.is_large(span.members[0])]
        at_once = min(_READS_A_THREAD, self.read_concurrency)
        groups = groups_to_read(others, most=at_once, limit_bytes=self.limits.limit_bytes)
        self._run(
            [
                *(partial(reading.stream, member) for member in large),
                *(partial(reading.open, group) for group in groups),
            ],
            reading,
        )

    def _files_for(self, want: Want) -> RestoredFiles:
        file = want.file
        if file.bucket is None:
            return self.restored_files
        return self.originals.in_bucket(file.bucket, replaces=file.replaces)

    def _run(self, tasks: Iterable[Callable[[], None]], reading: "_Reading") -> None:
        writing = reading.writing
        try:
            threads = max(1, self.read_concurrency // _READS_A_THREAD)
            with writing.pool, ThreadPoolExecutor(threads, thread_name_prefix="read") as readers:
                running = [readers.submit(task) for task in tasks]
                try:
                    for task in as_completed(running):
                        task.result()
                except BaseException:  # SIGTERM too: what has not begun does not begin, what has begun ends soon
                    writing.given_up.set()
                    readers.shutdown(wait=False, cancel_futures=True)
                    raise
        except _GivenUp:
            pass  # because of a write: its failure says why
        if writing.failures:
            raise writing.failures[0]


class _GivenUp(Exception):
    """Something else has failed, or SIGTERM arrived."""


class _Writing:
    """The writes going on: at most so many at once, so that reading waits for writing. The first failure stops everything."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.pool = ThreadPoolExecutor(concurrency, thread_name_prefix="write")
        self.given_up = threading.Event()
        self.failures: list[BaseException] = []
        self._room = threading.BoundedSemaphore(concurrency)

    def begin(self, write: Callable[[], None]) -> None:
        """Writes soon.

        Raises:
            _GivenUp: nothing is begun any more.
        """
        self._room.acquire()
        if self.given_up.is_set():
            self._room.release()
            raise _GivenUp
        self.pool.submit(self._write, write)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BaseException as failure:  # noqa: BLE001  raised again where the work was asked for
            self.failures.append(failure)
            self.given_up.set()
        finally:
            self._room.release()


class _Writes:
    """Opened files, to be written one after the other."""

    def __init__(self, reading: "_Reading") -> None:
        self.reading = reading
        self.files: list[tuple[Member, bytes]] = []
        self.size = 0

    def add(self, member: Member, content: bytes) -> None:
        self.files.append((member, content))
        self.size += len(content)

    def __call__(self) -> None:
        for member, content in self.files:
            self.reading.put(member, content)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one archive."""

    vault: Vault
    files_for: Callable[[Want], RestoredFiles]
    piece_bytes: int
    most_bytes: int  # of files to be written by one task
    excerpt: Excerpt
    wants: Mapping[str, tuple[Want, ...]]
    outcomes: Outcomes
    writing: _Writing
    opening: threading.BoundedSemaphore

    def open(self, spans: tuple[Span, ...]) -> None:
        """Reads some ranges and begins to write the members in them; few threads open at once, more would only wait for one another."""
        found = self.vault.read_several(self.excerpt.header.vault_key, [(span.start, span.end) for span in spans])
        for span, data in zip(spans, found, strict=True):
            with self.opening:
                self._open(span, memoryview(data))

    def _open(self, span: Span, data: memoryview) -> None:
        at_once = max(1, min(_WRITES_A_TASK, len(span.members) // self.writing.concurrency))
        task = _Writes(self)
        for member in span.members:
            at = member.offset - span.start
            try:
                content = open_whole(member, data[at : at + member.compressed_size])
            except Damaged as damage:
                self._damaged(member, damage)
                continue
            if task.files and (len(task.files) >= at_once or task.size + len(content) > self.most_bytes):
                self.writing.begin(task)
                task = _Writes(self)
            task.add(member, content)
        if task.files:
            self.writing.begin(task)

    def put(self, member: Member, content: bytes) -> None:
        """Writes a file to all who want it."""
        for want in self.wants[member.key]:
            self._written(want, partial(self.files_for(want).put, want.file.destination, member, content))

    def stream(self, member: Member) -> None:
        """Restores a large member piece by piece, to all who want it at once."""
        with ExitStack() as uploads:
            begun = []
            for want in self.wants[member.key]:
                try:
                    upload = self.files_for(want).begin(want.file.destination, member)
                except NotWritten as refusal:
                    self.outcomes.failed(want, str(refusal))
                    continue
                uploads.callback(upload.abort)
                begun.append((want, upload))
            try:
                for chunk in self._chunks(member) if begun else ():
                    for _, upload in begun:
                        upload.write(chunk)
            except Damaged as damage:
                self._damaged(member, damage)
                return
            for want, upload in begun:
                self._written(want, upload.complete)

    def copy(self, member: Member) -> None:
        """Copies a file that was kept as it is."""
        for want in self.wants[member.key]:
            copy = partial(self.files_for(want).copy, self.excerpt.header.vault_key, want.file.destination, member)
            self._written(want, copy)

    def _chunks(self, member: Member) -> Iterator[bytes | memoryview]:
        opening = Opening(member, _CHUNK_BYTES)
        end = end_of(member)
        for start in range(member.offset, end, self.piece_bytes):
            if self.writing.given_up.is_set():
                raise _GivenUp
            yield from opening.feed(self._read(start, min(start + self.piece_bytes, end)))
        opening.close()

    def _read(self, start: int, end: int) -> bytes:
        return self.vault.read(self.excerpt.header.vault_key, start=start, end=end) if end > start else b""

    def _written(self, want: Want, write: Callable[[], None]) -> None:
        try:
            write()
        except NotWritten as refusal:
            self.outcomes.failed(want, str(refusal))
        else:
            self.outcomes.restored(want)

    def _damaged(self, member: Member, damage: Damaged) -> None:
        logger().error("member damaged", extra={"key": member.key, "reason": str(damage)})
        count("MembersDamaged")
        for want in self.wants[member.key]:
            self.outcomes.failed(want, f"damaged in archive {self.excerpt.header.archive_id}: {damage}")
