"""Lambda: keeps enough unpack workers running."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.launcher import announces_work
from glaciate.telemetry import entry_point
from unpacker import bootstrap


@entry_point
def launch(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Runs on every event that announces work, and every minute."""
    return {"started": bootstrap.keep_workers_running()(announced=announces_work(event))}
