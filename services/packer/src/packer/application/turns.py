"""A command for each of many archives: some now, and a command to go on."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from glaciate.contracts import Command
from glaciate.outbox import CommandQueue

ASKED_FOR_AT_ONCE: Final = 10_000  # archives a message; then it goes on by another


class Placed(Protocol):
    """Something that stands in an order."""

    @property
    def place(self) -> Any:
        """Where."""


Found = TypeVar("Found", bound=Placed)


def send_in_turns(
    queue: CommandQueue, found: Iterator[Found], command: Callable[[Found], Command], message: Command, *, at_once: int
) -> int:
    """Sends the commands for the first `at_once`, and `message` again with `after` where it is to go on. How many it sent."""
    now = tuple(islice(found, at_once))
    queue.send(*map(command, now))
    if now and next(found, None) is not None:
        queue.send(message.model_copy(update={"after": now[-1].place}))
    return len(now)
