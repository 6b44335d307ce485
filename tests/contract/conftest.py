"""AWS as moto plays it, in process."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from fakes.aws import client
from fakes.queue import Queue


@pytest.fixture
def queue() -> Iterator[Queue]:
    with mock_aws():
        sqs = client("sqs")
        yield Queue(
            sqs,
            sqs.create_queue(QueueName="work")["QueueUrl"],
            sqs.create_queue(QueueName="work-dead-letters")["QueueUrl"],
        )
