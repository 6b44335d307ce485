"""Telling and remembering: the fakes keep the same promises as SNS and DynamoDB, and SNS takes what is told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from fakes.aws import make_tables
from fakes.notifier import FakeTold
from fakes.told_events import job_ended, restore_ended
from glaciate.errors import Busy
from glaciate.events import FailedFile, Outcome
from glaciate.tables import ToldRow, bind
from notifier.adapters import DynamoTold, SnsTopics
from notifier.domain import notice_of
from notifier.ports import Told

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 7, 1, tzinfo=UTC)]


@pytest.fixture(params=["fake", "dynamodb"])
def told(request: pytest.FixtureRequest, clock: list[datetime]) -> Iterator[Told]:
    if request.param == "fake":
        yield FakeTold(now=lambda: clock[0])
        return
    with mock_aws():
        bind(jobs="jobs")
        make_tables(ToldRow)
        yield DynamoTold(lambda: clock[0])


def test_a_fact_that_was_noted_is_never_told_again_and_others_are(told: Told, clock: list[datetime]) -> None:
    notice = notice_of(job_ended())
    others = [notice_of(job_ended(Outcome.FAILED)), replace(notice, about="1n4a0a02swe7")]
    assert told.claim(notice)

    told.note(notice)
    told.note(notice)
    clock[0] += timedelta(days=1)

    assert not told.claim(notice)
    assert all(told.claim(other) for other in others)


def test_what_was_given_back_may_be_told_at_once_but_not_what_was_told(told: Told) -> None:
    notice = notice_of(job_ended())
    assert told.claim(notice)

    told.give_back(notice)

    assert told.claim(notice)
    told.note(notice)
    told.give_back(notice)
    assert not told.claim(notice)


def test_while_a_fact_is_being_told_others_wait_and_one_takes_over_from_a_teller_that_died(
    told: Told, clock: list[datetime]
) -> None:
    notice = notice_of(job_ended())
    assert told.claim(notice)

    with pytest.raises(Busy):
        told.claim(notice)
    clock[0] += timedelta(minutes=3)

    assert told.claim(notice)
    with pytest.raises(Busy):
        told.claim(notice)


def published(*, fifo: bool) -> "list[MessageTypeDef]":
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    suffix = ".fifo" if fifo else ""
    topic = sns.create_topic(Name=f"glaciate{suffix}", Attributes={"FifoTopic": "true"} if fifo else {})["TopicArn"]
    queue = sqs.create_queue(QueueName=f"people{suffix}", Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    failure = FailedFile(key="Übersicht \x01 日本.csv", reason="damaged")

    SnsTopics(sns).tell(topic, notice_of(restore_ended(Outcome.PARTIAL, failed=1, failures=(failure,))))

    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"]
    )
    return answer["Messages"]


def test_a_subscriber_gets_text_subject_and_attributes() -> None:
    with mock_aws():
        [message] = published(fifo=False)

    told = json.loads(message["Body"])
    attributes = {name: value["Value"] for name, value in told["MessageAttributes"].items()}
    assert told["Subject"] == "Restored in part: demo logs/2026/*"
    assert "Übersicht \\u0001 日本.csv: damaged" in told["Message"]
    assert (attributes["event"], attributes["outcome"], attributes["id"]) == (
        "RestoreCompleted.v1",
        "PARTIAL",
        "r-1n4a0a02swe6",
    )
    assert json.loads(attributes["json"])["failures"] == [
        {"key": "Übersicht \x01 日本.csv", "reason": "damaged", "files": 1}
    ]


def test_a_fifo_topic_is_told_in_order_and_once() -> None:
    with mock_aws():
        [message] = published(fifo=True)

    assert message["Attributes"] == {
        "MessageGroupId": "r-1n4a0a02swe6",
        "MessageDeduplicationId": "r-1n4a0a02swe6#RestoreCompleted.v1#PARTIAL",
    }
