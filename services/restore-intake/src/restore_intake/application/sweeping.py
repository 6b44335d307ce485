"""Sweeping: looking again at what has waited long enough, whatever became of its messages."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from glaciate.messages import ThawFiles
from glaciate.names import RequestId
from glaciate.outbox import CommandQueue
from glaciate.restores import RequestState
from glaciate.telemetry import count, logger
from restore_intake.application.closing import CloseRequest, EndCancelled
from restore_intake.application.reminding import RemindOfExpiry
from restore_intake.application.thawing import ThawPart
from restore_intake.application.work import ARCHIVES_PER_MESSAGE, do_each
from restore_intake.domain.ordering import Request
from restore_intake.ports import Clock, Ledger, Requests, Waiter


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at what has waited too long and asks what is true, so that a lost event costs time and not the restore; and reminds
    of files that will expire."""

    requests: Requests
    ledger: Ledger
    thaw: ThawPart
    end_cancelled: EndCancelled
    close: CloseRequest
    remind: RemindOfExpiry
    queue: CommandQueue
    now: Clock
    look_after: timedelta

    def __call__(self, *, at_most: int) -> int:
        """Returns how many it looked at, `at_most` of each kind. One that fails does not keep the others waiting."""
        now = self.now()
        waiting = self.requests.due(now, limit=at_most)
        expiring = self.requests.expiring(now, limit=at_most)
        do_each(
            [
                *(partial(self._look, waiter) for waiter in waiting),
                *(partial(self.requests.expects, request_id) for request_id in _of_parts(waiting)),
                *(partial(self.remind, request_id) for request_id in expiring),
            ]
        )
        logger().info("swept", extra={"waiters": len(waiting), "expiring": len(expiring)})
        return len(waiting) + len(expiring)

    def _look(self, waiter: Waiter) -> None:
        logger().info("waited too long", extra=_names(waiter))
        count("WaitedTooLong")
        self.requests.look_again(waiter, look_at=self.now() + self.look_after)
        request = self.requests.get(waiter.request_id)
        if request is None:
            self.requests.forget(waiter)
            return
        if waiter.archive_id is None:
            self._look_at_request(request)
            return
        part = self.ledger.part(waiter.request_id, waiter.archive_id)
        if part is None:
            self.requests.forget(waiter)
            return
        if part.state.ended:
            self.close.settle(part)
            return
        if request.state is RequestState.CANCELLED:
            self.end_cancelled(request, at_most=ARCHIVES_PER_MESSAGE)
            return
        self.thaw(part, request)
        self.close(request.request_id)

    def _look_at_request(self, request: Request) -> None:
        """A request whose parts are recorded waits for them, and they are looked at one by one."""
        if request.announced:  # somebody died before it was let go
            self.ledger.mark_announced(request.request_id)
            return
        if request.state is RequestState.CANCELLED or not (request.resolved and request.acceptance_told):
            self.queue.send(ThawFiles(correlation_id=request.correlation_id, request_id=request.request_id))
            return
        self.close(request.request_id)


def _of_parts(waiting: Iterable[Waiter]) -> tuple[RequestId, ...]:
    return tuple(dict.fromkeys(waiter.request_id for waiter in waiting if waiter.archive_id is not None))


def _names(waiter: Waiter) -> dict[str, str | None]:
    return {"request_id": waiter.request_id, "archive_id": waiter.archive_id}
