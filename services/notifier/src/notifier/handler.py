"""Lambda: tell people what became of their jobs and requests."""

from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.events import (
    ArchiveJobCompleted,
    RestoreAccepted,
    RestoreCompleted,
    RestoreExpiryApproached,
    SourcesDeleted,
)
from glaciate.lambda_queue import consume
from glaciate.telemetry import entry_point
from notifier import bootstrap


@entry_point
def notify(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """The notify queue."""
    tell = bootstrap.tell_people()
    return consume(
        event,
        context,
        use_cases={
            ArchiveJobCompleted: tell,
            SourcesDeleted: tell,
            RestoreAccepted: tell,
            RestoreCompleted: tell,
            RestoreExpiryApproached: tell,
        },
        dead_letters=bootstrap.dead_letters(),
    )
