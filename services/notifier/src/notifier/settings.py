"""What the notifier reads from its environment."""

from glaciate.settings import Settings


class NotifierSettings(Settings):
    """The notify queue's consumer."""

    jobs_table: str
    notify_dead_letters_url: str
    topic_arn: str
