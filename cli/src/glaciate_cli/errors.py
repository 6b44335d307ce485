"""How a command ends: its exit code, and the failures that are expected and shown without a stack trace.

CommandFailed
├── Refused          the API answered with a problem: exit 1
├── NotConfigured    no deployment, project or queue to speak to: exit 5
└── Unreachable      no answer, or credentials that nobody takes: exit 5
"""

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """What a script learns from a command's end; documented in docs/command.md."""

    FINE = 0
    REFUSED = 1
    USAGE = 2
    ENDED_FAILED = 3
    ENDED_PARTIAL = 4
    NO_ANSWER = 5
    STILL_RUNNING = 6
    INTERRUPTED = 130


class CommandFailed(Exception):
    """An expected failure: `message` is for people, `code` and `details` for both."""

    exit_code = Exit.NO_ANSWER

    def __init__(self, message: str, *, code: str, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details

    def body(self) -> dict[str, Any]:
        """The failure as the API words its problems."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"error": error}


class Refused(CommandFailed):
    """The API understood the call and said no."""

    exit_code = Exit.REFUSED

    def __init__(self, status: int, message: str, *, code: str, details: Any = None) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status


class NotConfigured(CommandFailed):
    """The command does not know where to go."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="NotConfigured")


class Unreachable(CommandFailed):
    """Nobody answered, or nobody takes the credentials."""

    def __init__(self, message: str, *, code: str = "Unreachable") -> None:
        super().__init__(message, code=code)
