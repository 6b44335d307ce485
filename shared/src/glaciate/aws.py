"""boto3 clients, each made on first use and once, with time-outs and retries that suit work that will come back anyway."""

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

_Service = Literal["batch", "dynamodb", "events", "s3", "sns", "sqs"]


def _client(service: _Service, **options: Any) -> Any:
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5}, **options
    )
    return boto3.client(service, config=config)


@cache
def s3() -> "S3Client":
    """S3."""
    client: S3Client = _client("s3", max_pool_connections=64)
    return client


@cache
def sqs() -> "SQSClient":
    """SQS."""
    client: SQSClient = _client("sqs")
    return client


@cache
def events() -> "EventBridgeClient":
    """EventBridge."""
    client: EventBridgeClient = _client("events")
    return client


@cache
def dynamodb() -> "DynamoDBClient":
    """DynamoDB, for the hot path of index rows; everything else goes through the models."""
    client: DynamoDBClient = _client("dynamodb", max_pool_connections=32)
    return client


@cache
def batch() -> "BatchClient":
    """Batch."""
    client: BatchClient = _client("batch")
    return client


@cache
def sns() -> "SNSClient":
    """SNS."""
    client: SNSClient = _client("sns")
    return client
