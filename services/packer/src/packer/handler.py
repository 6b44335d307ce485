"""Lambda: keep enough pack workers running for the queue."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.launcher import announces_work
from glaciate.telemetry import entry_point
from packer import bootstrap


@entry_point
def launch(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """On `ArchiveJobAccepted.v1`, and every minute."""
    return {"started": bootstrap.launcher()(announced=announces_work(event))}
