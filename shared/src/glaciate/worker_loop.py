"""The loop of a Batch worker: long-poll, handle one by one, hold the message by heartbeats, acknowledge last, exit when idle.

A crash loses nothing: the message becomes visible again. SIGTERM (Spot interruption, scale-in) interrupts the handler, which
cleans up; the message is released at once, so that another worker takes over.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from glaciate.contracts import Contract, read_body
from glaciate.errors import Permanent, Transient, Unreadable
from glaciate.outbox import SqsDeadLetters
from glaciate.telemetry import correlated, count, logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_LONGEST_VISIBILITY_SECONDS: Final = 43_200  # SQS: twelve hours
_BACKOFF_SECONDS: Final = 5


class Stopped(BaseException):
    """SIGTERM arrived. Not an `Exception`: nothing on the way may take it for a failure of the work."""


@dataclass(frozen=True, slots=True)
class SqsInbox:
    """One SQS queue as a worker sees it."""

    sqs: "SQSClient"
    url: str
    visibility_seconds: int

    def receive(self, *, wait_seconds: int) -> "MessageTypeDef | None":
        """One message, waiting at most `wait_seconds` (20 is SQS's limit), or None."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=min(wait_seconds, 20),
            VisibilityTimeout=self.visibility_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return next(iter(answer.get("Messages", [])), None)

    def hide(self, message: "MessageTypeDef", *, seconds: int) -> None:
        """Keeps a message hidden for so long from now; 0 gives it back at once."""
        seconds = min(max(seconds, 0), _LONGEST_VISIBILITY_SECONDS)
        self.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def acknowledge(self, message: "MessageTypeDef") -> None:
        """Deletes a message that is done with."""
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


@dataclass(frozen=True, slots=True)
class Worker:
    """Drains a queue. `use_cases` says who handles which message."""

    inbox: SqsInbox
    dead_letters: SqsDeadLetters
    use_cases: Mapping[type[Contract], Callable[[Any], None]]
    idle_seconds: float
    now: Callable[[], float] = field(default=time.monotonic)

    def run(self) -> int:
        """Works until the queue has been empty for `idle_seconds` or SIGTERM arrives; returns how many messages it took."""
        taken = 0
        idle_since = self.now()
        try:
            with _stop_on_sigterm():
                while (left := self.idle_seconds - (self.now() - idle_since)) > 0:
                    message = self.inbox.receive(wait_seconds=max(1, int(left)))
                    if message is None:
                        continue
                    taken += 1
                    self._take(message)
                    idle_since = self.now()
        except Stopped:
            logger().info("stopped by SIGTERM", extra={"messages": taken})
            return taken
        logger().info("queue is empty", extra={"messages": taken})
        return taken

    def _take(self, delivery: "MessageTypeDef") -> None:
        body = delivery["Body"]
        try:
            message = read_body(body, self.use_cases)
        except Unreadable as unreadable:
            logger().error(
                "message not understood", extra={"message_id": delivery["MessageId"], "reason": str(unreadable)}
            )
            count("MessageUnreadable")
            self.dead_letters.keep(body, reason=str(unreadable))
            self.inbox.acknowledge(delivery)
            return
        receives = int(delivery.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
        with correlated(message.correlation_id):
            try:
                with self._heartbeat(delivery):
                    self.use_cases[type(message)](message)
            except Stopped:
                self.inbox.hide(delivery, seconds=0)
                raise
            except Permanent as failure:
                logger().error("failed for good", extra={"message_name": message.name, "reason": str(failure)})
                self.inbox.acknowledge(delivery)
            except Transient as failure:
                logger().warning("will be tried again", extra={"message_name": message.name, "reason": str(failure)})
                self._put_back(delivery, failure.retry_after_seconds, receives)
            except Exception:  # noqa: BLE001 - a bug: the message stays, and after its last receive the dead-letter queue keeps it
                logger().exception("failed unexpectedly", extra={"message_name": message.name})
                self._put_back(delivery, None, receives)
            else:
                self.inbox.acknowledge(delivery)

    def _put_back(self, delivery: "MessageTypeDef", retry_after_seconds: int | None, receives: int) -> None:
        seconds = (
            retry_after_seconds if retry_after_seconds is not None else _BACKOFF_SECONDS * 2 ** min(receives - 1, 6)
        )
        self.inbox.hide(delivery, seconds=seconds)

    @contextmanager
    def _heartbeat(self, delivery: "MessageTypeDef") -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self.inbox.visibility_seconds / 3):
                try:
                    self.inbox.hide(delivery, seconds=self.inbox.visibility_seconds)
                except (
                    BotoCoreError,
                    ClientError,
                ):  # the next beat may work; if none does, another worker meets our lease
                    logger().warning("heartbeat failed", exc_info=True)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: cleaning up is not interrupted
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
