"""A queue and its dead letters, with the questions tests ask of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Queue:
    """A queue and its dead letters."""

    sqs: "SQSClient"
    url: str
    dead_letters_url: str

    def put(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def visible(self) -> int:
        return self._count(self.url, "ApproximateNumberOfMessages")

    def hidden(self) -> int:
        return self._count(self.url, "ApproximateNumberOfMessagesNotVisible")

    def dead(self) -> list[tuple[str, str]]:
        """Bodies and reasons of the dead letters."""
        answer = self.sqs.receive_message(
            QueueUrl=self.dead_letters_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            (found["Body"], found["MessageAttributes"]["reason"]["StringValue"]) for found in answer.get("Messages", [])
        ]

    def _count(self, url: str, name: str) -> int:
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"][name])  # type: ignore[index]
