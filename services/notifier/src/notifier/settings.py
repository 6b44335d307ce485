"""What the notifier reads from its environment."""

from glaciate.settings import Settings


class NotifierSettings(Settings):
    """The notify queue's consumer."""

    jobs_table: str
    notify_dead_letters_url: str
    topic_arn: str
    project_topics: str = ""  # ARNs, separated by commas: those that projects may name besides the stack's own

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that may be told anything."""
        configured = (arn.strip() for arn in self.project_topics.split(","))
        return frozenset({self.topic_arn, *(arn for arn in configured if arn)})
