"""Tell people what became of their jobs and requests, once."""

from dataclasses import dataclass

from glaciate.errors import Transient
from glaciate.telemetry import count, logger
from notifier.domain import TellableEvent, notice_of
from notifier.ports import Told, Topics


class TopicNotAllowed(Transient):
    """An event names a topic that is neither the stack's nor configured; kept until somebody has mended one or the other."""


@dataclass(frozen=True, slots=True)
class TellPeople:
    """Sends one message for each fact about a job or request, however often its event comes.

    What was told is noted after telling: a crash between the two tells people twice, never not at all. Two copies of an event that
    come at the same moment do not: one of them waits.
    """

    topics: Topics
    told: Told
    allowed: frozenset[str]

    def __call__(self, event: TellableEvent) -> None:
        """Tells people about an event.

        Raises:
            TopicNotAllowed: the event stays on its queue and in the end among the dead letters, whose alarm says so.
            Busy: a copy of the event is being told.
        """
        if event.topic_arn not in self.allowed:
            msg = f"{event.topic_arn} is neither the stack's topic nor among the configured ones"
            raise TopicNotAllowed(msg)
        notice = notice_of(event)
        if not self.told.claim(notice):
            logger().info("told already", extra={"about": notice.about, "fact": notice.fact})
            return
        try:
            self.topics.tell(event.topic_arn, notice)
        except Exception:
            self.told.give_back(notice)
            raise
        self.told.note(notice)
        logger().info("told", extra={"about": notice.about, "fact": notice.fact, "topic_arn": event.topic_arn})
        count("NotificationSent")
