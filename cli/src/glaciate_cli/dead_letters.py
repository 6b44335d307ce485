"""Dead letters: what lies in a dead-letter queue and why, and giving it back to where it was meant to go.

Replay is harmless to run twice, and harmless to stop at any point: a message is taken by its addressee first and deleted from
the dead letters after, and every consumer may be called twice.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

from glaciate_cli.deployment import LONGEST_CALL_SECONDS, told_plainly

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

BATCH: Final = 10  # what SQS gives and takes at once
_HIDDEN_SECONDS: Final = LONGEST_CALL_SECONDS + 60
_EMPTY_ANSWERS: Final = 2  # one empty long poll asks every server of SQS, but a message may be on its way
_REASON: Final = "reason"
# What is told about a death: by our consumers; by EventBridge and its Scheduler; by Lambda of asynchronous calls.
_MESSAGES: Final = (_REASON, "ERROR_MESSAGE", "ErrorMessage")
_CODE: Final = "ERROR_CODE"
_OF_THE_DEATH: Final = {*_MESSAGES, _CODE, "ErrorCode", "RULE_ARN", "SCHEDULE_ARN", "TARGET_ARN", "RETRY_ATTEMPTS", "RequestID",
                        "EXHAUSTED_RETRY_CONDITION", "EXECUTION_ID", "SCHEDULED_TIME", "IS_PAYLOAD_TRUNCATED"}  # fmt: skip


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
        return _REASON in self.attributes

    @property
    def reason(self) -> str:
        """Why it is here, as far as the message tells."""
        told = self.attributes
        message = next((told[name] for name in _MESSAGES if told.get(name)), "")
        said = ": ".join(part for part in (told.get(_CODE, ""), message) if part)
        return said or "failed on every delivery; the consumer's log says why"

    @property
    def sent_at(self) -> datetime:
        """When it was first sent."""
        return datetime.fromtimestamp(int(self.delivery.get("Attributes", {}).get("SentTimestamp", "0")) / 1000, UTC)

    @property
    def attributes(self) -> dict[str, str]:
        """What is told beside the message, most of it about how it died."""
        given = self.delivery.get("MessageAttributes", {})
        return {name: value["StringValue"] for name, value in given.items() if "StringValue" in value}

    @property
    def attributes_of_its_own(self) -> dict[str, Any]:
        """The message attributes it was sent with: those about its death are left out."""
        given = self.delivery.get("MessageAttributes", {})
        return {name: value for name, value in given.items() if name not in _OF_THE_DEATH}

    def document(self) -> dict[str, Any]:
        """For scripts and people."""
        return {
            "message_id": self.message_id,
            "name": self.name,
            "sent_at": self.sent_at.isoformat(timespec="seconds"),
            "unreadable": self.unreadable,
            "reason": self.reason,
            "attributes": self.attributes,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class Taken:
    """What an addressee answered: it has the message (a queue's new `message_id` for it), or `refused` says why not."""

    letter: DeadLetter
    message_id: str | None = None
    refused: str | None = None


class Addressee(Protocol):
    """Whom dead letters were meant for."""

    @property
    def at_once(self) -> int:
        """How many messages it takes while they are hidden from other readers, 1 to 10."""

    def take(self, letters: Sequence[DeadLetter]) -> Iterator[Taken]:
        """Hands the messages over once more, and says of each what became of it.

        Raises:
            Unreachable: there is no handing over; those not yet told of stay.
        """


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
    """What a replay did. `left` says of each message that stays why it does; so many of them its addressee `refused`.

    A message that dies again while the replay runs is not handed over a second time: it is recognised by the id that SQS gave it
    when it was sent, or, unreadable and kept anew by its consumer, by its body.
    """

    selection: Selection
    replayed: list[DeadLetter] = field(default_factory=list)
    left: list[tuple[DeadLetter, str]] = field(default_factory=list)
    refused: int = 0
    _decided: set[str] = field(default_factory=set)
    _sent_ids: set[str] = field(default_factory=set)
    _sent_bodies: set[bytes] = field(default_factory=set)

    def choose(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Those to hand over, of letters not seen before; it notes why the others stay."""
        chosen: list[DeadLetter] = []
        for letter in letters:
            if letter.message_id in self._decided:
                continue
            self._decided.add(letter.message_id)
            if self._came_back(letter):
                why: str | None = "came back: it failed again"
            else:
                why = self.selection.why_not(letter) or ("beyond --limit" if self.full(besides=len(chosen)) else None)
            if why is None:
                chosen.append(letter)
            else:
                self.left.append((letter, why))
        return chosen

    def full(self, *, besides: int = 0) -> bool:
        """Whether so many were handed over as were asked for."""
        return self.selection.limit is not None and len(self.replayed) + besides >= self.selection.limit

    def note(self, taken: Taken) -> bool:
        """Keeps in mind what became of one; whether its addressee has it now."""
        if taken.refused is not None:
            self.left.append((taken.letter, taken.refused))
            self.refused += 1
            return False
        self.replayed.append(taken.letter)
        if taken.message_id is not None:
            self._sent_ids.add(taken.message_id)
            self._sent_bodies.add(_digest(taken.letter))
        return True

    def _came_back(self, letter: DeadLetter) -> bool:
        return letter.message_id in self._sent_ids or (letter.unreadable and _digest(letter) in self._sent_bodies)


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """One dead-letter queue."""

    sqs: "SQSClient"
    url: str
    addressee: Addressee
    wait_seconds: int = 1

    def count(self) -> int:
        """How many messages there are, about: those another reader holds right now included."""
        with told_plainly():
            found = self.sqs.get_queue_attributes(
                QueueUrl=self.url,
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
        """Hands the selected messages over, each once, and leaves the rest, and what is refused. A dry run hands nothing over."""
        done = Replay(selection)
        held: dict[str, DeadLetter] = {}
        try:
            for batch in self._batches(at_once=self.addressee.at_once):
                held.update((letter.message_id, letter) for letter in batch)
                chosen = done.choose(batch)
                for taken in map(Taken, chosen) if dry_run else self.addressee.take(chosen):
                    if not done.note(taken):
                        continue
                    if not dry_run:
                        self._delete(taken.letter)
                        del held[taken.letter.message_id]
                    told(taken.letter)
                if done.full():
                    break
        finally:
            self._give_back(held.values())
        return done

    def _batches(self, *, at_most: int | None = None, at_once: int = BATCH) -> Iterator[list[DeadLetter]]:
        """Receives until nothing new comes; what is received stays hidden from others for a while."""
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_ANSWERS:
            wanted = at_once if at_most is None else min(at_once, max(1, at_most - len(seen)))
            with told_plainly():
                answer = self.sqs.receive_message(
                    QueueUrl=self.url,
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

    def _delete(self, letter: DeadLetter) -> None:
        with told_plainly():
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=letter.delivery["ReceiptHandle"])

    def _give_back(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            with told_plainly(), suppress(*self._no_longer_held()):
                self.sqs.change_message_visibility(
                    QueueUrl=self.url,
                    ReceiptHandle=letter.delivery["ReceiptHandle"],
                    VisibilityTimeout=0,
                )

    def _no_longer_held(self) -> tuple[type[Exception], ...]:
        """A message that was held for too long is visible again already."""
        return self.sqs.exceptions.MessageNotInflight, self.sqs.exceptions.ReceiptHandleIsInvalid


def _digest(letter: DeadLetter) -> bytes:
    return sha256(letter.body.encode()).digest()
