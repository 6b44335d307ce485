"""The book of restore requests, in the jobs table."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from glaciate.conditional_writes import conditionally
from glaciate.costs import Charge
from glaciate.errors import Transient
from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.requests import Tier
from glaciate.restore_ledger import RestoreLedger
from glaciate.restores import LIVE_PART, LIVE_REQUEST, Part, PartState, RequestState, read_part
from glaciate.tables import (
    EXPIRING_ITEM,
    EXPIRING_LIST,
    PART_PREFIX,
    REQUEST_ITEM,
    THAW_ITEM,
    WAITING_LIST,
    ExpiringRow,
    PartRow,
    RequestRow,
    ThawRow,
    WaiterRow,
    due_order,
    part_item,
    request_waiting_key,
    requests_list_key,
    thaw_key,
    waiting_key,
)
from restore_intake.domain.asking import Asking
from restore_intake.domain.ordering import PlannedPart, Request, RestoreOrder, last_expected
from restore_intake.domain.thawing import Thaw
from restore_intake.ports import RequestPage, Waiter

MAX_PARTS_AT_ONCE: Final = 40  # a transaction takes 100 rows: two a part, and the request's own two
_END: Final = "~"  # sorts behind every place: bucket names are small letters and digits


@dataclass(frozen=True, slots=True)
class DynamoRequests:
    """The jobs table, which must be bound. Every move is conditional, so that making it twice changes nothing."""

    ledger: RestoreLedger

    def accept(self, request: Request, parts: tuple[PlannedPart, ...] | None, *, look_at: datetime) -> bool:
        """Records a request, that it waits for its end, and all its parts (at most `MAX_PARTS_AT_ONCE`): all or nothing."""
        row = _row(request)
        the_id_is_new = RequestRow.id.does_not_exist()

        def record(transaction: TransactWrite) -> None:
            transaction.save(row, condition=the_id_is_new)
            transaction.save(_waiter(request.request_id, None, request.order.project, look_at))
            for part in parts or ():
                _record_part(transaction, request.request_id, request.order.project, part, look_at)

        return self.ledger.transact(record)

    def get(self, request_id: RequestId) -> Request | None:
        """A request as it stands; one whose time is over counts as gone, though DynamoDB may take days to remove it."""
        try:
            row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        except RequestRow.DoesNotExist:
            return None
        its_time_is_over = row.expires_at is not None and row.expires_at <= self.ledger.now()
        return None if its_time_is_over else _request(row)

    def page(self, project: ProjectName, *, limit: int, before: RequestId | None) -> RequestPage:
        """The newest requests of a project: their ids sort by the time of acceptance."""
        older = RequestRow.list_order < before if before else None
        rows = RequestRow.listing.query(requests_list_key(project), older, scan_index_forward=False, limit=limit + 1)
        found = [RequestId(row.id) for row in rows]
        # the index is read with the jobs' model: the rows themselves say more
        requests = tuple(request for request in map(self.get, found[:limit]) if request is not None)
        return RequestPage(requests, found[limit - 1] if len(found) > limit else None)

    def parts(
        self, request_id: RequestId, *, after: ArchiveId | None = None, limit: int | None = None
    ) -> tuple[Part, ...]:
        """A request's parts in order of their archives."""
        the_rest = PartRow.item > part_item(after) if after else PartRow.item.startswith(PART_PREFIX)
        rows = PartRow.query(request_id, the_rest, consistent_read=True, limit=limit)
        return tuple(read_part(row) for row in rows if row.item.startswith(PART_PREFIX))

    def add_parts(self, request_id: RequestId, parts: Iterable[PlannedPart], *, look_at: datetime) -> bool:
        """Records parts, some at a time; one that is there already stays as it is. False where the request takes no more."""
        it_is_being_resolved = RequestRow.state.is_in(*LIVE_REQUEST) & (
            RequestRow.resolved_to.does_not_exist() | (RequestRow.resolved_to < _END)
        )
        pending = iter(parts)
        while chunk := tuple(islice(pending, MAX_PARTS_AT_ONCE)):
            request = self.get(request_id)
            if request is None or request.state.ended or request.resolved_to == _END:
                return False
            new = [part for part in chunk if self.ledger.part(request_id, part.archive_id) is None]

            def record(
                transaction: TransactWrite, new: list[PlannedPart] = new, project: ProjectName = request.order.project
            ) -> None:
                transaction.condition_check(RequestRow, request_id, REQUEST_ITEM, it_is_being_resolved)
                for part in new:
                    _record_part(transaction, request_id, project, part, look_at)

            if new and not self.ledger.transact(record):
                msg = f"request {request_id} moved while its parts were being recorded"
                raise Transient(msg)
        return True

    def resolved_to(self, request_id: RequestId, place: str) -> None:
        """Notes how far a request is resolved; never back."""
        it_is_further = RequestRow.resolved_to.does_not_exist() | (RequestRow.resolved_to < place)
        row = RequestRow(request_id, REQUEST_ITEM)
        conditionally(lambda: row.update([RequestRow.resolved_to.set(place)], condition=it_is_further))

    def lacks(self, request_id: RequestId, missing: Iterable[str]) -> None:
        """Adds to what a request that is being resolved will not get.

        Raises:
            Transient: somebody else added to it at the same moment.
        """
        if not (names := tuple(missing)):
            return
        row = RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)
        so_far = list(row.missing or ())
        more = [name for name in names if name not in so_far]
        as_it_was = (RequestRow.missing == row.missing) & (RequestRow.resolved == False)  # noqa: E712 - PynamoDB's way
        if more and not row.resolved:
            added = conditionally(lambda: row.update([RequestRow.missing.set(so_far + more)], condition=as_it_was))
            if not added:
                msg = f"request {request_id} was changed by another message"
                raise Transient(msg)

    def resolved(self, request_id: RequestId, *, missing: tuple[str, ...]) -> None:
        """Lets nobody record another part, then counts those that are there."""
        self.resolved_to(request_id, _END)
        parts = self.parts(request_id)
        it_is_not_yet = RequestRow.resolved == False  # noqa: E712 - PynamoDB's way to say it
        moves: list[Action] = [
            RequestRow.resolved.set(True),
            RequestRow.parts.set(len(parts)),
            RequestRow.files.set(sum(part.files for part in parts)),
            RequestRow.missing.set(list(missing)),
        ]
        row = RequestRow(request_id, REQUEST_ITEM)
        conditionally(lambda: row.update(moves, condition=it_is_not_yet))

    def thawing(self, part: Part, *, asked_at: datetime, expected_by: datetime, look_at: datetime) -> None:
        """Says that a part thaws unless it has moved on meanwhile, and that its request does, and by when.

        The part last: as long as it is not said to thaw, it is looked at again, and all of this said again.
        """
        request = RequestRow(part.request_id, REQUEST_ITEM)
        it_is_accepted = RequestRow.state == RequestState.ACCEPTED
        conditionally(lambda: request.update([RequestRow.state.set(RequestState.THAWING)], condition=it_is_accepted))
        self._takes_until(part.request_id, expected_by)
        moves: list[Action] = [
            PartRow.state.set(PartState.THAWING),
            PartRow.asked_at.set(asked_at),
            PartRow.expected_by.set(expected_by),
            PartRow.reason.remove(),
        ]
        it_has_not_moved_on = PartRow.state.is_in(part.state, PartState.PENDING, PartState.THAWING)
        self._say(part, moves, it_has_not_moved_on, look_at=look_at)

    def waits(self, part: Part, *, reason: str, expected_by: datetime, look_at: datetime) -> None:
        """Says what keeps a part from being thawed for now, unless it has moved on, and by when it is expected nevertheless."""
        self._takes_until(part.request_id, expected_by)
        moves: list[Action] = [PartRow.reason.set(reason), PartRow.expected_by.set(expected_by)]
        self._say(part, moves, PartRow.state.is_in(PartState.PENDING, PartState.THAWING), look_at=look_at)

    def readable(self, part: Part, *, since: datetime, until: datetime | None, look_at: datetime) -> None:
        """Says that a part's archive can be read and waits for a worker, unless it has moved on."""
        moves: list[Action] = [PartRow.reason.remove(), PartRow.expected_by.set(since)]
        if until is not None:
            moves.append(PartRow.readable_until.set(until))
        self._say(part, moves, PartRow.state.is_in(PartState.PENDING, PartState.THAWING), look_at=look_at)

    def expects(self, request_id: RequestId) -> None:
        """Says by when the last of a request's parts is expected, as the parts say now: that may be sooner than was said before."""
        request = self.get(request_id)
        if request is None or not request.resolved:
            return
        by = last_expected(self.parts(request_id), request.expected_by)
        if by is None or by == request.expected_by:
            return
        it_goes_on = RequestRow.state.is_in(*LIVE_REQUEST)
        row = RequestRow(request_id, REQUEST_ITEM)
        conditionally(lambda: row.update([RequestRow.expected_by.set(by)], condition=it_goes_on))

    def _say(self, part: Part, moves: list[Action], condition: Condition, *, look_at: datetime) -> None:
        row = PartRow(part.request_id, part_item(part.archive_id))
        conditionally(lambda: row.update(moves, condition=condition))
        self.look_again(Waiter(part.request_id, part.archive_id), look_at=look_at)

    def _takes_until(self, request_id: RequestId, expected_by: datetime) -> None:
        it_goes_on_and_takes_longer = RequestRow.state.is_in(*LIVE_REQUEST) & (
            RequestRow.expected_by.does_not_exist() | (RequestRow.expected_by < expected_by)
        )
        row = RequestRow(request_id, REQUEST_ITEM)
        conditionally(
            lambda: row.update([RequestRow.expected_by.set(expected_by)], condition=it_goes_on_and_takes_longer)
        )

    def asks(self, part: Part, asking: Asking) -> bool:
        """Notes what a part is about to ask S3; False where it has ended, or somebody has noted something since it was read."""
        nobody_else_asks = PartRow.asking == part.asking if part.asking else PartRow.asking.does_not_exist()
        it_has_not_ended = PartRow.state.is_in(*LIVE_PART)
        row = PartRow(part.request_id, part_item(part.archive_id))
        moves: list[Action] = [PartRow.asking.set(asking.text), PartRow.asked_at.set(asking.asked_at)]
        return conditionally(lambda: row.update(moves, condition=nobody_else_asks & it_has_not_ended))

    def paid(self, part: Part, charge: Charge) -> None:
        """Keeps what a part's asking has cost: in a set, so that twice is once. One after a lapsed copy is paid on top."""
        self._asks_no_more(part, PartRow.charges.add({charge.text}))

    def asked_for_nothing(self, part: Part) -> None:
        """Says that S3 did nothing for this part, and that it was asked last when it was before."""
        self._asks_no_more(part, PartRow.asked_at.set(part.asked_at) if part.asked_at else PartRow.asked_at.remove())

    def _asks_no_more(self, part: Part, *moves: Action) -> None:
        it_is_kept = PartRow.id.exists()
        row = PartRow(part.request_id, part_item(part.archive_id))
        conditionally(lambda: row.update([*moves, PartRow.asking.remove()], condition=it_is_kept))

    def look_again(self, waiter: Waiter, *, look_at: datetime) -> None:
        """Says when to look at something again, if it still waits."""
        row = _waiter(waiter.request_id, waiter.archive_id, None, look_at)
        it_waits = WaiterRow.id.exists()
        moves: list[Action] = [WaiterRow.list_order.set(row.list_order), WaiterRow.list_key.set(WAITING_LIST)]
        conditionally(lambda: WaiterRow(row.id, row.item).update(moves, condition=it_waits))

    def forget(self, waiter: Waiter) -> None:
        """Takes something off the list whose request or part is no longer kept."""
        key = waiting_key(waiter.archive_id) if waiter.archive_id else request_waiting_key(waiter.request_id)
        WaiterRow(key, waiter.request_id).delete()

    def acceptance_told(self, request_id: RequestId) -> None:
        """Says that the event of its acceptance is on the bus."""
        RequestRow(request_id, REQUEST_ITEM).update([RequestRow.acceptance_told.set(True)])

    def cancel(self, request_id: RequestId) -> bool:
        """Ends a request as cancelled: no part is recorded after this, and those that are there count."""
        it_goes_on = RequestRow.state.is_in(*LIVE_REQUEST)
        row = RequestRow(request_id, REQUEST_ITEM)
        moves: list[Action] = [
            RequestRow.state.set(RequestState.CANCELLED),
            RequestRow.finished_at.set(self.ledger.now()),
        ]
        return conditionally(lambda: row.update(moves, condition=it_goes_on))

    def due(self, now: datetime, *, limit: int) -> tuple[Waiter, ...]:
        """What is to be looked at by now, the longest overdue first."""
        until = due_order(now, ArchiveId("~"), RequestId(""))
        rows = WaiterRow.listing.query(WAITING_LIST, WaiterRow.list_order <= until, limit=limit)
        return tuple(_read_waiter(row.list_order) for row in rows)

    def expiring(self, now: datetime, *, limit: int) -> tuple[RequestId, ...]:
        """The requests of which is to be told by now that their files will expire, the longest due first."""
        until = due_order(now, ArchiveId("~"), RequestId(""))
        rows = ExpiringRow.listing.query(EXPIRING_LIST, ExpiringRow.list_order <= until, limit=limit)
        return tuple(_read_waiter(row.list_order).request_id for row in rows)

    def expiry_told(self, request_id: RequestId) -> None:
        """Says that nothing is left to be told of it."""
        ExpiringRow(request_id, EXPIRING_ITEM).delete()

    def last_thaw(self, archive_id: ArchiveId) -> Thaw | None:
        """The last thaw of an archive that we asked for."""
        try:
            row = ThawRow.get(thaw_key(archive_id), THAW_ITEM, consistent_read=True)
        except ThawRow.DoesNotExist:
            return None
        asked_by = RequestId(row.asked_by) if row.asked_by else None
        return Thaw(Tier(row.tier), int(row.days), row.expected_by, asked_by)

    def note_thaw(self, archive_id: ArchiveId, thaw: Thaw) -> None:
        """Keeps what we asked for last."""
        ThawRow(
            thaw_key(archive_id),
            THAW_ITEM,
            tier=thaw.tier,
            days=thaw.days,
            expected_by=thaw.expected_by,
            asked_by=thaw.asked_by,
        ).save()


def _row(request: Request) -> RequestRow:
    order = request.order
    return RequestRow(
        request.request_id,
        REQUEST_ITEM,
        list_key=requests_list_key(order.project),
        list_order=request.request_id,
        state=request.state,
        project=order.project,
        request=order.model_dump(mode="json"),
        wanted=order.wanted,
        correlation_id=request.correlation_id,
        topic_arn=request.topic_arn,
        status_url=request.status_url,
        tier=order.tier,
        days=order.days,
        destination_prefix=order.destination_prefix,
        location=request.location,
        to_original=order.to_original or None,
        accepted_at=request.accepted_at,
        expected_by=request.expected_by,
        resolved=request.resolved,
        resolved_to=request.resolved_to,
        parts=request.parts,
        files=request.files,
        missing=list(request.missing),
        estimate=dict(request.estimate) if request.estimate is not None else None,
    )


def _request(row: RequestRow) -> Request:
    return Request(
        request_id=RequestId(row.id),
        state=RequestState(row.state),
        order=RestoreOrder.model_validate(row.request),
        correlation_id=row.correlation_id,
        topic_arn=row.topic_arn,
        status_url=row.status_url,
        location=row.location or "",
        accepted_at=row.accepted_at,
        expected_by=row.expected_by,
        finished_at=row.finished_at,
        available_until=row.available_until,
        kept_until=row.expires_at,
        resolved=bool(row.resolved),
        resolved_to=row.resolved_to,
        acceptance_told=bool(row.acceptance_told),
        announced=bool(row.announced),
        parts=int(row.parts),
        parts_ended=int(row.parts_ended),
        files=int(row.files),
        restored=int(row.restored),
        failed=int(row.failed),
        missing=tuple(row.missing or ()),
        estimate=row.estimate,
        reason=row.reason,
    )


def _waiter(
    request_id: RequestId, archive_id: ArchiveId | None, project: ProjectName | None, look_at: datetime
) -> WaiterRow:
    key = waiting_key(archive_id) if archive_id else request_waiting_key(request_id)
    order = due_order(look_at, archive_id or ArchiveId(""), request_id)
    return WaiterRow(key, request_id, project=project, list_key=WAITING_LIST, list_order=order)


def _read_waiter(list_order: str) -> Waiter:
    _due, archive_id, request_id = list_order.split("#")
    return Waiter(RequestId(request_id), ArchiveId(archive_id) if archive_id else None)


def _record_part(
    transaction: TransactWrite, request_id: RequestId, project: ProjectName, part: PlannedPart, look_at: datetime
) -> None:
    nobody_has_recorded_it = PartRow.id.does_not_exist()
    row = PartRow(
        request_id,
        part_item(part.archive_id),
        state=PartState.PENDING,
        archive_id=part.archive_id,
        project=project,
        vault_bucket=part.vault_bucket,
        vault_key=part.vault_key,
        storage_class=part.storage_class,
        files=len(part.files),
        wanted_bytes=sum(file.size for file in part.files),
    )
    transaction.save(row, condition=nobody_has_recorded_it)
    transaction.save(_waiter(request_id, part.archive_id, project, look_at))
