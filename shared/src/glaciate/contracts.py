"""What messages and events have in common: frozen, small, versioned by name, and aware of who makes and who takes them."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from glaciate.errors import Unreadable

CorrelationId = str


class Contract(BaseModel):
    """A command or a fact. `name` carries the version; additive optional fields keep it, anything else is a `.v2` beside it."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64")

    name: ClassVar[str]
    producers: ClassVar[tuple[str, ...]]
    consumers: ClassVar[tuple[str, ...]]

    correlation_id: CorrelationId = Field(description="travels from the API call to the e-mail", max_length=128)


class Command(Contract):
    """What a queue's message asks for. On the queue: the fields, and `type` with the contract's name."""

    queue: ClassVar[str]

    def to_body(self) -> str:
        """The message's body."""
        return to_json({"type": self.name, **self.model_dump(mode="json")}).decode()


class Event(Contract):
    """A fact on the bus: `detail-type` is the contract's name, `detail` its fields."""

    @classmethod
    def from_envelope(cls, envelope: Mapping[str, Any]) -> Self:
        """Reads the event out of what EventBridge delivers.

        Raises:
            ValidationError: the detail is not this event's.
        """
        return cls.model_validate(envelope["detail"])


class ForeignEvent(Event):
    """A fact that AWS tells, read into our words."""


def read_body(body: str, contracts: Iterable[type[Contract]]) -> Contract:
    """Reads a queue's message: a command, or an event as EventBridge delivers it.

    Raises:
        Unreadable: not JSON, no name, a name that is not among `contracts`, or fields that do not fit; the reason says which.
    """
    by_name = {contract.name: contract for contract in contracts}
    try:
        document = from_json(body)
    except ValueError as error:
        msg = f"not JSON: {error}"
        raise Unreadable(msg) from error
    if not isinstance(document, dict):
        msg = f"not a JSON object but {type(document).__name__}"
        raise Unreadable(msg)
    name = document.get("detail-type", document.get("type"))
    contract = by_name.get(name) if isinstance(name, str) else None
    if contract is None:
        msg = f"{name!r} is not a message of this queue, which takes {', '.join(sorted(by_name))}"
        raise Unreadable(msg)
    try:
        if issubclass(contract, Event):
            return contract.from_envelope(document)
        return contract.model_validate(document)
    except (ValidationError, KeyError, TypeError) as error:
        msg = f"not a {name}: {error}"
        raise Unreadable(msg) from error


__all__ = [
    "Command",
    "Contract",
    "CorrelationId",
    "Event",
    "ForeignEvent",
    "S3EventBridgeNotificationEvent",
    "read_body",
]
