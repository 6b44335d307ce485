"""How much of what an ended restore did not bring fits where it is told: into the event, the text, the JSON for programs."""

import json
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from glaciate.events import FailedFile

# SNS takes 256 KB, and a message holds the lists twice: in its text, and as JSON. The other 48 KiB are for everything else it says.
LISTS_BYTES: Final = 104 * 1024

T = TypeVar("T", str, FailedFile)


def that_fit(
    missing: tuple[str, ...],
    failures: Iterable[FailedFile],
    *,
    room: int,
    size: Callable[[str | FailedFile], int],
) -> tuple[tuple[str, ...], tuple[FailedFile, ...]]:
    """The first of both that take `room` bytes together: each has half of it if it needs so much, and what the other leaves.

    Of `failures` no more is read than is told, and one more.
    """
    for_missing = min(sum(map(size, missing)), room // 2)
    failed = _first(failures, room - for_missing, size)
    return _first(missing, room - sum(map(size, failed)), size), failed


def _first(items: Iterable[T], room: int, size: Callable[[T], int]) -> tuple[T, ...]:
    chosen: list[T] = []
    for item in items:
        room -= size(item)
        if room < 0:
            break
        chosen.append(item)
    return tuple(chosen)


def size_as_json(item: str | FailedFile) -> int:
    """The bytes it takes in a list of ASCII JSON."""
    return len(json.dumps(item if isinstance(item, str) else item.model_dump())) + len(", ")
