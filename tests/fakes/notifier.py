"""Stand-ins for the notifier's ports; they pass the same contract suite as SNS and DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from glaciate.errors import Busy
from notifier.adapters import TELLING
from notifier.domain import Notice


@dataclass
class FakeTopics:
    """Topics that keep what was told. `refusals`: how many of the next calls fail."""

    told: list[tuple[str, Notice]] = field(default_factory=list)
    refusals: int = 0

    def tell(self, topic_arn: str, notice: Notice) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "nobody is listening"
            raise ConnectionError(msg)
        self.told.append((topic_arn, notice))


@dataclass
class FakeTold:
    """Markers in memory. `refusals`: how many of the next notes fail."""

    facts: set[tuple[str, str]] = field(default_factory=set)
    refusals: int = 0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    claims: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def claim(self, notice: Notice) -> bool:
        fact = (notice.about, notice.fact)
        if fact in self.facts:
            return False
        if fact in self.claims and self.claims[fact] >= self.now():
            msg = "somebody is telling it"
            raise Busy(msg)
        self.claims[fact] = self.now() + TELLING
        return True

    def give_back(self, notice: Notice) -> None:
        self.claims.pop((notice.about, notice.fact), None)

    def note(self, notice: Notice) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the table is gone"
            raise ConnectionError(msg)
        self.facts.add((notice.about, notice.fact))
