"""Sending: commands to queues, facts to the bus, unreadable messages to the dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from glaciate.contracts import Command, Event
from glaciate.errors import Transient
from glaciate.names import EVENT_SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef, SendMessageBatchRequestEntryTypeDef

_BATCH: Final = 10  # both SendMessageBatch and PutEvents take ten entries
REASON_ATTRIBUTE: Final = "reason"


class CommandQueue(Protocol):
    """Where commands are sent."""

    def send(self, *commands: Command) -> None:
        """Sends all, or raises `Transient`; then some may have been sent."""


class EventBus(Protocol):
    """Where facts are told."""

    def publish(self, *events: Event) -> None:
        """Tells all, or raises `Transient`; then some may have been told."""


@dataclass(frozen=True, slots=True)
class SqsCommandQueue:
    """One SQS queue."""

    sqs: "SQSClient"
    url: str

    def send(self, *commands: Command) -> None:
        """Sends all, ten a call."""
        pending = iter(commands)
        while chunk := tuple(islice(pending, _BATCH)):
            entries: Sequence[SendMessageBatchRequestEntryTypeDef] = [
                {"Id": str(number), "MessageBody": command.to_body()} for number, command in enumerate(chunk)
            ]
            answer = self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            if failed := answer.get("Failed"):
                msg = f"{len(failed)} of {len(chunk)} messages were not taken: {failed[0].get('Message') or failed[0]['Code']}"
                raise Transient(msg)


@dataclass(frozen=True, slots=True)
class EventBridgeBus:
    """One EventBridge bus."""

    events: "EventBridgeClient"
    bus_name: str

    def publish(self, *events: Event) -> None:
        """Tells all, ten a call. PutEvents answers 200 even when it took nothing: the entries say."""
        pending = iter(events)
        while chunk := tuple(islice(pending, _BATCH)):
            entries: Sequence[PutEventsRequestEntryTypeDef] = [
                {
                    "EventBusName": self.bus_name,
                    "Source": EVENT_SOURCE,
                    "DetailType": event.name,
                    "Detail": event.model_dump_json(),
                }
                for event in chunk
            ]
            answer = self.events.put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                failed = next(entry for entry in answer["Entries"] if "ErrorCode" in entry)
                why = failed.get("ErrorMessage") or failed["ErrorCode"]
                msg = f"{answer['FailedEntryCount']} of {len(chunk)} events were not taken: {why}"
                raise Transient(msg)


@dataclass(frozen=True, slots=True)
class SqsDeadLetters:
    """A queue's dead-letter queue."""

    sqs: "SQSClient"
    url: str

    def keep(self, body: str, *, reason: str) -> None:
        """Keeps a message that nobody understands, with the reason as a message attribute."""
        attribute: MessageAttributeValueTypeDef = {"DataType": "String", "StringValue": reason[:1024] or "unknown"}
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes={REASON_ATTRIBUTE: attribute})
