"""What is wanted of an archive, and what became of it."""

from dataclasses import dataclass, field
from typing import Literal

from glaciate.names import RequestId
from glaciate.parts import FileResult, WantedFile


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """One file that one request wants; each is itself, and equal to no other."""

    request_id: RequestId
    file: WantedFile


@dataclass(slots=True)
class Outcomes:
    """What became of each want so far. Threads add to it, each want by one of them only."""

    _reasons: dict[Want, str | None] = field(default_factory=dict)

    def restored(self, want: Want) -> None:
        """It is there, complete and equal."""
        self._reasons[want] = None

    def failed(self, want: Want, reason: str) -> None:
        """It will not come, and why."""
        self._reasons[want] = reason

    def knows(self, want: Want) -> bool:
        """Whether anything became of it yet."""
        return want in self._reasons

    def result(self, want: Want) -> FileResult:
        """What the part's result says of it."""
        reason = self._reasons[want]
        file = want.file
        state: Literal["RESTORED", "FAILED"] = "RESTORED" if reason is None else "FAILED"
        return FileResult(file.key, file.destination, state, file.size, reason, file.bucket)
