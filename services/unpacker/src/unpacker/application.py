"""Unpacking: the wanted files of a readable archive, into the restore bucket, for everybody who waits for them."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from glaciate.catalog import Excerpt, Member
from glaciate.events import ArchiveReadable, ObjectRestoreCompleted, RestoreCompleted
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId, archive_of_vault_key
from glaciate.outbox import CommandQueue, EventBus
from glaciate.parts import FileResult, WantedFile
from glaciate.restores import PartState
from glaciate.telemetry import count, logger
from unpacker.domain import Damaged, Opening, ReadLimits, Span, end_of, open_whole, plan_reads, why_no_key
from unpacker.ports import (
    Catalogs,
    CatalogUnusable,
    Ledger,
    NotReadable,
    NotWritten,
    PartDocuments,
    RestoredFiles,
    Vanished,
    Vault,
)

_CHUNK_BYTES: Final = 1024**2  # of a large file at once


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """One file that one request wants; each is itself, and equal to no other."""

    request_id: RequestId
    file: WantedFile


@dataclass(slots=True)
class Outcomes:
    """What became of each want so far. Threads add to it, each want by one of them only."""

    _reasons: dict[Want, str | None] = field(default_factory=dict)

    def restored(self, want: Want) -> None:
        """It is there, complete and equal."""
        self._reasons[want] = None

    def failed(self, want: Want, reason: str) -> None:
        """It will not come, and why."""
        self._reasons[want] = reason

    def knows(self, want: Want) -> bool:
        """Whether anything became of it yet."""
        return want in self._reasons

    def result(self, want: Want) -> FileResult:
        """What the part's result says of it."""
        reason = self._reasons[want]
        file = want.file
        return FileResult(file.key, file.destination, "RESTORED" if reason is None else "FAILED", file.size, reason)


@dataclass(frozen=True, slots=True)
class UnpackArchive:
    """Everybody who waits for an archive that can be read now gets their files.

    Harmless twice: a part that has ended is only settled again; files are written under deterministic keys, and one that is there
    already is compared; results are kept before the part ends; the ledger's moves are conditional.
    """

    vault_bucket: str
    ledger: Ledger
    catalogs: Catalogs
    documents: PartDocuments
    unpack: "UnpackMembers"
    thaw_queue: CommandQueue
    bus: EventBus

    def __call__(self, fact: ObjectRestoreCompleted | ArchiveReadable) -> None:
        """An archive can be read."""
        archive_id = self._archive_of(fact)
        if archive_id is None:
            logger().info("not an archive of ours", extra={"bucket": fact.vault_bucket, "key": fact.vault_key})
            return
        waiting = self.ledger.waiting_requests(archive_id)
        logger().info("archive can be read", extra={"archive_id": archive_id, "waiting": len(waiting)})
        parts = {
            request_id: tuple(Want(request_id, file) for file in self.documents.wanted(request_id, archive_id))
            for request_id in waiting
            if self.ledger.begin_unpacking(request_id, archive_id, readable_until=fact.readable_until)
        }
        outcomes = Outcomes()
        if parts:
            self._restore(archive_id, [want for wants in parts.values() for want in wants], outcomes)
        for request_id in waiting:
            wants = parts.get(request_id, ())
            if not all(outcomes.knows(want) for want in wants):
                self._thaw_again(request_id, archive_id, fact)
                continue
            if request_id in parts:
                self._end_part(request_id, archive_id, tuple(outcomes.result(want) for want in wants), fact)
            self.ledger.settle(request_id, archive_id, tell=self._tell)

    def _archive_of(self, fact: ObjectRestoreCompleted | ArchiveReadable) -> ArchiveId | None:
        if fact.vault_bucket != self.vault_bucket:
            return None
        try:
            return archive_of_vault_key(fact.vault_key)
        except ValueError:
            return None

    def _restore(self, archive_id: ArchiveId, wants: list[Want], outcomes: Outcomes) -> None:
        """Tells `outcomes` of every want, but for those that must wait for another thaw."""
        try:
            excerpt = self.catalogs.read(archive_id, frozenset(want.file.key for want in wants))
        except CatalogUnusable as unusable:
            _fail_the_rest(wants, outcomes, f"the catalog of archive {archive_id} cannot be used: {unusable}")
            return
        by_key: dict[str, list[Want]] = {key: [] for key in excerpt.members}
        for want in wants:
            if reason := why_no_key(want.file.destination) or _why_no_member(want.file.key, excerpt):
                outcomes.failed(want, reason)
            else:
                by_key[want.file.key].append(want)
        try:
            self.unpack(excerpt, {key: tuple(some) for key, some in by_key.items() if some}, outcomes)
        except Vanished:
            _fail_the_rest(wants, outcomes, f"the archive {archive_id} is no longer in the vault")
        except NotReadable:
            logger().warning("no readable copy", extra={"archive_id": archive_id})
            count("ReadableCopyLapsed")

    def _end_part(
        self,
        request_id: RequestId,
        archive_id: ArchiveId,
        results: tuple[FileResult, ...],
        fact: ObjectRestoreCompleted | ArchiveReadable,
    ) -> None:
        self.documents.put_results(request_id, archive_id, results)
        failures = [result for result in results if result.state == "FAILED"]
        restored = len(results) - len(failures)
        ended = self.ledger.end_part(
            request_id,
            archive_id,
            state=_state(restored, len(failures)),
            restored=restored,
            failed=len(failures),
            reason=failures[0].reason if failures else None,
            readable_until=fact.readable_until,
        )
        if ended:
            count("FilesRestored", restored)
            count("FilesNotRestored", len(failures))
        logger().info(
            "part ended", extra={"request_id": request_id, "archive_id": archive_id, "restored": restored, "failed": len(failures)}
        )  # fmt: skip

    def _thaw_again(
        self, request_id: RequestId, archive_id: ArchiveId, fact: ObjectRestoreCompleted | ArchiveReadable
    ) -> None:
        self.ledger.thaw_again(request_id, archive_id)
        self.thaw_queue.send(ThawFiles(correlation_id=fact.correlation_id, request_id=request_id))

    def _tell(self, completed: RestoreCompleted) -> None:
        self.bus.publish(completed)
        count("RestoreCompleted")
        logger().info("restore ended", extra={"request_id": completed.request_id, "outcome": completed.outcome})


def _why_no_member(key: str, excerpt: Excerpt) -> str | None:
    if key in excerpt.members:
        return None
    if key in excerpt.left_out:
        return f"it was left out of the archive: {excerpt.left_out[key]}"
    return f"the catalog of archive {excerpt.header.archive_id} does not list it"


def _fail_the_rest(wants: Iterable[Want], outcomes: Outcomes, reason: str) -> None:
    for want in wants:
        if not outcomes.knows(want):
            outcomes.failed(want, reason)


def _state(restored: int, failed: int) -> PartState:
    if not failed:
        return PartState.COMPLETED
    return PartState.PARTIAL if restored else PartState.FAILED


@dataclass(frozen=True, slots=True)
class UnpackMembers:
    """Brings the wanted members of one archive to the restore bucket, each read once however many want it.

    At most `read_concurrency` reads are going on at once, each with its bytes and one opened file in memory.
    """

    vault: Vault
    restored_files: RestoredFiles
    limits: ReadLimits
    read_concurrency: int

    def __call__(self, excerpt: Excerpt, wants: Mapping[str, tuple[Want, ...]], outcomes: Outcomes) -> None:
        """Tells `outcomes` of every want, until the archive cannot be read any more.

        Raises:
            NotReadable: there is no readable copy, now or any more.
            Vanished: the archive is not in the vault.
        """
        reading = _Reading(self.vault, self.restored_files, self.limits.limit_bytes, excerpt, wants, outcomes)
        members = [excerpt.members[key] for key in wants]
        if excerpt.header.kind == "object":
            self._run([partial(reading.copy, member) for member in members], reading)
            return
        spans = plan_reads(members, archive_bytes=excerpt.data_end, limits=self.limits)
        large = [span.members[0] for span in spans if self.limits.is_large(span.members[0])]
        others = [span for span in spans if not self.limits.is_large(span.members[0])]
        self._run(
            [*(partial(reading.stream, member) for member in large), *(partial(reading.open, span) for span in others)],
            reading,
        )

    def _run(self, tasks: Iterable[Callable[[], None]], reading: "_Reading") -> None:
        with ThreadPoolExecutor(self.read_concurrency, thread_name_prefix="unpack") as pool:
            running = [pool.submit(task) for task in tasks]
            try:
                for task in as_completed(running):
                    task.result()
            except BaseException:  # SIGTERM too: what has not begun does not begin, what has begun ends soon
                reading.given_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


class _GivenUp(Exception):
    """Another read has failed, or SIGTERM arrived."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one archive."""

    vault: Vault
    restored_files: RestoredFiles
    piece_bytes: int
    excerpt: Excerpt
    wants: Mapping[str, tuple[Want, ...]]
    outcomes: Outcomes
    given_up: threading.Event = field(default_factory=threading.Event)

    def open(self, span: Span) -> None:
        """Reads a range and restores the members in it."""
        data = memoryview(self._read(span.start, span.end))
        for member in span.members:
            at = member.offset - span.start
            try:
                content = open_whole(member, data[at : at + member.compressed_size])
            except Damaged as damage:
                self._damaged(member, damage)
                continue
            for want in self.wants[member.key]:
                self._written(want, partial(self.restored_files.put, want.file.destination, member, content))

    def stream(self, member: Member) -> None:
        """Restores a large member piece by piece, to all who want it at once."""
        with ExitStack() as uploads:
            begun = []
            for want in self.wants[member.key]:
                try:
                    upload = self.restored_files.begin(want.file.destination, member)
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
            copy = partial(self.restored_files.copy, self.excerpt.header.vault_key, want.file.destination, member)
            self._written(want, copy)

    def _chunks(self, member: Member) -> Iterator[bytes | memoryview]:
        opening = Opening(member, _CHUNK_BYTES)
        end = end_of(member)
        for start in range(member.offset, end, self.piece_bytes):
            if self.given_up.is_set():
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
