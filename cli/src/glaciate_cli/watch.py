"""Following a job or a request until it ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from glaciate_cli.api import Document, GlaciateApi
from glaciate_cli.errors import Unreachable
from glaciate_cli.screen import Screen
from glaciate_cli.views import Progress, has_ended

_SHORTEST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 15.0
_SILENCE_SECONDS: Final = 600.0  # a thaw takes hours: a connection that fails for a while must not end the watch


@dataclass(frozen=True, slots=True)
class Watch:
    """Asks for the status again and again: often at first, less often the longer it takes."""

    api: GlaciateApi
    screen: Screen
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def __call__(self, identifier: str, *, at_most_seconds: float | None = None) -> Document:
        """The status at the end, or after `at_most_seconds`.

        Raises:
            Refused: there is no such job or request.
            Unreachable: nobody has answered for ten minutes, or from the start.
        """
        started = answered = self.now()
        document: Document | None = None
        with self.screen.following(Progress(identifier)) as follower:
            while True:
                try:
                    document = self.api.status(identifier)
                    answered = self.now()
                    follower.show(document)
                except Unreachable:
                    if document is None or self.now() - answered > _SILENCE_SECONDS:
                        raise
                waited = self.now() - started
                if document is not None and (
                    has_ended(document) or (at_most_seconds is not None and waited >= at_most_seconds)
                ):
                    return document
                pause = min(max(waited / 20, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
                self.pause(pause if at_most_seconds is None else min(pause, max(at_most_seconds - waited, 0.0)))
