"""Stand-ins for the notifier's ports; they pass the same contract suite as SNS and DynamoDB."""

from dataclasses import dataclass, field

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

    def knows(self, notice: Notice) -> bool:
        return (notice.about, notice.fact) in self.facts

    def note(self, notice: Notice) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the table is gone"
            raise ConnectionError(msg)
        self.facts.add((notice.about, notice.fact))
