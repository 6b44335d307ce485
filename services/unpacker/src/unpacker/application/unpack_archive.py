"""Unpacking: the wanted files of a readable archive, into the restore bucket, for everybody who waits for them."""

from collections.abc import Iterable
from dataclasses import dataclass

from glaciate.catalog import Excerpt
from glaciate.events import ArchiveReadable, ObjectRestoreCompleted, RestoreCompleted
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId, archive_of_vault_key
from glaciate.outbox import CommandQueue, EventBus
from glaciate.part_documents import DocumentLost
from glaciate.parts import FileResult
from glaciate.restores import Part, PartState
from glaciate.telemetry import count, logger
from unpacker.application.rebuild_catalog import RebuildCatalog
from unpacker.application.unpack_members import UnpackMembers
from unpacker.application.wants import Outcomes, Want
from unpacker.domain import why_no_key
from unpacker.ports import Catalogs, CatalogUnusable, Ledger, NotReadable, PartDocuments, Vanished


@dataclass(frozen=True, slots=True)
class UnpackArchive:
    """Everybody who waits for an archive that can be read now gets their files.

    Harmless twice: a part that has ended is only settled again; files are written under deterministic keys, and one that is there
    already is compared; results are kept before the part ends; the ledger's moves are conditional.
    """

    vault_bucket: str
    ledger: Ledger
    catalogs: Catalogs
    rebuild_catalog: RebuildCatalog
    documents: PartDocuments
    unpack: UnpackMembers
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
        parts: dict[RequestId, tuple[Want, ...]] = {}
        for request_id in waiting:
            part = self.ledger.begin_unpacking(request_id, archive_id, readable_until=fact.readable_until)
            if part is None:
                continue
            try:
                wanted = self.documents.wanted(request_id, archive_id)
            except DocumentLost as lost:
                self._give_up(part, f"what it wanted is not known any more, ask for it again: {lost}")
                continue
            parts[request_id] = tuple(Want(request_id, file) for file in wanted)
        outcomes = Outcomes()
        if parts:
            self._restore(archive_id, fact.vault_key, [want for wants in parts.values() for want in wants], outcomes)
        for request_id in waiting:
            wants = parts.get(request_id, ())
            if not all(outcomes.knows(want) for want in wants):
                self._thaw_again(request_id, archive_id, fact)
                continue
            if request_id in parts:
                self._end_part(request_id, archive_id, tuple(outcomes.result(want) for want in wants))
            self.ledger.settle(request_id, archive_id, tell=self._tell)

    def _archive_of(self, fact: ObjectRestoreCompleted | ArchiveReadable) -> ArchiveId | None:
        if fact.vault_bucket != self.vault_bucket:
            return None
        try:
            return archive_of_vault_key(fact.vault_key)
        except ValueError:
            return None

    def _restore(self, archive_id: ArchiveId, vault_key: str, wants: list[Want], outcomes: Outcomes) -> None:
        """Tells `outcomes` of every want, but for those that must wait for another thaw."""
        try:
            self._unpack(self._excerpt(archive_id, vault_key, wants), wants, outcomes)
        except CatalogUnusable as unusable:
            _fail_the_rest(wants, outcomes, f"the catalog of archive {archive_id} cannot be used: {unusable}")
        except Vanished:
            _fail_the_rest(wants, outcomes, f"the archive {archive_id} is no longer in the vault")
        except NotReadable:
            logger().warning("no readable copy", extra={"archive_id": archive_id})
            count("ReadableCopyLapsed")

    def _excerpt(self, archive_id: ArchiveId, vault_key: str, wants: list[Want]) -> Excerpt:
        keys = frozenset(want.file.key for want in wants)
        try:
            pages = frozenset(want.file.page for want in wants if want.file.page is not None)
            return self.catalogs.read(archive_id, keys, pages)
        except CatalogUnusable as unusable:
            try:
                return self.rebuild_catalog(archive_id, vault_key, keys)
            except CatalogUnusable as neither:
                msg = f"{unusable}; {neither}"
                raise CatalogUnusable(msg) from neither

    def _unpack(self, excerpt: Excerpt, wants: list[Want], outcomes: Outcomes) -> None:
        by_key: dict[str, list[Want]] = {key: [] for key in excerpt.members}
        for want in wants:
            if reason := why_no_key(want.file.destination) or _why_no_member(want.file.key, excerpt):
                outcomes.failed(want, reason)
            else:
                by_key[want.file.key].append(want)
        self.unpack(excerpt, {key: tuple(some) for key, some in by_key.items() if some}, outcomes)

    def _give_up(self, part: Part, reason: str) -> None:
        """Ends a part of which nothing can be restored; the others that wait for the archive are not touched."""
        logger().error(
            "part given up", extra={"request_id": part.request_id, "archive_id": part.archive_id, "reason": reason}
        )
        count("FilesNotRestored", part.files)
        self.ledger.end_part(
            part.request_id, part.archive_id, state=PartState.FAILED, restored=0, failed=part.files, reason=reason
        )

    def _end_part(
        self,
        request_id: RequestId,
        archive_id: ArchiveId,
        results: tuple[FileResult, ...],
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
        )
        if not ended:  # cancelled meanwhile, or by an earlier delivery: that end stands
            logger().info("part had ended before", extra={"request_id": request_id, "archive_id": archive_id})
            return
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
