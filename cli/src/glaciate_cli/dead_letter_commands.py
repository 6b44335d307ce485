"""`glaciate dlq`: commands for operators, over SQS and Lambda with the caller's own AWS credentials."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from glaciate_cli.addressees import AddressedFunction, AddressedQueue
from glaciate_cli.context import Invocation, glaciate_command
from glaciate_cli.dead_letters import DeadLetter, DeadLetterQueue, Selection
from glaciate_cli.deployment import FUNCTIONS, QUEUES, Deployment
from glaciate_cli.errors import Exit
from glaciate_cli.screen import shorten

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_EXCERPT: Final = 160
_NAMES: Final = (*QUEUES, *FUNCTIONS)
_SECONDS: Final = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


@click.group()
def dlq() -> None:
    """Look at dead letters, and send them back to where they were meant to go."""


@dlq.command("list")
@click.argument("queues", nargs=-1, type=click.Choice(_NAMES), metavar="[QUEUE]...")
@click.option(
    "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Messages shown of each queue."
)
@glaciate_command
def list_dead_letters(invocation: Invocation, *, queues: tuple[str, ...], limit: int) -> Exit:
    """What lies in the dead letters of each QUEUE (all unless named), since when, and why.

    Of queues: pack, thaw, unpack, notify. Of the calls of functions: archive-intake-schedule, packer-launch,
    restore-intake-sweep, unpacker-launch.
    """
    deployment, screen = invocation.deployment(), invocation.screen
    sqs = deployment.sqs()
    documents = []
    for name in queues or _NAMES:
        letters = _dead_letters(deployment, sqs, name)
        shown = letters.peek(limit=limit)
        count = max(letters.count(), len(shown))
        documents.append(
            {
                "queue": name,
                "count": count,
                "oldest_sent_at": shown[0].document()["sent_at"] if shown else None,
                "messages": [letter.document() for letter in shown],
            }
        )
        if not screen.as_json:
            screen.say(f"{name}: {_messages(count)}")
            if shown:
                screen.table(("sent", "message id", "message", "reason", "body"), [_row(letter) for letter in shown])
                oldest = f"The oldest {'of these ' if count > len(shown) else ''}was sent {_age(shown[0])} ago."
                more = f" {count - len(shown)} more; --limit shows more." if count > len(shown) else ""
                screen.say(oldest + more)
    if screen.as_json:
        screen.document({"queues": documents})
    return Exit.FINE


@dlq.command("replay")
@click.argument("queue", type=click.Choice(_NAMES), metavar="QUEUE")
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
    """Send the dead letters of QUEUE back to it, each once; of a function, call it with each.

    Of queues: pack, thaw, unpack, notify. Of the calls of functions: archive-intake-schedule, packer-launch,
    restore-intake-sweep, unpacker-launch.

    Harmless to run twice: every consumer may be called twice. A message that nobody understood stays, unless --unreadable, and so
    does one that its function fails on; then the command ends with 1.
    """
    deployment, screen = invocation.deployment(), invocation.screen
    letters = _dead_letters(deployment, deployment.sqs(), queue)
    selection = Selection(limit=limit, names=names, message_ids=message_ids, unreadable=unreadable)
    verb = "would replay" if dry_run else "replayed"

    def tell(letter: DeadLetter) -> None:
        if not screen.as_json:
            screen.say(f"{verb} {letter.name} {letter.message_id}")

    done = letters.replay(selection, dry_run=dry_run, told=tell)
    ended = Exit.REFUSED if done.refused else Exit.FINE
    if screen.as_json:
        screen.document(
            {
                "queue": queue,
                "dry_run": dry_run,
                "replayed": [letter.document() for letter in done.replayed],
                "left": [{**letter.document(), "why": why} for letter, why in done.left],
            }
        )
        return ended
    for letter, why in done.left:
        screen.say(
            f"left {letter.name} {letter.message_id}: {why}" + (f" ({letter.reason})" if letter.unreadable else "")
        )
    screen.say(f"{queue}: {verb} {_messages(len(done.replayed))}, {len(done.left)} left")
    return ended


def _dead_letters(deployment: Deployment, sqs: "SQSClient", name: str) -> DeadLetterQueue:
    if name in FUNCTIONS:
        function = deployment.function(name)
        called = AddressedFunction(deployment.functions(), function.function_name)
        return DeadLetterQueue(sqs, function.dead_letters_url, called)
    queue = deployment.queue(name)
    return DeadLetterQueue(sqs, queue.dead_letters_url, AddressedQueue(sqs, queue.url))


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def _age(letter: DeadLetter) -> str:
    """In its largest unit, rounded down: `3 h`."""
    seconds = max(0, int((datetime.now(UTC) - letter.sent_at).total_seconds()))
    unit, length = next(((unit, length) for unit, length in _SECONDS if seconds >= length), _SECONDS[-1])
    return f"{seconds // length} {unit}"


def _row(letter: DeadLetter) -> tuple[str, ...]:
    kind = "unreadable" if letter.unreadable else letter.name
    return (
        f"{letter.sent_at:%Y-%m-%d %H:%M:%S}",
        letter.message_id,
        kind,
        letter.reason,
        shorten(letter.body, _EXCERPT),
    )
