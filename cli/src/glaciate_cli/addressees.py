"""Whom dead letters were meant for: a queue, to which they are sent again; a function, which is called again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from glaciate_cli.dead_letters import BATCH, DeadLetter, Taken
from glaciate_cli.deployment import told_plainly
from glaciate_cli.errors import Unreachable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_BATCH_BYTES: Final = 200_000  # well below SQS's limit for a batch, which has not always been 1 MiB


@dataclass(frozen=True, slots=True)
class AddressedQueue:
    """A queue. What it took, SQS delivers: a second replay of the same message is a second delivery."""

    sqs: "SQSClient"
    url: str
    at_once: int = BATCH

    def take(self, letters: Sequence[DeadLetter]) -> Iterator[Taken]:
        """Sends them as they were sent first, in batches that SQS takes."""
        for group in _groups(letters):
            by_id = {str(number): letter for number, letter in enumerate(group)}
            with told_plainly():
                answer = self.sqs.send_message_batch(
                    QueueUrl=self.url, Entries=[_sent_again(letter, entry_id) for entry_id, letter in by_id.items()]
                )
            for entry in answer.get("Successful", []):
                yield Taken(by_id[entry["Id"]], message_id=entry["MessageId"])
            if failed := answer.get("Failed"):
                msg = f"{len(failed)} messages were not taken by {self.url}: {failed[0].get('Message') or failed[0]['Code']}"
                raise Unreachable(msg, code=failed[0]["Code"])


@dataclass(frozen=True, slots=True)
class AddressedFunction:
    """A function. It is called and waited for, one message after the other, because only its answer says that it succeeded."""

    functions: "LambdaClient"
    function_name: str
    at_once: int = 1

    def take(self, letters: Sequence[DeadLetter]) -> Iterator[Taken]:
        """Calls it with the event of each."""
        for letter in letters:
            try:
                event = event_of(letter)
            except NoEventInIt as error:
                yield Taken(letter, refused=str(error))
                continue
            with told_plainly():
                answer = self.functions.invoke(FunctionName=self.function_name, Payload=json.dumps(event).encode())
                said = answer["Payload"].read().decode(errors="replace")
            yield Taken(
                letter, refused=f"{self.function_name} failed: {_error(said)}" if "FunctionError" in answer else None
            )


class NoEventInIt(Exception):
    """A dead letter does not hold what a function could be called with; the text says why."""


def event_of(letter: DeadLetter) -> Mapping[str, Any]:
    """The event of a call that a function never answered.

    EventBridge keeps the event of a rule as it was, and so does Lambda with that of an asynchronous call
    (docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html, …/lambda/latest/dg/invocation-async-retain-records.html).
    The Scheduler keeps "invocation details" (…/scheduler/latest/UserGuide/configuring-schedule-dlq.html): what it shows for a queue
    is the request it made, so the request of a call to Lambda is understood beside the bare input.

    Raises:
        NoEventInIt: it is not a JSON object, or not all of it.
    """
    if letter.attributes.get("IS_PAYLOAD_TRUNCATED", "false").lower() == "true":
        msg = "only a part of the event was kept"
        raise NoEventInIt(msg)
    event = _json_object(letter.body)
    if "SCHEDULE_ARN" in letter.attributes and {"FunctionName", "Payload"} <= event.keys():
        payload = event["Payload"]
        return payload if isinstance(payload, dict) else _json_object(payload)
    return event


def _json_object(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        msg = f"not JSON: {error}"
        raise NoEventInIt(msg) from error
    if not isinstance(found, dict):
        msg = "not an event: a JSON object is one"
        raise NoEventInIt(msg)
    return found


def _error(said: str) -> str:
    """What a function that failed says: Lambda gives the error's type and message as JSON."""
    try:
        document = json.loads(said)
    except ValueError:
        return said
    if not isinstance(document, dict):
        return said
    return ": ".join(str(document[name]) for name in ("errorType", "errorMessage") if document.get(name)) or said


def _sent_again(letter: DeadLetter, entry_id: str) -> "SendMessageBatchRequestEntryTypeDef":
    """The same message once more: body and attributes, without what was added to it when it died."""
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": entry_id, "MessageBody": letter.body}
    if kept := letter.attributes_of_its_own:
        entry["MessageAttributes"] = kept
    if trace := letter.delivery.get("Attributes", {}).get("AWSTraceHeader"):
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    return entry


def _groups(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    group: list[DeadLetter] = []
    size = 0
    for letter in letters:
        length = len(letter.body.encode())
        if group and size + length > _BATCH_BYTES:
            yield group
            group, size = [], 0
        group.append(letter)
        size += length
    if group:
        yield group
