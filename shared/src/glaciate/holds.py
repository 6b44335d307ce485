"""Sources that are held for some days after their archiving and then deleted, unless somebody keeps them: one row a job.

HELD → DELETING → DELETED, or HELD → KEPT; a job that nobody has held yet may be KEPT beforehand. Every move is a conditional write
of the one row, so that of "keep" and "delete now" one wins and the other is told so.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition

from glaciate.errors import GlaciateError
from glaciate.names import JobId, encode_time
from glaciate.tables import HELD_LIST, HOLD_ITEM, HoldRow


class HoldState(StrEnum):
    """How far a job's held sources have come."""

    HELD = "HELD"
    KEPT = "KEPT"
    DELETING = "DELETING"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Hold:
    """A job's held sources. `deleted` and `left`: files whose archives are through; left are those that had changed."""

    job_id: JobId
    state: HoldState
    due_at: datetime | None = None
    archives: int = 0  # whose sources are dealt with
    deleted: int = 0
    left: int = 0
    announced: bool = False
    decided_at: datetime | None = None  # when deletion began, or the sources were kept
    ended_at: datetime | None = None


class DeletionBegan(GlaciateError):
    """The sources are being deleted, or are deleted: too late to keep them."""


_NOBODY_DECIDED: Final = HoldRow.state.does_not_exist()
_HELD: Final = HoldRow.state == HoldState.HELD
_DELETING: Final = HoldRow.state == HoldState.DELETING
_NOT_TOLD: Final = HoldRow.list_key.exists()


def _order(due_at: datetime, job_id: JobId) -> str:
    return f"{encode_time(due_at)}#{job_id}"


def hold_of(row: HoldRow) -> Hold:
    """What a row says."""
    return Hold(
        job_id=JobId(row.id),
        state=HoldState(row.state),
        due_at=row.due_at,
        archives=int(row.archives or 0),
        deleted=int(row.deleted or 0),
        left=int(row.left or 0),
        announced=bool(row.announced),
        decided_at=row.decided_at,
        ended_at=row.ended_at,
    )


def _moved(job_id: JobId, actions: list[Any], condition: Condition) -> bool:
    """Whether the condition held, and the row is changed."""
    try:
        HoldRow(job_id, HOLD_ITEM).update(actions=actions, condition=condition)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


@dataclass(frozen=True, slots=True)
class DynamoHolds:
    """The jobs table, which must be bound. Those that wait for their day are found by the sparse index."""

    def find(self, job_id: JobId) -> Hold | None:
        """Read consistently; None where nothing is held yet and nobody has kept anything."""
        try:
            return hold_of(HoldRow.get(job_id, HOLD_ITEM, consistent_read=True))
        except DoesNotExist:
            return None

    def hold(self, job_id: JobId, *, due_at: datetime) -> bool:
        """Holds the sources until a moment, unless that is decided already. False where they were kept beforehand."""
        actions = [
            HoldRow.state.set(HoldState.HELD),
            HoldRow.due_at.set(due_at),
            HoldRow.list_key.set(HELD_LIST),
            HoldRow.list_order.set(_order(due_at, job_id)),
        ]
        if _moved(job_id, actions, _NOBODY_DECIDED):
            return True
        known = self.find(job_id)
        return known is not None and known.state is not HoldState.KEPT

    def keep(self, job_id: JobId, *, now: datetime) -> Hold:
        """→ KEPT; once kept, for good.

        Raises:
            DeletionBegan: too late.
        """
        actions = [
            HoldRow.state.set(HoldState.KEPT),
            HoldRow.decided_at.set(now),
            HoldRow.list_key.remove(),
            HoldRow.list_order.remove(),
        ]
        kept = _moved(job_id, actions, _NOBODY_DECIDED | _HELD)
        hold = self.find(job_id)
        if hold is None or (not kept and hold.state is not HoldState.KEPT):
            state = hold.state if hold else "gone"
            msg = f"the sources of job {job_id} are {state}"
            raise DeletionBegan(msg)
        return hold

    def due(self, now: datetime, *, at_most: int) -> tuple[JobId, ...]:
        """The jobs whose day has come, and those that should be looked at again; the longest due first."""
        come = HoldRow.list_order < _order(now, JobId("~"))
        rows = HoldRow.listing.query(HELD_LIST, come, limit=at_most)
        return tuple(JobId(row.id) for row in rows)

    def begin(self, job_id: JobId, *, now: datetime, look_again_at: datetime) -> bool:
        """HELD → DELETING, or DELETING still; True where there is something to be done now. Looked at again at a later moment."""
        later = HoldRow.list_order.set(_order(look_again_at, job_id))
        begun = [HoldRow.state.set(HoldState.DELETING), HoldRow.decided_at.set(now), later]
        if _moved(job_id, begun, _HELD & (HoldRow.due_at <= now)):
            return True
        over = (_DELETING | (HoldRow.state == HoldState.DELETED)) & _NOT_TOLD
        return _moved(job_id, [later], over)

    def end(self, job_id: JobId, *, archives: int, now: datetime) -> Hold | None:
        """DELETING → DELETED, once the sources of so many archives are dealt with. The hold, as long as its end is not announced."""
        ended = [HoldRow.state.set(HoldState.DELETED), HoldRow.ended_at.set(now)]
        if archives:
            _moved(job_id, ended, _DELETING & (HoldRow.archives >= archives))
        else:
            _moved(job_id, ended, _DELETING)
        hold = self.find(job_id)
        return hold if hold is not None and hold.state is HoldState.DELETED and not hold.announced else None

    def mark_announced(self, job_id: JobId) -> None:
        """People were told of the end: nobody looks at it again."""
        HoldRow(job_id, HOLD_ITEM).update(
            actions=[HoldRow.announced.set(True), HoldRow.list_key.remove(), HoldRow.list_order.remove()]
        )


def dealt_with(*, deleted: int, left: int) -> tuple[list[Any], Condition]:
    """The actions, and their condition, by which another archive's sources are counted; for a transaction with the archive's own row."""
    actions = [HoldRow.archives.add(1), HoldRow.deleted.add(deleted), HoldRow.left.add(left)]
    return actions, _DELETING
