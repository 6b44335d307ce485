"""The restore ledger: how a request and its parts move, by conditional writes, so that doing anything twice changes nothing.

A waiter row finds a part by its archive, and exists until the part has ended and, if it was its request's last, that end has been
told: whoever dies between the two leaves it for the next delivery, or for the sweeper.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from glaciate.conditional_writes import condition_failed, conditionally, met_another
from glaciate.errors import Transient
from glaciate.events import FailedFile, Outcome, RestoreCompleted
from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.part_documents import DocumentLost, PartDocuments
from glaciate.restores import (
    CANCELLED_HALF_WAY,
    LIVE_PART,
    LIVE_REQUEST,
    Part,
    PartState,
    RequestState,
    read_part,
    was_cancelled_half_way,
)
from glaciate.tables import (
    EXPIRING_ITEM,
    EXPIRING_LIST,
    PART_PREFIX,
    REQUEST_ITEM,
    WAITING_LIST,
    ExpiringRow,
    PartRow,
    RequestRow,
    WaiterRow,
    due_order,
    jobs_connection,
    part_item,
    request_waiting_key,
    waiting_key,
)
from glaciate.told_lists import LISTS_BYTES, size_as_json, that_fit

TOLD_BEFORE_EXPIRY: Final = timedelta(days=1)
_MAX_UPDATES: Final = 100  # DynamoDB's limit of a transaction
_ATTEMPTS: Final = 6
_FIRST_PAUSE_SECONDS: Final = 0.05
_MAX_REASON_CHARACTERS: Final = 300  # the status has it whole


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RestoreLedger:
    """The moves that more than one service makes; the jobs table must be bound (`glaciate.tables.bind`).

    `restored_days` is how long the restore bucket keeps what is put there; None: until somebody deletes it. `kept_days` is how long
    the rows of an ended request are kept after its files have expired, or after its end where they do not; None: for good.
    """

    documents: PartDocuments
    restored_days: int | None = None
    kept_days: int | None = None
    now: Callable[[], datetime] = field(default=_now)
    pause: Callable[[float], None] = field(default=time.sleep)

    def waiting_requests(self, archive_id: ArchiveId) -> tuple[RequestId, ...]:
        """The requests that have a part of this archive which has not ended, or has ended and is not settled."""
        rows = WaiterRow.query(waiting_key(archive_id), consistent_read=True)
        return tuple(RequestId(row.item) for row in rows)

    def part(self, request_id: RequestId, archive_id: ArchiveId) -> Part | None:
        """One part as it stands, or None where the request has none of this archive."""
        try:
            return read_part(PartRow.get(request_id, part_item(archive_id), consistent_read=True))
        except PartRow.DoesNotExist:
            return None

    def begin_unpacking(
        self, request_id: RequestId, archive_id: ArchiveId, *, readable_until: datetime | None
    ) -> Part | None:
        """Says that a part is being unpacked; again is harmless. None where there is nothing left to do: ended, or cancelled.

        Facts come late and out of order, and a copy's period only ever grows: an earlier `readable_until` than is known is passed over.
        """
        request = self._living(request_id)
        if request is None:
            return None
        it_has_not_ended = PartRow.state.is_in(*LIVE_PART)
        moves: list[Action] = [
            PartRow.state.set(PartState.UNPACKING),
            PartRow.begun.set(True),
            PartRow.reason.remove(),
        ]
        if (
            self.restored_days is not None and not request.to_original
        ):  # every file is written after this moment, or written again
            moves.append(PartRow.available_until.set(_midnight_after(self.now() + timedelta(days=self.restored_days))))
        row = PartRow(request_id, part_item(archive_id))
        said = False
        if readable_until is not None:
            it_stays_longer = PartRow.readable_until.does_not_exist() | (PartRow.readable_until < readable_until)
            longer = [*moves, PartRow.readable_until.set(readable_until)]
            said = conditionally(lambda: row.update(actions=longer, condition=it_has_not_ended & it_stays_longer))
        if not said and not conditionally(lambda: row.update(actions=moves, condition=it_has_not_ended)):
            return None
        unpacking_has_not_begun = RequestRow.state.is_in(RequestState.ACCEPTED, RequestState.THAWING)
        conditionally(
            lambda: request.update([RequestRow.state.set(RequestState.UNPACKING)], condition=unpacking_has_not_begun)
        )
        return read_part(row)

    def thaw_again(self, request_id: RequestId, archive_id: ArchiveId) -> None:
        """Puts a part back to `PENDING`, its readable copy having lapsed, and makes the sweeper look at it at once.

        A part that has ended stays as it is. Whoever calls sends `ThawFiles` too, so as not to wait for the sweeper.
        """
        it_has_not_ended = PartRow.state.is_in(*LIVE_PART)
        it_waits = WaiterRow.id.exists()
        part = PartRow(request_id, part_item(archive_id))
        waiter = WaiterRow(waiting_key(archive_id), request_id)
        due = due_order(self.now(), archive_id, request_id)

        def move(transaction: TransactWrite) -> None:
            transaction.update(
                part,
                actions=[
                    PartRow.state.set(PartState.PENDING),
                    PartRow.asked_at.remove(),
                    PartRow.expected_by.remove(),
                    PartRow.readable_until.remove(),
                    PartRow.reason.remove(),
                ],
                condition=it_has_not_ended,
            )
            transaction.update(
                waiter,
                actions=[WaiterRow.list_key.set(WAITING_LIST), WaiterRow.list_order.set(due)],
                condition=it_waits,
            )

        self.transact(move)

    def end_part(
        self,
        request_id: RequestId,
        archive_id: ArchiveId,
        *,
        state: PartState,
        restored: int,
        failed: int,
        reason: str | None = None,
    ) -> bool:
        """Ends a part and counts it on its request, in one transaction. False where it had ended already: nothing changed.

        The first end is the only one: what a worker makes of a part that was cancelled meanwhile is not counted, and is told of by
        nobody but the part's reason. Whoever calls then calls `settle`, which closes the request after its last part.

        Raises:
            ValueError: `state` is not one that ends a part.
        """
        if not state.ended:
            msg = f"{state} does not end a part"
            raise ValueError(msg)
        it_has_not_ended = PartRow.state.is_in(*LIVE_PART)
        moves: list[Action] = [PartRow.state.set(state), PartRow.restored.set(restored), PartRow.failed.set(failed)]
        moves.append(PartRow.reason.remove() if reason is None else PartRow.reason.set(reason))

        def end(transaction: TransactWrite) -> None:
            transaction.update(
                PartRow(request_id, part_item(archive_id)), actions=list(moves), condition=it_has_not_ended
            )
            transaction.update(
                RequestRow(request_id, REQUEST_ITEM),
                actions=[
                    RequestRow.parts_ended.add(1),
                    RequestRow.restored.add(restored),
                    RequestRow.failed.add(failed),
                ],
            )

        return self.transact(end)

    def settle(self, request_id: RequestId, archive_id: ArchiveId, *, tell: Callable[[RestoreCompleted], None]) -> None:
        """After a part has ended: closes and tells its request if that was the last, and only then lets go of the waiter row.

        Again is harmless, and needed where somebody died in between: `tell` may be called twice at the worst. Of a part that has
        not ended nothing is let go.
        """
        completed = self.close_if_last(request_id)
        if completed is not None:
            tell(completed)
            self.mark_announced(request_id)
        it_has_ended = ~PartRow.state.is_in(*LIVE_PART)

        def let_go(transaction: TransactWrite) -> None:
            transaction.condition_check(PartRow, request_id, part_item(archive_id), condition=it_has_ended)
            transaction.delete(WaiterRow(waiting_key(archive_id), request_id))

        self.transact(let_go)

    def close_if_last(self, request_id: RequestId) -> RestoreCompleted | None:
        """Ends a request whose parts are all recorded and ended; what is to be told of it, as long as nobody has said it was.

        A cancelled request is told as soon as its last part has ended.
        """
        row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        if not row.resolved or int(row.parts_ended) < int(row.parts):
            return None
        if row.announced:
            return None
        if not RequestState(row.state).ended:
            self._close(row)
            row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        if row.state == RequestState.CANCELLED:  # it may have been while it was being closed
            self._say_what_came_before_the_cancel(row)
        row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        return None if row.announced else self._completed(row)

    def mark_announced(self, request_id: RequestId) -> None:
        """Says that the request's last event is on the bus, until when its rows are kept, and lets go of the request.

        Nobody needs to look at it any more. Whoever dies half-way leaves it on the waiting list, and the sweeper calls this again.
        """
        row = RequestRow(request_id, REQUEST_ITEM)
        row.update([RequestRow.announced.set(True)])
        if self.kept_days is not None:
            self._keep_until(row, (row.available_until or row.finished_at) + timedelta(days=self.kept_days))
        WaiterRow(request_waiting_key(request_id), request_id).delete()

    def transact(self, fill: Callable[[TransactWrite], None]) -> bool:
        """Writes all or nothing; False where a condition did not hold.

        Raises:
            Transient: others kept writing the same rows.
        """
        for attempt in range(_ATTEMPTS):
            try:
                with TransactWrite(connection=jobs_connection()) as transaction:
                    fill(transaction)
            except TransactWriteError as error:
                if met_another(error):
                    self.pause(_FIRST_PAUSE_SECONDS * 2**attempt)
                    continue
                if condition_failed(error):
                    return False
                raise
            return True
        msg = f"others kept writing the same rows, {_ATTEMPTS} times in a row"
        raise Transient(msg)

    def _living(self, request_id: RequestId) -> RequestRow | None:
        try:
            row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        except RequestRow.DoesNotExist:
            return None
        return None if RequestState(row.state).ended else row

    def _close(self, row: RequestRow) -> None:
        """Ends a request and, in the same transaction, notes when to tell that its files will expire.

        Where they stay a day or less, the message of the end itself says until when, and no other follows.
        """
        now = self.now()
        nobody_has_ended_it = RequestRow.state.is_in(*LIVE_REQUEST)
        moves: list[Action] = [RequestRow.state.set(_outcome(row)), RequestRow.finished_at.set(now)]
        if not int(row.parts):
            moves.append(RequestRow.reason.set("no archive holds what was asked for"))
        request_id = RequestId(row.id)
        available_until = self._first_expiry(request_id) if int(row.restored) else None
        if available_until is not None:
            moves.append(RequestRow.available_until.set(available_until))

        def close(transaction: TransactWrite) -> None:
            transaction.update(RequestRow(request_id, REQUEST_ITEM), actions=list(moves), condition=nobody_has_ended_it)
            if available_until is not None and available_until - TOLD_BEFORE_EXPIRY > now:
                transaction.save(_expiring(request_id, available_until))

        self.transact(close)

    def _say_what_came_before_the_cancel(self, row: RequestRow) -> None:
        """Until when the files stay that were restored, and of how many nobody counts how far their worker came."""
        moves: list[Action] = []
        available_until = self._first_expiry(RequestId(row.id)) if int(row.restored) else None
        if available_until is not None:
            moves.append(RequestRow.available_until.set(available_until))
        if half_way := self._files_half_way(RequestId(row.id)):
            moves.append(RequestRow.reason.set(f"{half_way} of its files: {CANCELLED_HALF_WAY}"))
        if moves:
            row.update(moves)

    def _files_half_way(self, request_id: RequestId) -> int:
        it_was_begun = PartRow.begun == True  # noqa: E712 - PynamoDB's way to say it
        rows = PartRow.query(
            request_id, PartRow.item.startswith(PART_PREFIX), filter_condition=it_was_begun, consistent_read=True
        )
        return sum(int(row.files) for row in rows if was_cancelled_half_way(row))

    def _first_expiry(self, request_id: RequestId) -> datetime | None:
        """When the first of a request's restored files expires; None where they do not."""
        it_restored_something = PartRow.restored > 0
        rows = PartRow.query(
            request_id,
            PartRow.item.startswith(PART_PREFIX),
            filter_condition=it_restored_something,
            consistent_read=True,  # the last part has ended just now
        )
        return min((row.available_until for row in rows if row.available_until is not None), default=None)

    def _keep_until(self, row: RequestRow, moment: datetime) -> None:
        """Lets the rows of an ended request go at that moment: its parts, then itself."""
        request_id = RequestId(row.id)
        it_stays_for_good = PartRow.expires_at.does_not_exist()
        parts = PartRow.query(request_id, PartRow.item.startswith(PART_PREFIX), filter_condition=it_stays_for_good)
        items = iter([part.item for part in parts])
        while chunk := tuple(islice(items, _MAX_UPDATES)):

            def stamp(transaction: TransactWrite, chunk: tuple[str, ...] = chunk) -> None:
                for item in chunk:
                    transaction.update(PartRow(request_id, item), actions=[PartRow.expires_at.set(moment)])

            self.transact(stamp)
        row.update([RequestRow.expires_at.set(moment)])

    def _completed(self, row: RequestRow) -> RestoreCompleted:
        restored = int(row.restored)
        names, failures = that_fit(tuple(row.missing or ()), self._failures(row), room=LISTS_BYTES, size=size_as_json)
        return RestoreCompleted(
            correlation_id=row.correlation_id,
            request_id=RequestId(row.id),
            project=ProjectName(row.project),
            topic_arn=row.topic_arn,
            outcome=Outcome(row.state),
            files=int(row.files),
            restored=restored,
            failed=int(row.failed),
            missing=len(row.missing or ()),
            missing_names=names,
            wanted=row.wanted,
            location=row.location if restored else None,
            available_until=row.available_until,
            failures=failures,
            reason=row.reason,
            status_url=row.status_url,
        )

    def _failures(self, row: RequestRow) -> Iterator[FailedFile]:
        if not int(row.failed):
            return
        it_failed = PartRow.failed > 0
        for part in PartRow.query(row.id, PartRow.item.startswith(PART_PREFIX), filter_condition=it_failed):
            yield from failed_files(read_part(part), self.documents)


def failed_files(part: Part, documents: PartDocuments) -> tuple[FailedFile, ...]:
    """The files of an ended part that did not make it: as its results say, or all of them where it failed as a whole.

    Where the lists are lost, one line says of how many files.
    """
    try:
        results = documents.results(part.request_id, part.archive_id)
        if results is not None:
            failed = (file for file in results if file.state == "FAILED")
            return tuple(_failed_file(file.key, file.reason) for file in failed)
        wanted = documents.wanted(part.request_id, part.archive_id)
    except DocumentLost as lost:
        name = f"({part.failed} files of archive {part.archive_id})"
        return (_failed_file(name, part.reason or str(lost), files=part.failed),)
    return tuple(_failed_file(file.key, part.reason) for file in wanted)


def _failed_file(key: str, reason: str | None, *, files: int = 1) -> FailedFile:
    why = reason or ""
    told = why if len(why) <= _MAX_REASON_CHARACTERS else f"{why[: _MAX_REASON_CHARACTERS - 3]}..."
    return FailedFile(key=key, reason=told, files=files)


def _outcome(row: RequestRow) -> RequestState:
    """`PARTIAL` when something that was asked for did not come, `FAILED` when nothing did."""
    if not int(row.restored):
        return RequestState.FAILED
    return RequestState.PARTIAL if int(row.failed) or row.missing else RequestState.COMPLETED


def _expiring(request_id: RequestId, available_until: datetime) -> ExpiringRow:
    order = due_order(available_until - TOLD_BEFORE_EXPIRY, ArchiveId(""), request_id)
    return ExpiringRow(request_id, EXPIRING_ITEM, list_key=EXPIRING_LIST, list_order=order, expires_at=available_until)


def _midnight_after(moment: datetime) -> datetime:
    """S3's lifecycle rules act at the midnight (UTC) that follows."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == moment else midnight + timedelta(days=1)
