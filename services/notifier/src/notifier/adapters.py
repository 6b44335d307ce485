"""The notifier's ports over SNS and DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pynamodb.exceptions import DoesNotExist

from glaciate.tables import ToldRow
from notifier.domain import Notice

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef, PublishInputTypeDef

DOCUMENT_ATTRIBUTE: Final = "json"
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

    def knows(self, notice: Notice) -> bool:
        """Read consistently."""
        try:
            ToldRow.get(notice.about, _item(notice), consistent_read=True)
        except DoesNotExist:
            return False
        return True

    def note(self, notice: Notice) -> None:
        """Writes the row, over another if there is one."""
        now = self.now()
        ToldRow(notice.about, _item(notice), told_at=now, expires_at=now + REMEMBERED).save()
