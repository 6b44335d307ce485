"""What a gap is."""

from collections.abc import Callable
from dataclasses import dataclass

from glaciate_local.settings import LocalSettings


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing AWS does that MiniStack does not, and what fills it in."""

    name: str
    what_aws_does: str
    fill: Callable[[LocalSettings], None]
