"""Builds the use case, once, on first use."""

from datetime import UTC, datetime
from functools import cache

from glaciate import aws, tables
from glaciate.outbox import SqsDeadLetters
from notifier.adapters import DynamoTold, SnsTopics
from notifier.application import TellPeople
from notifier.settings import NotifierSettings


@cache
def settings() -> NotifierSettings:
    """What the environment says."""
    return NotifierSettings()


@cache
def tell_people() -> TellPeople:
    """Tells people about events."""
    tables.bind(jobs=settings().jobs_table)
    return TellPeople(SnsTopics(aws.sns()), DynamoTold(lambda: datetime.now(UTC)), settings().topics)


@cache
def dead_letters() -> SqsDeadLetters:
    """Where messages go that nobody understands."""
    return SqsDeadLetters(aws.sqs(), settings().notify_dead_letters_url)
