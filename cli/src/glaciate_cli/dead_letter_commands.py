"""`glaciate dlq`: commands for operators, over SQS with the caller's own AWS credentials."""

from typing import Final

import click

from glaciate_cli.context import Invocation, glaciate_command
from glaciate_cli.dead_letters import DeadLetter, DeadLetterQueue, Selection
from glaciate_cli.deployment import QUEUES
from glaciate_cli.errors import Exit
from glaciate_cli.screen import shorten

_EXCERPT: Final = 160


@click.group()
def dlq() -> None:
    """Look at dead letters, and send them back to their queues."""


@dlq.command("list")
@click.argument("queues", nargs=-1, type=click.Choice(QUEUES), metavar="[QUEUE]...")
@click.option(
    "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Messages shown of each queue."
)
@glaciate_command
def list_dead_letters(invocation: Invocation, *, queues: tuple[str, ...], limit: int) -> Exit:
    """What lies in the dead letters of each QUEUE (pack, thaw, unpack, notify; all unless named), and why."""
    deployment, screen = invocation.deployment(), invocation.screen
    sqs = deployment.sqs()
    documents = []
    for name in queues or QUEUES:
        letters = DeadLetterQueue(sqs, deployment.queue(name))
        shown = letters.peek(limit=limit)
        count = max(letters.count(), len(shown))
        documents.append({"queue": name, "count": count, "messages": [letter.document() for letter in shown]})
        if not screen.as_json:
            screen.say(f"{name}: {_messages(count)}")
            if shown:
                screen.table(("sent", "message id", "message", "reason", "body"), [_row(letter) for letter in shown])
            if count > len(shown):
                screen.say(f"{count - len(shown)} more; --limit shows more.")
    if screen.as_json:
        screen.document({"queues": documents})
    return Exit.FINE


@dlq.command("replay")
@click.argument("queue", type=click.Choice(QUEUES), metavar="QUEUE")
@click.option("--limit", type=click.IntRange(min=1), help="Replay so many messages at the most.")
@click.option(
    "--type", "names", multiple=True, metavar="NAME", help="Only messages of this name, such as PackArchive.v1."
)
@click.option("--id", "message_ids", multiple=True, metavar="ID", help="Only the message of this id; may be repeated.")
@click.option("--unreadable", is_flag=True, help="Also the messages that no consumer understood.")
@click.option("--dry-run", is_flag=True, help="Say which, and send nothing.")
@glaciate_command
def replay(
    invocation: Invocation,
    *,
    queue: str,
    limit: int | None,
    names: tuple[str, ...],
    message_ids: tuple[str, ...],
    unreadable: bool,
    dry_run: bool,
) -> Exit:
    """Send the dead letters of QUEUE (pack, thaw, unpack, notify) back to it, each once.

    Harmless to run twice: every consumer may be called twice. Messages that nobody understood stay, unless --unreadable.
    """
    deployment, screen = invocation.deployment(), invocation.screen
    letters = DeadLetterQueue(deployment.sqs(), deployment.queue(queue))
    selection = Selection(limit=limit, names=names, message_ids=message_ids, unreadable=unreadable)
    verb = "would replay" if dry_run else "replayed"

    def tell(letter: DeadLetter) -> None:
        if not screen.as_json:
            screen.say(f"{verb} {letter.name} {letter.message_id}")

    done = letters.replay(selection, dry_run=dry_run, told=tell)
    if screen.as_json:
        screen.document(
            {
                "queue": queue,
                "dry_run": dry_run,
                "replayed": [letter.document() for letter in done.replayed],
                "left": [{**letter.document(), "why": why} for letter, why in done.left],
            }
        )
        return Exit.FINE
    for letter, why in done.left:
        screen.say(
            f"left {letter.name} {letter.message_id}: {why}" + (f" ({letter.reason})" if letter.unreadable else "")
        )
    screen.say(f"{queue}: {verb} {_messages(len(done.replayed))}, {len(done.left)} left")
    return Exit.FINE


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def _row(letter: DeadLetter) -> tuple[str, ...]:
    kind = "unreadable" if letter.unreadable else letter.name
    return (
        f"{letter.sent_at:%Y-%m-%d %H:%M:%S}",
        letter.message_id,
        kind,
        letter.reason,
        shorten(letter.body, _EXCERPT),
    )
