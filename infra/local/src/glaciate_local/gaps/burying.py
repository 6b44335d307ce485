"""Puts what could not be delivered into a dead-letter queue."""

from collections.abc import Mapping

from ministack.core.arn import parse_arn
from ministack.services import eventbridge, sqs

from glaciate_local.gaps.on_loop import on_loop


@on_loop
def bury(dead_letters_arn: str, body: str, told: Mapping[str, str]) -> None:
    """A message in the queue, which exists, with what is told of its death as string attributes."""
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items() if value}
    eventbridge._dispatch_to_sqs(parse_arn(dead_letters_arn), body)
    message = sqs._queue_by_arn(dead_letters_arn)["messages"][-1]
    message |= {"message_attributes": attributes, "md5_attrs": sqs._md5_msg_attrs(attributes)}
