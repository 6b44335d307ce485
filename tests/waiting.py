"""Waiting by watching."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(awaited: str, look: Callable[[], Found | None], *, seconds: float = 60, every_seconds: float = 0.2) -> Found:
    """What `look` finds, as soon as it finds something.

    Raises:
        AssertionError: nothing in time; names what was awaited.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            msg = f"not seen within {seconds:.0f} s: {awaited}"
            raise AssertionError(msg)
        time.sleep(every_seconds)
