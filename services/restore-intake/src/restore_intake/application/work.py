"""Pieces of work: how much one message does, and that what fails keeps nothing else waiting."""

from collections.abc import Callable, Iterable
from typing import Final

from glaciate.telemetry import logger

ARCHIVES_PER_MESSAGE: Final = 50


def do_each(steps: Iterable[Callable[[], object]]) -> None:
    """Does every step, whatever becomes of the others, and then raises what was raised first."""
    failures: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as failure:  # noqa: BLE001 - it is raised when the others have had their turn
            logger().warning("failed; the others go on", extra={"reason": str(failure)}, exc_info=True)
            failures.append(failure)
    if failures:
        raise failures[0]
