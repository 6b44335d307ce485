"""Telling people, before their restored files expire, that they will."""

from dataclasses import dataclass

from glaciate.events import RestoreExpiryApproached
from glaciate.names import RequestId
from glaciate.outbox import EventBus
from glaciate.telemetry import count, logger
from restore_intake.ports import Clock, Requests


@dataclass(frozen=True, slots=True)
class RemindOfExpiry:
    """Tells once that a request's files will expire. Twice is harmless: what was told is off the list, and a crash before that
    tells the same fact again, which the notifier knows. Files that have expired meanwhile are not told of."""

    requests: Requests
    bus: EventBus
    now: Clock

    def __call__(self, request_id: RequestId) -> None:
        """Tells, and takes the request off the list."""
        request = self.requests.get(request_id)
        if request is None or request.available_until is None or request.available_until <= self.now():
            logger().warning("too late to say that files will expire", extra={"request_id": request_id})
            count("ExpiryNotTold")
            self.requests.expiry_told(request_id)
            return
        self.bus.publish(
            RestoreExpiryApproached(
                correlation_id=request.correlation_id,
                request_id=request_id,
                project=request.order.project,
                topic_arn=request.topic_arn,
                restored=request.restored,
                wanted=request.order.wanted,
                location=request.location,
                available_until=request.available_until,
                status_url=request.status_url,
            )
        )
        self.requests.expiry_told(request_id)
        count("ExpiryTold")
