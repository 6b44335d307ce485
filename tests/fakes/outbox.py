"""Stand-ins for queues and the bus that keep what they were given, and can refuse it."""

from dataclasses import dataclass, field

from glaciate.contracts import Command, Event
from glaciate.errors import Transient


@dataclass
class FakeCommandQueue:
    """A queue. `refusals`: how many of the next sends fail."""

    sent: list[Command] = field(default_factory=list)
    refusals: int = 0

    def send(self, *commands: Command) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the queue takes nothing"
            raise Transient(msg)
        self.sent.extend(commands)


@dataclass
class FakeEventBus:
    """A bus. `refusals`: how many of the next calls fail."""

    told: list[Event] = field(default_factory=list)
    refusals: int = 0

    def publish(self, *events: Event) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the bus takes nothing"
            raise Transient(msg)
        self.told.extend(events)
