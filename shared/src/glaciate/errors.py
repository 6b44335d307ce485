"""The error tree: what a failure means for the message, and for the caller.

    GlaciateError
    ├── Transient     leave the message on the queue: it may work later
    │   └── Busy      somebody else holds it; come back after a while
    ├── Permanent     recorded and announced by the use case: drop the message
    ├── Unreadable    a message nobody can understand: to the dead letters, with the reason
    └── Problem       the caller's mistake: an HTTP status, a code and what to do about it

Everything else is a bug: let it rise; the message comes back, and in the end the dead-letter queue and its alarm keep it.
"""

from http import HTTPStatus
from typing import Any


class GlaciateError(Exception):
    """The root of every error this project raises on purpose."""


class Transient(GlaciateError):
    """It may work later: the message stays on its queue, hidden for `retry_after_seconds` if given."""

    def __init__(self, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Busy(Transient):
    """Another worker holds a live lease."""


class Permanent(GlaciateError):
    """It will never work, and the use case has recorded so: the message is dropped."""


class Unreadable(GlaciateError):
    """A message that no consumer of its queue understands."""


class Problem(GlaciateError):
    """What an API call answers instead of a result: `{"error": {"code", "message", "details"}}`.

    `details` is JSON: objects, lists, texts and numbers that help to mend the call.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """The answer's body."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"error": error}


def invalid(message: str, details: Any = None) -> Problem:
    """400: the body is not what the call takes."""
    return Problem(HTTPStatus.BAD_REQUEST, "InvalidRequest", message, details)


def forbidden(code: str, message: str, details: Any = None) -> Problem:
    """403: the project's configuration does not allow it."""
    return Problem(HTTPStatus.FORBIDDEN, code, message, details)


def not_found(code: str, message: str, details: Any = None) -> Problem:
    """404: no such job, request, project or file."""
    return Problem(HTTPStatus.NOT_FOUND, code, message, details)


def conflict(code: str, message: str, details: Any = None) -> Problem:
    """409: it contradicts what is there already."""
    return Problem(HTTPStatus.CONFLICT, code, message, details)


def unprocessable(code: str, message: str, details: Any = None) -> Problem:
    """422: well-formed, but it cannot be done as asked."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, message, details)
