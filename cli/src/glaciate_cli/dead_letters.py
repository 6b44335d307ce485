"""Dead letters: what lies in a dead-letter queue and why, and sending it back to the queue it came from.

Replay is harmless to run twice, and harmless to stop at any point: a message is sent to its queue first and deleted from the
dead letters after, and every consumer may be called twice.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from glaciate_cli.deployment import Queue, told_plainly
from glaciate_cli.errors import Unreachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

_BATCH: Final = 10  # what SQS gives and takes at once
_BATCH_BYTES: Final = 200_000  # well below SQS's limit for a batch, which has not always been 1 MiB
_HIDDEN_SECONDS: Final = 300
_EMPTY_ANSWERS: Final = 2  # one empty long poll asks every server of SQS, but a message may be on its way
_REASON: Final = "reason"
_OF_THE_DEATH: Final = {_REASON, "RULE_ARN", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE", "RETRY_ATTEMPTS",
                        "EXHAUSTED_RETRY_CONDITION"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue."""

    delivery: "MessageTypeDef"

    @property
    def message_id(self) -> str:
        """SQS's id of the message; it stays the same when a message moves from its queue to the dead letters."""
        return self.delivery["MessageId"]

    @property
    def body(self) -> str:
        """The message as it was sent."""
        return self.delivery["Body"]

    @property
    def name(self) -> str:
        """The command's or event's name, or `?` where the body has none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return "?"
        name = document.get("detail-type", document.get("type")) if isinstance(document, dict) else None
        return name if isinstance(name, str) else "?"

    @property
    def unreadable(self) -> bool:
        """Whether a consumer put it here because it could not understand it; then `reason` says why."""
        return _REASON in self._attributes

    @property
    def reason(self) -> str:
        """Why it is here, as far as the message tells."""
        attributes = self._attributes
        for name in (_REASON, "ERROR_MESSAGE", "ERROR_CODE"):
            if text := attributes.get(name, {}).get("StringValue"):
                return str(text)
        return "failed on every delivery; the consumer's log says why"

    @property
    def sent_at(self) -> datetime:
        """When it was first sent."""
        return datetime.fromtimestamp(int(self.delivery.get("Attributes", {}).get("SentTimestamp", "0")) / 1000, UTC)

    @property
    def _attributes(self) -> dict[str, Any]:
        return dict(self.delivery.get("MessageAttributes", {}))

    def document(self) -> dict[str, Any]:
        """For scripts and people."""
        return {
            "message_id": self.message_id,
            "name": self.name,
            "sent_at": self.sent_at.isoformat(timespec="seconds"),
            "unreadable": self.unreadable,
            "reason": self.reason,
            "body": self.body,
        }

    def resent(self, entry_id: str) -> "SendMessageBatchRequestEntryTypeDef":
        """The same message once more: body and attributes, without what was added to it when it died."""
        entry: SendMessageBatchRequestEntryTypeDef = {"Id": entry_id, "MessageBody": self.body}
        kept = {name: value for name, value in self._attributes.items() if name not in _OF_THE_DEATH}
        if kept:
            entry["MessageAttributes"] = kept
        if trace := self.delivery.get("Attributes", {}).get("AWSTraceHeader"):
            entry["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
        return entry


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters to replay: all that can be read, unless told otherwise."""

    limit: int | None = None
    names: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    unreadable: bool = False

    def why_not(self, letter: DeadLetter) -> str | None:
        """Why a message stays, or None where it is to be replayed."""
        if self.message_ids and letter.message_id not in self.message_ids:
            return "not selected"
        if self.names and letter.name not in self.names:
            return "not selected"
        if letter.unreadable and not self.unreadable:
            return "unreadable; --unreadable replays it"
        return None


@dataclass(slots=True)
class Replay:
    """What a replay did. `left` says of each message that stays why it does."""

    replayed: list[DeadLetter] = field(default_factory=list)
    left: list[tuple[DeadLetter, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """The dead letters of one queue."""

    sqs: "SQSClient"
    queue: Queue
    wait_seconds: int = 1

    def count(self) -> int:
        """How many messages there are, about: those another reader holds right now included."""
        with told_plainly():
            found = self.sqs.get_queue_attributes(
                QueueUrl=self.queue.dead_letters_url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
        return sum(int(value) for value in found.values())

    def peek(self, *, limit: int) -> tuple[DeadLetter, ...]:
        """Some of the messages. They are given back at once, and count as received once more, which changes nothing here."""
        if not self.count():
            return ()
        letters: dict[str, DeadLetter] = {}
        try:
            for batch in self._batches(at_most=limit):
                letters.update((letter.message_id, letter) for letter in batch)
                if len(letters) >= limit:
                    break
        finally:
            self._give_back(letters.values())
        return tuple(sorted(letters.values(), key=lambda letter: letter.sent_at))[:limit]

    def replay(
        self,
        selection: Selection,
        *,
        dry_run: bool = False,
        told: Callable[[DeadLetter], None] = lambda _letter: None,
    ) -> Replay:
        """Sends the selected messages back to their queue, each once, and leaves the rest.

        A message that dies again while the replay runs is not sent a second time: it is recognised by the id that SQS gave it
        when it was sent, or, unreadable and kept anew by its consumer, by its body. A dry run sends nothing.
        """
        done = Replay()
        held: dict[str, DeadLetter] = {}
        decided: set[str] = set()
        sent_ids: set[str] = set()
        sent_bodies: set[bytes] = set()
        try:
            for batch in self._batches():
                held.update((letter.message_id, letter) for letter in batch)
                chosen: list[DeadLetter] = []
                for letter in batch:
                    if letter.message_id in decided:
                        continue
                    decided.add(letter.message_id)
                    why = selection.why_not(letter)
                    if letter.message_id in sent_ids or (letter.unreadable and _digest(letter) in sent_bodies):
                        why = "came back: it failed again"
                    elif (
                        why is None
                        and selection.limit is not None
                        and len(done.replayed) + len(chosen) >= selection.limit
                    ):
                        why = "beyond --limit"
                    if why is None:
                        chosen.append(letter)
                    else:
                        done.left.append((letter, why))
                for letter, new_id in self._move(chosen) if not dry_run else ((letter, "") for letter in chosen):
                    if not dry_run:
                        del held[letter.message_id]
                    sent_ids.add(new_id)
                    sent_bodies.add(_digest(letter))
                    done.replayed.append(letter)
                    told(letter)
                if selection.limit is not None and len(done.replayed) >= selection.limit:
                    break
        finally:
            self._give_back(held.values())
        return done

    def _batches(self, *, at_most: int | None = None) -> Iterator[list[DeadLetter]]:
        """Receives until nothing new comes; what is received stays hidden from others for a while."""
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_ANSWERS:
            wanted = _BATCH if at_most is None else min(_BATCH, max(1, at_most - len(seen)))
            with told_plainly():
                answer = self.sqs.receive_message(
                    QueueUrl=self.queue.dead_letters_url,
                    MaxNumberOfMessages=wanted,
                    WaitTimeSeconds=self.wait_seconds,
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["All"],
                )
            letters = [DeadLetter(delivery) for delivery in answer.get("Messages", [])]
            if any(letter.message_id not in seen for letter in letters):
                empty = 0
            else:
                empty += 1
            seen.update(letter.message_id for letter in letters)
            if letters:
                yield letters

    def _move(self, letters: Sequence[DeadLetter]) -> Iterator[tuple[DeadLetter, str]]:
        for group in _groups(letters):
            by_id = {str(number): letter for number, letter in enumerate(group)}
            with told_plainly():
                answer = self.sqs.send_message_batch(
                    QueueUrl=self.queue.url, Entries=[letter.resent(entry_id) for entry_id, letter in by_id.items()]
                )
            for entry in answer.get("Successful", []):
                letter = by_id[entry["Id"]]
                self._delete(letter)
                yield letter, entry["MessageId"]
            if failed := answer.get("Failed"):
                msg = f"{len(failed)} messages were not taken by {self.queue.url}: {failed[0].get('Message') or failed[0]['Code']}"
                raise Unreachable(msg, code=failed[0]["Code"])

    def _delete(self, letter: DeadLetter) -> None:
        with told_plainly():
            self.sqs.delete_message(
                QueueUrl=self.queue.dead_letters_url, ReceiptHandle=letter.delivery["ReceiptHandle"]
            )

    def _give_back(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            with told_plainly(), suppress(*self._no_longer_held()):
                self.sqs.change_message_visibility(
                    QueueUrl=self.queue.dead_letters_url,
                    ReceiptHandle=letter.delivery["ReceiptHandle"],
                    VisibilityTimeout=0,
                )

    def _no_longer_held(self) -> tuple[type[Exception], ...]:
        """A message that was held for too long is visible again already."""
        return self.sqs.exceptions.MessageNotInflight, self.sqs.exceptions.ReceiptHandleIsInvalid


def _digest(letter: DeadLetter) -> bytes:
    return sha256(letter.body.encode()).digest()


def _groups(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    group: list[DeadLetter] = []
    size = 0
    for letter in letters:
        length = len(letter.body.encode())
        if group and size + length > _BATCH_BYTES:
            yield group
            group, size = [], 0
        group.append(letter)
        size += length
    if group:
        yield group
