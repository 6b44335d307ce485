"""Lambda: keep enough pack workers running for the queue."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from packer import bootstrap


def launch(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """On `ArchiveJobAccepted.v1`, and every minute."""
    del event, context
    return {"started": bootstrap.launcher()()}
