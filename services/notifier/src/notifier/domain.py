"""What people are told, in words they can read, and the same for machines. No AWS here."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from glaciate.contracts import Event
from glaciate.events import (
    ArchiveJobCompleted,
    FailedFile,
    Outcome,
    RestoreAccepted,
    RestoreCompleted,
    RestoreExpiryApproached,
    SourcesDeleted,
)
from glaciate.told_lists import that_fit

TellableEvent = ArchiveJobCompleted | SourcesDeleted | RestoreAccepted | RestoreCompleted | RestoreExpiryApproached

MAX_SUBJECT_CHARACTERS: Final = 99  # SNS: under 100, ASCII, no line breaks
MAX_TEXT_BYTES: Final = 132 * 1024  # SNS: 256 KB with all attributes, of which 4 KiB are enough for the others
MAX_DOCUMENT_BYTES: Final = 120 * 1024
_MAX_REASON_CHARACTERS: Final = 300
_MAX_FACT_CHARACTERS: Final = 2_000
_LABEL_WIDTH: Final = 13


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: `subject` and `text` for people; `attributes` to filter by; `document`, the event as JSON, for programs."""

    about: str
    fact: str
    subject: str
    text: str
    attributes: tuple[tuple[str, str], ...]
    document: str


def notice_of(event: TellableEvent) -> Notice:
    """What to say about an event."""
    match event:
        case ArchiveJobCompleted():
            return _job_ended(event)
        case SourcesDeleted():
            return _sources_deleted(event)
        case RestoreAccepted():
            return _restore_accepted(event)
        case RestoreCompleted():
            return _restore_ended(event)
        case RestoreExpiryApproached():
            return _restored_files_expire(event)


_JOB_HEADLINES: Final = {
    Outcome.COMPLETED: ("Archived", "Everything was archived."),
    Outcome.PARTIAL: ("Archived in part", "Some files were not archived. They are where they were; nothing is lost."),
    Outcome.FAILED: ("Archiving failed", "Archiving failed. What was not archived is where it was; nothing is lost."),
    Outcome.CANCELLED: ("Archiving cancelled", "Archiving was cancelled. What was not archived is where it was."),
}

_RESTORE_HEADLINES: Final = {
    Outcome.COMPLETED: ("Restored", "Every archived file that was asked for is there, and checked."),
    Outcome.PARTIAL: ("Restored in part", "Some files could not be restored. The others are there, checked."),
    Outcome.FAILED: ("Restoring failed", "No file could be restored."),
    Outcome.CANCELLED: ("Restoring cancelled", "The restore was cancelled. What was restored before is there."),
}


def _job_ended(event: ArchiveJobCompleted) -> Notice:
    headline, sentence = _JOB_HEADLINES[event.outcome]
    address = f"s3://{event.bucket}/{event.prefix}"
    packed = f" ({event.bytes_out / event.bytes_in:.0%} of it)" if event.bytes_in else ""
    facts = (
        ("Project", event.project),
        ("Job", event.job_id),
        ("From", address),
        ("Outcome", event.outcome),
        ("Files", f"{event.archived:,} archived, {event.skipped:,} skipped, {event.failed:,} failed"),
        ("Unchanged", f"{event.already_archived:,} more, archived by earlier jobs" if event.already_archived else None),
        ("Archives", f"{event.archives:,}"),
        ("Size", f"{_size(event.bytes_in)} read, {_size(event.bytes_out)} kept{packed}"),
        ("Sources", _held_until(event)),
        ("Reason", event.reason),
    )
    look = "What was skipped or failed, file by file" if event.skipped or event.failed else "How the job stands"
    return Notice(
        about=event.job_id,
        fact=f"{event.name}#{event.outcome}",
        subject=_subject(f"{headline}: {event.project} {address}"),
        text=_text(
            sentence, facts, more=_whereabouts(look, event.status_url, event.job_id), trail=event.correlation_id
        ),
        attributes=_attributes(event, about=event.job_id, project=event.project, outcome=event.outcome),
        document=_document(event),
    )


def _held_until(event: ArchiveJobCompleted) -> str | None:
    if event.sources_due_at is None:
        return None
    return (
        f"will be deleted from {_moment(event.sources_due_at)} on, unless you keep them: glaciate keep {event.job_id}"
    )


def _sources_deleted(event: SourcesDeleted) -> Notice:
    address = f"s3://{event.bucket}/{event.prefix}"
    left = f", {event.left:,} left where they are" if event.left else ""
    facts = (
        ("Project", event.project),
        ("Job", event.job_id),
        ("From", address),
        ("Files", f"{event.deleted:,} deleted{left}"),
    )
    sentence = "The days are over for which the archived files were held: they are deleted from their bucket, and are in the archives."
    look = "What was left, and why" if event.left else "How the job stands"
    return Notice(
        about=event.job_id,
        fact=event.name,
        subject=_subject(f"Archived sources deleted: {event.project} {address}"),
        text=_text(
            sentence, facts, more=_whereabouts(look, event.status_url, event.job_id), trail=event.correlation_id
        ),
        attributes=_attributes(event, about=event.job_id, project=event.project, outcome="DELETED"),
        document=_document(event),
    )


def _restore_accepted(event: RestoreAccepted) -> Notice:
    expected = f"by {_moment(event.expected_by)}" if event.expected_by else "not known yet; the address below will say"
    facts = (
        ("Project", event.project),
        ("Request", event.request_id),
        ("Wanted", event.wanted),
        ("Files", f"{event.files:,}" if event.files is not None else "being looked up"),
        ("Expected", expected),
    )
    sentence = "The restore was accepted. You will be told again when it has ended."
    look = _whereabouts("How the restore stands", event.status_url, event.request_id)
    return Notice(
        about=event.request_id,
        fact=event.name,
        subject=_subject(f"Restore accepted: {event.project} {event.wanted}"),
        text=_text(sentence, facts, more=look, trail=event.correlation_id),
        attributes=_attributes(event, about=event.request_id, project=event.project, outcome="ACCEPTED"),
        document=_document(event),
    )


def _restore_ended(event: RestoreCompleted) -> Notice:
    headline, sentence = _RESTORE_HEADLINES[event.outcome]
    there = event.restored > 0
    counts = f"{event.restored:,} of {event.files:,} restored, {event.failed:,} failed, {event.missing:,} not found"
    facts = (
        ("Project", event.project),
        ("Request", event.request_id),
        ("Wanted", event.wanted),
        ("Outcome", event.outcome),
        ("Files", counts),
        ("Where", event.location if there else None),
        ("Until", _moment(event.available_until) if there and event.available_until else None),
        ("Reason", event.reason),
    )
    what = "Every file, and where it is" if event.outcome is Outcome.COMPLETED else "Every file, where it is or why not"
    look = _whereabouts(what, event.status_url, event.request_id)
    return Notice(
        about=event.request_id,
        fact=f"{event.name}#{event.outcome}",
        subject=_subject(f"{headline}: {event.project} {event.wanted}"),
        text=_text(sentence, facts, event, more=look, trail=event.correlation_id),
        attributes=_attributes(event, about=event.request_id, project=event.project, outcome=event.outcome),
        document=_document(event),
    )


def _restored_files_expire(event: RestoreExpiryApproached) -> Notice:
    facts = (
        ("Project", event.project),
        ("Request", event.request_id),
        ("Wanted", event.wanted),
        ("Files", f"{event.restored:,} restored"),
        ("Where", event.location),
        ("Until", _moment(event.available_until)),
    )
    sentence = "The restored files expire soon. Copy what you still need; the archives keep everything, so that it can be restored again."
    look = _whereabouts("Every file, and until when it is there", event.status_url, event.request_id)
    return Notice(
        about=event.request_id,
        fact=event.name,
        subject=_subject(f"Restored files expire soon: {event.project} {event.wanted}"),
        text=_text(sentence, facts, more=look, trail=event.correlation_id),
        attributes=_attributes(event, about=event.request_id, project=event.project, outcome="EXPIRING"),
        document=_document(event),
    )


def _text(
    sentence: str,
    facts: Iterable[tuple[str, str | None]],
    ended: RestoreCompleted | None = None,
    *,
    more: str,
    trail: str,
) -> str:
    lines = (
        f"{label + ':':<{_LABEL_WIDTH}}{_visible(_cut(value, _MAX_FACT_CHARACTERS))}" for label, value in facts if value
    )
    head = [sentence, "", *lines]
    tail = ["", more, "", f"If you ask about this message, give this id: {_visible(trail)}", ""]
    room = MAX_TEXT_BYTES - len("\n".join([*head, *tail]).encode())
    return "\n".join([*head, *(_what_did_not_come(ended, room) if ended else ()), *tail])


def _what_did_not_come(event: RestoreCompleted, room: int) -> Iterator[str]:
    """Each missing name, then each failed file and why; of those that do not fit how many they are, and where to read them."""
    where = event.status_url or f"glaciate status {event.request_id}"
    around = 200 + 2 * len(where.encode())  # the titles, and the lines that count
    told = _shortened(event, room=room - around, size=lambda item: len(_line(item).encode()) + 1)
    if event.missing:
        yield from ("", "Not found in any archive:", *map(_line, told.missing_names))
        if left_out := _missing_left_out(told):
            yield f"  and {left_out:,} more: {where}"
    if event.failed:
        yield from ("", "What failed:", *map(_line, told.failures))
        if left_out := _failures_left_out(told):
            yield f"  and {left_out:,} more: {where}"


def _line(item: str | FailedFile) -> str:
    if isinstance(item, str):
        return f"  {_visible(item)}"
    return f"  {_visible(item.key)}: {_visible(_cut(item.reason, _MAX_REASON_CHARACTERS))}"


def _shortened(event: RestoreCompleted, *, room: int, size: Callable[[str | FailedFile], int]) -> RestoreCompleted:
    names, failures = that_fit(event.missing_names, event.failures, room=room, size=size)
    return event.model_copy(update={"missing_names": names, "failures": failures})


def _missing_left_out(event: RestoreCompleted) -> int:
    return max(0, event.missing - len(event.missing_names))


def _failures_left_out(event: RestoreCompleted) -> int:
    return max(0, event.failed - sum(failure.files for failure in event.failures))


def _whereabouts(what: str, status_url: str | None, about: str) -> str:
    return f"{what}: {status_url}" if status_url else f"{what}: glaciate status {about}"


def _subject(text: str) -> str:
    return _cut(_visible(text).encode("ascii", "replace").decode(), MAX_SUBJECT_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def _attributes(event: Event, *, about: str, project: str, outcome: str) -> tuple[tuple[str, str], ...]:
    return (
        ("event", event.name),
        ("outcome", outcome),
        ("project", project),
        ("id", about),
        ("correlation_id", _visible(event.correlation_id) or "none"),
    )


def _document(event: Event) -> str:
    """The event's fields and `event`, its name; ASCII, so that no character of a key can make a subscriber stumble.

    Of the end of a restore it counts what its lists leave out. Where it would be too long, the lists and `reason` are cut.
    """
    document = _ascii_json(_fields(event))
    if len(document) <= MAX_DOCUMENT_BYTES:
        return document
    if isinstance(event, RestoreCompleted):
        event = event.model_copy(update={"reason": _short_reason(event)})
        bare = _fields(_shortened(event, room=0, size=_size_in_document))
        room = MAX_DOCUMENT_BYTES - len(_ascii_json(bare))
        return _ascii_json(_fields(_shortened(event, room=room, size=_size_in_document)))
    return _ascii_json({**_fields(event), "reason": _short_reason(event)})


def _fields(event: Event) -> dict[str, Any]:
    fields = {"event": event.name, **event.model_dump(mode="json", exclude={"topic_arn"})}
    if isinstance(event, RestoreCompleted):
        left_out = {"failures_left_out": _failures_left_out(event), "missing_left_out": _missing_left_out(event)}
        fields.update(left_out)
    return fields


def _short_reason(event: Event) -> str | None:
    return _cut(getattr(event, "reason", None) or "", _MAX_FACT_CHARACTERS) or None


def _size_in_document(item: str | FailedFile) -> int:
    return len(_ascii_json(item if isinstance(item, str) else item.model_dump())) + len(",")


def _ascii_json(value: dict[str, Any] | str) -> str:
    return re.sub("[^ -~]+", lambda found: _escaped(found[0]), to_json(value).decode())


def _escaped(characters: str) -> str:
    units = characters.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _visible(text: str) -> str:
    """The text with every character that cannot be seen written out: a key may hold line breaks, and must not forge a line."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _moment(moment: datetime) -> str:
    there = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{there:%Y-%m-%d %H:%M} UTC"


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if size < 999.5 or unit == "PB":
            break
        size /= 1000
    return f"{size_bytes:,} bytes" if unit == "bytes" else f"{size:.3g} {unit}"
