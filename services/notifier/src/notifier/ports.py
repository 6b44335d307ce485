"""What the notifier needs of the world."""

from typing import Protocol

from notifier.domain import Notice


class Topics(Protocol):
    """Where people listen."""

    def tell(self, topic_arn: str, notice: Notice) -> None:
        """Tells everybody who listens to a topic."""


class Told(Protocol):
    """What people were told already."""

    def claim(self, notice: Notice) -> bool:
        """Whether this fact about this job or request is now ours to tell; False where it was told.

        Raises:
            Busy: somebody else is telling it now, and may yet fail to.
        """

    def give_back(self, notice: Notice) -> None:
        """Lets another tell what was claimed and could not be told."""

    def note(self, notice: Notice) -> None:
        """Remembers that it was. Twice is as good as once."""
