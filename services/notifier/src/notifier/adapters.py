"""The notifier's ports over SNS and DynamoDB."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pynamodb.exceptions import DeleteError, DoesNotExist, PutError

from glaciate.errors import Busy
from glaciate.tables import ToldRow
from notifier.domain import Notice

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef, PublishInputTypeDef

DOCUMENT_ATTRIBUTE: Final = "json"
TELLING: Final = timedelta(minutes=2)  # longer than the function may run, shorter than its messages are hidden
REMEMBERED: Final = timedelta(days=90)  # no event can be replayed so late: dead letters are kept for 14 days


@dataclass(frozen=True, slots=True)
class SnsTopics:
    """SNS. The text is the message, for e-mail; attribute `json` holds the event for programs; the others serve filter policies."""

    sns: "SNSClient"

    def tell(self, topic_arn: str, notice: Notice) -> None:
        """Publishes; on a FIFO topic in order for each job or request, and once within SNS's five minutes."""
        attributes: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in (*notice.attributes, (DOCUMENT_ATTRIBUTE, notice.document))
        }
        message: PublishInputTypeDef = {
            "TopicArn": topic_arn,
            "Subject": notice.subject,
            "Message": notice.text,
            "MessageAttributes": attributes,
        }
        if topic_arn.endswith(".fifo"):
            message["MessageGroupId"] = notice.about
            message["MessageDeduplicationId"] = f"{notice.about}#{notice.fact}"
        self.sns.publish(**message)


def _item(notice: Notice) -> str:
    return f"told#{notice.fact}"


@dataclass(frozen=True, slots=True)
class DynamoTold:
    """Marker rows in the jobs table, beside the rows they are about."""

    now: Callable[[], datetime]

    def claim(self, notice: Notice) -> bool:
        """Whether this fact is ours to tell: by a conditional write, for longer than a function runs.

        Raises:
            Busy: another call holds it.
        """
        now = self.now()
        row = ToldRow(notice.about, _item(notice), telling_until=now + TELLING, expires_at=now + REMEMBERED)
        nobody_tells_it = ToldRow.telling_until < now
        free = ToldRow.id.does_not_exist() | (ToldRow.told_at.does_not_exist() & nobody_tells_it)
        try:
            row.save(condition=free)
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
        else:
            return True
        try:
            there = ToldRow.get(notice.about, _item(notice), consistent_read=True)
        except DoesNotExist:
            there = row
        if there.told_at is None:
            msg = f"another call is telling {notice.fact} of {notice.about}"
            raise Busy(msg)
        return False

    def give_back(self, notice: Notice) -> None:
        """Deletes the row, unless it was told after all."""
        with suppress(DeleteError):  # told by another, or not to be had now: the claim runs out by itself
            ToldRow(notice.about, _item(notice)).delete(condition=ToldRow.told_at.does_not_exist())

    def note(self, notice: Notice) -> None:
        """Writes the row, over another if there is one."""
        now = self.now()
        ToldRow(notice.about, _item(notice), told_at=now, expires_at=now + REMEMBERED).save()
