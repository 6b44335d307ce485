"""The notifier from SQS's event to what a subscriber of the topic gets, over moto."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from fakes.aws import make_tables
from fakes.executioner import before_boto3
from fakes.lambda_context import FakeLambdaContext
from fakes.told_events import job_ended, restore_accepted, restore_ended
from faults import Killed
from glaciate import aws
from glaciate.contracts import Event
from glaciate.errors import Busy
from glaciate.events import Outcome
from glaciate.names import JobId
from glaciate.tables import ToldRow, bind
from notifier import bootstrap, handler
from notifier.adapters import TELLING, DynamoTold

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Stack:
    """What the notifier talks to."""

    sqs: "SQSClient"
    topic_arn: str
    people_url: str
    dead_letters_url: str

    def notify(self, *bodies: str) -> Any:
        records = [
            {"messageId": str(number), "body": body, "eventSource": "aws:sqs"} for number, body in enumerate(bodies)
        ]
        return handler.notify({"Records": records}, FakeLambdaContext())

    def mails(self) -> list[str]:
        return [json.loads(body)["Subject"] for body in self._take(self.people_url)]

    def dead(self) -> list[str]:
        return self._take(self.dead_letters_url)

    def _take(self, url: str) -> list[str]:
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]


def forget() -> None:
    for made_once in (bootstrap.settings, bootstrap.tell_people, bootstrap.dead_letters, aws.sns, aws.sqs):
        made_once.cache_clear()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mock_aws():
        forget()
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name="glaciate")["TopicArn"]
        people = sqs.create_queue(QueueName="people")["QueueUrl"]
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        people_arn = sqs.get_queue_attributes(QueueUrl=people, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=people_arn)
        bind(jobs="jobs")
        make_tables(ToldRow)
        for name, value in {"JOBS_TABLE": "jobs", "NOTIFY_DEAD_LETTERS_URL": dead, "TOPIC_ARN": topic}.items():
            monkeypatch.setenv(name, value)
        yield Stack(sqs, topic, people, dead)
    forget()


def delivered(event: Event) -> str:
    """An event as EventBridge puts it onto a queue."""
    return json.dumps(
        {"detail-type": event.name, "source": "glaciate", "detail": json.loads(event.model_dump_json()), "id": "1"}
    )


def test_events_become_mails_once_each(stack: Stack) -> None:
    events = [
        delivered(event)
        for event in (
            job_ended(topic_arn=stack.topic_arn),
            restore_accepted(topic_arn=stack.topic_arn),
            restore_ended(Outcome.PARTIAL, topic_arn=stack.topic_arn, failed=1),
        )
    ]

    answers = [stack.notify(*events), stack.notify(*reversed(events))]

    assert [answer["batchItemFailures"] for answer in answers] == [[], []]
    assert sorted(stack.mails()) == [
        "Archived: demo s3://source-bucket/logs/2026/",
        "Restore accepted: demo a.csv, logs/2026/b.csv",
        "Restored in part: demo logs/2026/*",
    ]


def test_what_cannot_be_told_or_understood_hinders_nothing_behind_it(stack: Stack) -> None:
    gone = f"{stack.topic_arn}-gone"
    bootstrap.settings.cache_clear()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PROJECT_TOPICS", gone)
        answer = stack.notify(
            "nonsense",
            delivered(job_ended(topic_arn="arn:aws:sns:us-east-1:999999999999:elsewhere")),
            delivered(job_ended(topic_arn=gone)),
            delivered(job_ended(topic_arn=stack.topic_arn)),
        )

    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["1", "2"]
    assert stack.dead() == ["nonsense"]
    assert stack.mails() == ["Archived: demo s3://source-bucket/logs/2026/"]


def test_a_death_before_any_call_costs_time_and_no_message(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message comes back when it is hidden no longer, which is later than the claim of the one who died runs out."""
    executioner = before_boto3("the notifier", monkeypatch)
    now = datetime(2026, 7, 1, tzinfo=UTC)
    tell = replace(bootstrap.tell_people(), told=DynamoTold(lambda: now))
    deaths, died = 0, True
    while died:
        event = job_ended(topic_arn=stack.topic_arn, job_id=JobId(f"01aaaaa0{deaths:04}"))
        executioner.arm(deaths)
        try:
            tell(event)
            died = False
        except Killed:
            executioner.arm(None)
            with suppress(Busy):  # a copy of the event that comes at once: it waits, or finds nothing claimed
                tell(event)
            now += 2 * TELLING
            tell(event)
        executioner.arm(None)
        assert 1 <= len(stack.mails()) <= (2 if died else 1)  # twice where it died between telling and noting
        tell(event)
        assert stack.mails() == []
        deaths += died

    assert deaths >= 3
