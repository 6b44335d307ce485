"""Consuming a queue in Lambda: one use case for each message, partial failures, unreadable messages kept with their reason."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.contracts import Contract, read_body
from glaciate.errors import Permanent, Transient, Unreadable
from glaciate.outbox import SqsDeadLetters
from glaciate.telemetry import correlated, count, logger

UseCases = Mapping[type[Contract], Callable[[Any], None]]


def consume(
    event: dict[str, Any], context: LambdaContext, *, use_cases: UseCases, dead_letters: SqsDeadLetters
) -> PartialItemFailureResponse:
    """Handles a batch of SQS records and answers which of them failed; the others are gone from the queue.

    `Permanent` is recorded by the use case and drops the message; whatever else rises leaves it on the queue.
    """

    def handle(record: SQSRecord) -> None:
        try:
            message = read_body(record.body, use_cases)
        except Unreadable as unreadable:
            logger().error("message not understood", extra={"message_id": record.message_id, "reason": str(unreadable)})
            count("MessageUnreadable")
            dead_letters.keep(record.body, reason=str(unreadable))
            return
        with correlated(message.correlation_id):
            try:
                use_cases[type(message)](message)
            except Permanent as failure:
                logger().error("failed for good", extra={"message_name": message.name, "reason": str(failure)})
            except Transient as failure:
                logger().warning("will be tried again", extra={"message_name": message.name, "reason": str(failure)})
                raise
            except Exception:
                logger().exception("failed unexpectedly", extra={"message_name": message.name})
                raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)
