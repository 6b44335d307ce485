"""Closing: telling of a request's end once, and ending what is left of a cancelled one."""

from dataclasses import dataclass

from glaciate.events import RestoreCompleted
from glaciate.names import RequestId
from glaciate.outbox import EventBus
from glaciate.restores import Part, PartState
from glaciate.telemetry import count
from restore_intake.domain.ordering import Request
from restore_intake.ports import Ledger, Requests


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """Tells of a request's end. Twice is harmless: what is marked as told is not told again, and a crash before the mark tells twice."""

    ledger: Ledger
    bus: EventBus

    def __call__(self, request_id: RequestId) -> None:
        """Closes the request if its last part has ended."""
        event = self.ledger.close_if_last(request_id)
        if event is None:
            return
        self._tell(event)
        self.ledger.mark_announced(request_id)

    def settle(self, part: Part) -> None:
        """The same after a part of it has ended, which then waits no more."""
        self.ledger.settle(part.request_id, part.archive_id, tell=self._tell)

    def _tell(self, event: RestoreCompleted) -> None:
        self.bus.publish(event)
        count("RestoreCompleted")


@dataclass(frozen=True, slots=True)
class EndCancelled:
    """Ends what is left of a cancelled request; others that wait for the same archives are not touched. Twice is harmless."""

    requests: Requests
    ledger: Ledger
    close: CloseRequest

    def __call__(self, request: Request, *, at_most: int) -> bool:
        """False where more parts are left than were to be ended now."""
        self.requests.resolved(request.request_id, missing=request.missing)
        living = [part for part in self.requests.parts(request.request_id) if not part.state.ended]
        for part in living[:at_most]:
            self.ledger.end_part(
                part.request_id, part.archive_id, state=PartState.CANCELLED, restored=0, failed=0, reason="cancelled"
            )
            self.close.settle(part)
        self.close(request.request_id)
        return len(living) <= at_most
