"""Dead letters: looking, and replaying each message once, over SQS as moto plays it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.glaciate_http import LOCAL
from fakes.queue import Queue
from glaciate.contracts import read_body
from glaciate.events import EVENTS
from glaciate.messages import COMMANDS
from glaciate.outbox import SqsDeadLetters
from glaciate_cli.addressees import AddressedQueue
from glaciate_cli.dead_letters import DeadLetterQueue, Selection
from glaciate_cli.deployment import FUNCTIONS
from glaciate_cli.main import main

THAW = '{"type":"ThawFiles.v1","correlation_id":"c","request_id":"r-1"}'
EXAMPLES = Path(__file__).parents[3] / "docs" / "events"
Command = Callable[..., Result]
PLAN = '{"type":"PlanArchives.v1","correlation_id":"c","job_id":"j"}'


@pytest.fixture
def letters(queue: Queue) -> DeadLetterQueue:
    return DeadLetterQueue(queue.sqs, queue.dead_letters_url, AddressedQueue(queue.sqs, queue.url), wait_seconds=0)


def die(queue: Queue, *bodies: str) -> None:
    for body in bodies:
        queue.sqs.send_message(QueueUrl=queue.dead_letters_url, MessageBody=body)


def waiting(queue: Queue) -> list[str]:
    found = queue.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return [message["Body"] for message in found.get("Messages", [])]


def test_looking_changes_nothing(queue: Queue, letters: DeadLetterQueue) -> None:
    die(queue, THAW)

    first, second = letters.peek(limit=10), letters.peek(limit=10)

    assert [letter.body for letter in first] == [letter.body for letter in second] == [THAW]
    assert first[0].name == "ThawFiles.v1"
    assert letters.count() == 1


def test_every_message_goes_back_once_and_leaves_the_dead_letters(queue: Queue, letters: DeadLetterQueue) -> None:
    bodies = [json.dumps({"type": "ThawFiles.v1", "request_id": f"r-{number}"}) for number in range(25)]
    die(queue, *bodies)

    done = letters.replay(Selection())

    assert sorted(letter.body for letter in done.replayed) == sorted(bodies)
    assert queue.visible() == 25
    assert letters.count() == 0


def test_replaying_twice_sends_nothing_the_second_time(queue: Queue, letters: DeadLetterQueue) -> None:
    die(queue, THAW)

    letters.replay(Selection())
    again = letters.replay(Selection())

    assert again.replayed == []
    assert waiting(queue) == [THAW]


def test_attributes_travel_along_but_not_those_of_the_death(queue: Queue, letters: DeadLetterQueue) -> None:
    text = {"DataType": "String", "StringValue": "kept"}
    queue.sqs.send_message(
        QueueUrl=queue.dead_letters_url,
        MessageBody='{"detail-type":"RestoreCompleted.v1","detail":{}}',
        MessageAttributes={
            "mine": text,
            "RULE_ARN": text,
            "TARGET_ARN": text,
            "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        },
    )

    done = letters.replay(Selection())

    assert [(letter.name, letter.reason) for letter in done.replayed] == [("RestoreCompleted.v1", "NO_PERMISSIONS")]
    found = queue.sqs.receive_message(QueueUrl=queue.url, MessageAttributeNames=["All"])["Messages"][0]
    assert set(found["MessageAttributes"]) == {"mine"}


def test_what_nobody_understood_stays_with_its_reason_and_all_behind_it_goes(
    queue: Queue, letters: DeadLetterQueue
) -> None:
    SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep("not JSON", reason="not JSON: expected value")
    die(queue, THAW)

    done = letters.replay(Selection())

    assert [letter.body for letter in done.replayed] == [THAW]
    assert [(letter.name, letter.reason) for letter, _why in done.left] == [("?", "not JSON: expected value")]
    assert [letter.body for letter in letters.peek(limit=10)] == ["not JSON"]


def test_what_nobody_understood_goes_back_when_asked_for_and_without_its_old_reason(
    queue: Queue, letters: DeadLetterQueue
) -> None:
    SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep("not JSON", reason="not JSON: expected value")

    letters.replay(Selection(unreadable=True))

    found = queue.sqs.receive_message(QueueUrl=queue.url, MessageAttributeNames=["All"])["Messages"][0]
    assert found["Body"] == "not JSON"
    assert "MessageAttributes" not in found


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_message_that_dies_again_meanwhile_is_not_sent_again(
    queue: Queue, letters: DeadLetterQueue, unreadable: bool
) -> None:
    body = "not JSON" if unreadable else THAW
    if unreadable:
        SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep(body, reason="why")
    else:
        arn = queue.sqs.get_queue_attributes(QueueUrl=queue.dead_letters_url, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": "1"}
        queue.sqs.set_queue_attributes(
            QueueUrl=queue.url, Attributes={"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "0"}
        )
        die(queue, body)

    def consumer_fails(_letter: object) -> None:
        found = queue.sqs.receive_message(QueueUrl=queue.url)["Messages"][0]
        if unreadable:
            queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=found["ReceiptHandle"])
            SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep(found["Body"], reason="why")
        else:
            queue.sqs.receive_message(QueueUrl=queue.url)  # one receive too many: SQS moves it

    done = letters.replay(Selection(unreadable=unreadable), told=consumer_fails)

    assert len(done.replayed) == 1
    assert [why for _letter, why in done.left] == ["came back: it failed again"]
    assert [letter.body for letter in letters.peek(limit=10)] == [body]


def test_only_what_is_selected_goes(queue: Queue, letters: DeadLetterQueue) -> None:
    die(queue, THAW, PLAN, PLAN)
    chosen = next(letter for letter in letters.peek(limit=10) if letter.name == "PlanArchives.v1")

    by_id = letters.replay(Selection(message_ids=(chosen.message_id,)))
    by_name = letters.replay(Selection(names=("ThawFiles.v1",)))

    assert [letter.message_id for letter in by_id.replayed] == [chosen.message_id]
    assert [letter.body for letter in by_name.replayed] == [THAW]
    assert [letter.body for letter in letters.peek(limit=10)] == [PLAN]


def test_a_limit_holds_and_gives_the_rest_back_at_once(queue: Queue, letters: DeadLetterQueue) -> None:
    die(queue, *[THAW] * 12)

    done = letters.replay(Selection(limit=3))

    assert len(done.replayed) == 3
    assert queue.visible() == 3
    assert len(letters.peek(limit=20)) == 9


def test_a_dry_run_sends_nothing(queue: Queue, letters: DeadLetterQueue) -> None:
    die(queue, THAW)

    done = letters.replay(Selection(), dry_run=True)

    assert [letter.body for letter in done.replayed] == [THAW]
    assert queue.visible() == 0
    assert len(letters.peek(limit=10)) == 1


def test_large_messages_are_sent_in_batches_that_sqs_takes(queue: Queue, letters: DeadLetterQueue) -> None:
    bodies = [json.dumps({"type": "ThawFiles.v1", "pad": str(number) * 90_000}) for number in range(6)]
    die(queue, *bodies)

    done = letters.replay(Selection())

    assert len(done.replayed) == 6
    assert queue.visible() == 6


@pytest.mark.parametrize("contract", [*COMMANDS, *EVENTS], ids=lambda contract: str(contract.name))
def test_every_example_comes_back_as_it_was(contract: type, queue: Queue, letters: DeadLetterQueue) -> None:
    name = contract.name  # type: ignore[attr-defined]
    example = EXAMPLES / f"{name.replace(' ', '')}.json"
    body = example.read_text()
    die(queue, body)

    letters.replay(Selection())

    assert type(read_body(waiting(queue)[0], [contract])) is contract


@pytest.fixture
def glaciate(queue: Queue, tmp_path: Path) -> Command:
    urls = dict.fromkeys(("pack", "thaw", "unpack", "notify"), queue.url)
    urls |= {f"{name}_dlq": queue.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"] for name in tuple(urls)}
    urls["thaw_dlq"] = queue.dead_letters_url
    path = tmp_path / "local.json"
    functions = {
        name: {"name": f"glaciate-{name}", "dlq": queue.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]}
        for name in FUNCTIONS
    }
    there = {"aws_endpoint_url": "https://sqs.us-east-1.amazonaws.com", "queues": urls, "functions": functions}
    path.write_text(json.dumps(LOCAL | there))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--local-json", str(path)], catch_exceptions=False)

    return run


def test_the_list_shows_each_queue_its_messages_and_why_they_are_there(queue: Queue, glaciate: Command) -> None:
    die(queue, THAW)
    SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep('{"type":"Nonsense"}', reason="'Nonsense' is not a message")

    result = glaciate("dlq", "list")

    assert result.exit_code == 0
    assert "pack: 0 messages" in result.stdout.splitlines()
    assert "thaw: 2 messages" in result.stdout.splitlines()
    rows = [line.split("\t") for line in result.stdout.splitlines() if line.count("\t") == 4]
    assert [row[2] for row in rows] == ["message", "ThawFiles.v1", "unreadable"]
    assert rows[2][3:] == ["'Nonsense' is not a message", '{"type":"Nonsense"}']
    assert re.search(r"^The oldest was sent \d+ s ago\.$", result.stdout, re.MULTILINE)
    assert {line.partition(":")[0] for line in result.stdout.splitlines() if line.endswith(" messages")} == {
        *("pack", "thaw", "unpack", "notify"),
        *FUNCTIONS,
    }


def test_the_list_says_that_it_shows_a_part_only(queue: Queue, glaciate: Command) -> None:
    die(queue, *[THAW] * 3)

    result = glaciate("dlq", "list", "thaw", "--limit", "2")

    assert re.search(
        r"^The oldest of these was sent \d+ s ago\. 1 more; --limit shows more\.$", result.stdout, re.MULTILINE
    )


def test_the_list_is_one_document_for_scripts(queue: Queue, glaciate: Command) -> None:
    die(queue, THAW)

    listed = json.loads(glaciate("dlq", "list", "thaw", "pack", "--json").stdout)["queues"]

    assert [(entry["queue"], entry["count"]) for entry in listed] == [("thaw", 1), ("pack", 0)]
    assert listed[0]["messages"][0]["body"] == THAW
    assert listed[0]["oldest_sent_at"] == listed[0]["messages"][0]["sent_at"]
    assert listed[1]["oldest_sent_at"] is None


def test_a_local_cloud_of_an_older_version_says_what_to_do(glaciate: Command, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "functions"})
    )

    result = glaciate("dlq", "replay", "packer-launch")

    assert result.exit_code == 5
    assert "make up" in result.stderr


def test_replay_says_what_went_and_what_stayed(queue: Queue, glaciate: Command) -> None:
    die(queue, THAW)
    SqsDeadLetters(queue.sqs, queue.dead_letters_url).keep("x", reason="not JSON")

    would = glaciate("dlq", "replay", "thaw", "--dry-run")
    result = glaciate("dlq", "replay", "thaw")

    assert "thaw: would replay 1 message, 1 left" in would.stdout
    assert "thaw: replayed 1 message, 1 left" in result.stdout
    assert "unreadable; --unreadable replays it (not JSON)" in result.stdout
    assert waiting(queue) == [THAW]


def test_queues_that_are_gone_are_told_plainly(queue: Queue, glaciate: Command) -> None:
    queue.sqs.delete_queue(QueueUrl=queue.dead_letters_url)

    result = glaciate("dlq", "replay", "thaw", "--json")

    assert result.exit_code == 5
    assert "NonExistentQueue" in json.loads(result.stderr)["error"]["code"]
