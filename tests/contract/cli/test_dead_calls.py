"""Dead letters of functions: each is called with the event that never reached it, in every shape in which AWS keeps one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.functions import FakeFunctions
from fakes.queue import Queue
from glaciate_cli.addressees import AddressedFunction
from glaciate_cli.dead_letters import DeadLetterQueue, Selection

FUNCTION = "glaciate-packer-launch"
SCHEDULE = {
    "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:000000000000:schedule/default/glaciate-packer-launch",
    "TARGET_ARN": "arn:aws:lambda:us-east-1:000000000000:function:glaciate-packer-launch",
    "SCHEDULED_TIME": "2026-01-31T03:00:00Z",
    "EXECUTION_ID": "d32c5kddcf5bb8c3",
    "ERROR_CODE": "AWS.Lambda.TooManyRequestsException",
    "ERROR_MESSAGE": "Rate exceeded.",
    "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    "RETRY_ATTEMPTS": "10",
    "IS_PAYLOAD_TRUNCATED": "false",
}
ACCEPTED = {"version": "0", "detail-type": "ArchiveJobAccepted.v1", "source": "glaciate", "detail": {"job_id": "j"}}
RUN = {"scheduled_time": "2026-01-31T03:00:00Z"}


def dead_calls(queue: Queue, functions: Any) -> DeadLetterQueue:
    return DeadLetterQueue(queue.sqs, queue.dead_letters_url, AddressedFunction(functions, FUNCTION), wait_seconds=0)


def die(queue: Queue, body: str, told: Mapping[str, str] | None = None) -> None:
    attributes: dict[str, Any] = {
        name: {"DataType": "String", "StringValue": value} for name, value in (told or {}).items()
    }
    if "RequestID" in attributes:  # Lambda's
        attributes["ErrorCode"] = {"DataType": "Number", "StringValue": "200"}
    queue.sqs.send_message(QueueUrl=queue.dead_letters_url, MessageBody=body, MessageAttributes=attributes)


@dataclass(frozen=True)
class Kept:
    """A dead letter: its body and attributes; the event it stands for, and why it is said to be there."""

    body: Any
    told: Mapping[str, str]
    event: Any
    reason: str


SCHEDULED = "AWS.Lambda.TooManyRequestsException: Rate exceeded."
CALL = {"FunctionName": SCHEDULE["TARGET_ARN"], "InvocationType": "Event"}
SHAPES = {
    "EventBridge keeps the event": Kept(
        ACCEPTED,
        {"RULE_ARN": "r", "TARGET_ARN": "t", "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not allowed"},
        ACCEPTED,
        "NO_PERMISSIONS: not allowed",
    ),
    "the Scheduler keeps the input": Kept(RUN, SCHEDULE, RUN, SCHEDULED),
    "the Scheduler keeps the call": Kept({**CALL, "Payload": json.dumps(RUN)}, SCHEDULE, RUN, SCHEDULED),
    "the Scheduler keeps the call, JSON in it": Kept({**CALL, "Payload": RUN}, SCHEDULE, RUN, SCHEDULED),
    "Lambda keeps the event": Kept(
        ACCEPTED,
        {"RequestID": "6c0f", "ErrorMessage": "Task timed out after 60.00 seconds"},
        ACCEPTED,
        "Task timed out after 60.00 seconds",
    ),
    "nothing is said": Kept({}, {}, {}, "failed on every delivery; the consumer's log says why"),
}


@pytest.mark.parametrize("kept", SHAPES.values(), ids=SHAPES)
def test_the_function_gets_the_event_that_never_reached_it(queue: Queue, kept: Kept) -> None:
    functions = FakeFunctions()
    die(queue, json.dumps(kept.body), kept.told)
    letters = dead_calls(queue, functions)

    [shown] = letters.peek(limit=10)
    done = letters.replay(Selection())

    assert shown.reason == kept.reason
    assert kept.told.items() <= shown.attributes.items()
    assert functions.calls == [(FUNCTION, kept.event)]
    assert (len(done.replayed), done.left, letters.count()) == (1, [], 0)


def test_replaying_twice_calls_once(queue: Queue) -> None:
    functions = FakeFunctions()
    die(queue, json.dumps(ACCEPTED))
    letters = dead_calls(queue, functions)

    letters.replay(Selection())
    again = letters.replay(Selection())

    assert again.replayed == []
    assert len(functions.calls) == 1


def test_a_call_that_fails_again_stays_with_the_error_and_all_behind_it_are_made(queue: Queue) -> None:
    def fails_on_the_first(event: Any) -> None:
        if event["number"] == 0:
            msg = "no such table"
            raise LookupError(msg)

    functions = FakeFunctions(fails_on_the_first)
    for number in range(12):
        die(queue, json.dumps({"number": number}))
    letters = dead_calls(queue, functions)

    done = letters.replay(Selection())

    assert sorted(event["number"] for _name, event in functions.calls) == list(range(12))
    assert [(letter.body, why) for letter, why in done.left] == [
        ('{"number": 0}', f"{FUNCTION} failed: LookupError: no such table")
    ]
    assert (len(done.replayed), done.refused) == (11, 1)
    assert [letter.body for letter in letters.peek(limit=20)] == ['{"number": 0}']


@pytest.mark.parametrize(
    ("body", "told", "why"),
    [
        ("not JSON", {}, "not JSON"),
        ("[]", {}, "not an event"),
        ('{"FunctionName": "f", "Payload": 7}', SCHEDULE, "not an event"),
        ('{"half": 1}', SCHEDULE | {"IS_PAYLOAD_TRUNCATED": "true"}, "only a part of the event was kept"),
    ],
)
def test_what_is_no_event_is_not_called_and_stays_with_its_reason(
    queue: Queue, body: str, told: dict[str, str], why: str
) -> None:
    functions = FakeFunctions()
    die(queue, body, told)
    letters = dead_calls(queue, functions)

    done = letters.replay(Selection())

    [(letter, said)] = done.left
    assert (letter.body, functions.calls, letters.count()) == (body, [], 1)
    assert why in said


def test_a_dry_run_calls_nothing(queue: Queue) -> None:
    functions = FakeFunctions()
    die(queue, json.dumps(ACCEPTED))

    done = dead_calls(queue, functions).replay(Selection(), dry_run=True)

    assert len(done.replayed) == 1
    assert functions.calls == []


def test_a_replay_that_is_stopped_has_deleted_what_was_answered_and_nothing_else(queue: Queue) -> None:
    def dies_at_the_second(_event: Any) -> None:
        if len(functions.calls) == 2:
            raise KeyboardInterrupt

    functions = FakeFunctions(dies_at_the_second)
    for number in range(3):
        die(queue, json.dumps({"number": number}))
    letters = dead_calls(queue, functions)

    with pytest.raises(KeyboardInterrupt):
        letters.replay(Selection())

    answered = functions.calls[0][1]["number"]
    assert {json.loads(letter.body)["number"] for letter in letters.peek(limit=10)} == {0, 1, 2} - {answered}
