"""How jobs, restore requests and files look to people."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from glaciate_cli.api import is_request_id
from glaciate_cli.errors import Exit
from glaciate_cli.screen import Screen, dollars, safe, shorten, size

_EXITS: Final = {
    "COMPLETED": Exit.FINE,
    "PARTIAL": Exit.ENDED_PARTIAL,
    "FAILED": Exit.ENDED_FAILED,
    "CANCELLED": Exit.ENDED_FAILED,
}
_COLOURS: Final = {"COMPLETED": "green", "PARTIAL": "yellow", "FAILED": "red", "CANCELLED": "yellow"}
_SHOWN_ELSEWHERE: Final = {"job_id", "request_id", "state", "files", "skipped", "archives", "parts", "next_token",
                          "archives_next_token"}  # fmt: skip
_WORDS: Final = {
    "ACCEPTED": "accepted, waiting for a worker",
    "PLANNING": "listing the sources and planning archives",
    "PACKING": "packing",
    "THAWING": "waiting for S3 to thaw the archives",
    "UNPACKING": "reading the files out of their archives",
}


def has_ended(document: Mapping[str, Any]) -> bool:
    """Whether a job or a request will change no more."""
    return document.get("state") in _EXITS


def exit_of(document: Mapping[str, Any]) -> Exit:
    """The exit code of a job or a request: fine as long as it runs."""
    return _EXITS.get(str(document.get("state")), Exit.FINE)


def _count(document: Mapping[str, Any], name: str) -> int:
    return int((document.get("counts") or {}).get(name) or 0)


def _bar(done: int, total: int) -> RenderableType:
    bar = ProgressBar(total=total or None, completed=min(done, total), width=40, pulse=not total)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, Text(f"{done:,} of {total:,} files" if total else ""))
    return grid


@dataclass(frozen=True, slots=True)
class Progress:
    """A job or a request while it goes on."""

    identifier: str
    started: float = field(default_factory=time.monotonic)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))

    def line(self, document: Mapping[str, Any]) -> str:
        """State and counts in one line."""
        state = str(document.get("state"))
        return f"{self.identifier}  {state}  {', '.join(self._facts(document))}".rstrip()

    def live(self, document: Mapping[str, Any]) -> RenderableType:
        """State, bar, counts and the time since the command began to watch."""
        state = str(document.get("state"))
        self.spinner.update(text=Text.assemble((self.identifier, "bold"), "  ", _WORDS.get(state, state)))
        done, total = self._done(document)
        facts = [*self._facts(document)[1:], f"{time.monotonic() - self.started:.0f} s"]
        return Group(self.spinner, _bar(done, total), Text(", ".join(facts), style="dim"))

    def _done(self, document: Mapping[str, Any]) -> tuple[int, int]:
        if is_request_id(self.identifier):
            return _count(document, "restored") + _count(document, "failed"), _count(document, "files")
        done = sum(_count(document, name) for name in ("archived", "skipped", "failed"))
        return done, max(_count(document, "planned"), done)

    def _facts(self, document: Mapping[str, Any]) -> list[str]:
        if is_request_id(self.identifier):
            facts = [f"{_count(document, 'restored'):,} of {_count(document, 'files'):,} files restored"]
            facts += [f"{_count(document, name):,} {name}" for name in ("failed", "missing") if _count(document, name)]
            if (expected := document.get("expected_by")) and not has_ended(document):
                facts.append(f"expected by {expected}")
            return facts
        facts = [
            f"{_count(document, 'archived'):,} of {_count(document, 'planned'):,} files",
            f"{_count(document, 'archives'):,} archives",
            f"{size(_count(document, 'bytes_in'))} in, {size(_count(document, 'bytes_out'))} out",
        ]
        return facts + [
            f"{_count(document, name):,} {name}" for name in ("skipped", "failed") if _count(document, name)
        ]


def show_status(screen: Screen, document: Mapping[str, Any], *, with_files: bool) -> None:
    """A job or a request, and what did not make it."""
    identifier = str(document.get("request_id") or document.get("job_id") or "")
    state = str(document.get("state"))
    colour = _COLOURS.get(state, "cyan") if screen.lively else ""
    screen.out.print(Text.assemble((identifier, "bold" if screen.lively else ""), "  ", (state, colour)))
    screen.pairs(_facts(document))
    if is_request_id(identifier):
        _show_files(screen, document.get("files") or [], with_files=with_files)
    else:
        _show_archives(screen, document)
        _show_skipped(screen, document)


def _facts(document: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    for name, value in document.items():
        if name == "counts":
            yield from (
                (label, size(count) if label.startswith("bytes") else f"{count:,}") for label, count in _flat(value)
            )
        elif name not in _SHOWN_ELSEWHERE:
            yield from _named_facts(name.replace("_", " "), name, value)


def _named_facts(title: str, name: str, value: Any) -> Iterable[tuple[str, object]]:
    """One line for what is flat, a line for each of what is nested; nothing for what is empty."""
    if value in (None, "", [], {}):
        return
    if isinstance(value, Mapping):
        flat = ", ".join(f"{label.removesuffix(' usd')} {_amount(label, inner)}" for label, inner in _flat(value))
        if flat:
            yield title, flat
        for inner_name, inner in value.items():
            if isinstance(inner, Mapping):
                yield from _named_facts(f"{title}, {inner_name.replace('_', ' ')}", inner_name, inner)
    elif isinstance(value, list):
        yield title, ", ".join(str(entry) for entry in value)
    else:
        yield title, _amount(name.replace("_", " "), value)


def _flat(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The entries that are not nested and not empty, under names for people."""
    for name, value in values.items():
        if not isinstance(value, Mapping) and value not in (None, "", [], ()):
            yield name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else value


def _amount(name: str, value: Any) -> object:
    if name.endswith(" usd") and isinstance(value, int | float):
        return dollars(value)
    if name.endswith("bytes") and isinstance(value, int):
        return size(value)
    return value


def _show_archives(screen: Screen, document: Mapping[str, Any]) -> None:
    archives = document.get("archives") or []
    if archives:
        rows = [
            (entry.get("location"), size(entry.get("size_bytes") or 0), entry.get("storage_class"))
            for entry in archives
        ]
        screen.table(("archive", "size", "storage class"), rows)
    if document.get("archives_next_token"):
        screen.say("There are more archives; --all shows them.")


def _show_skipped(screen: Screen, document: Mapping[str, Any]) -> None:
    skipped = document.get("skipped") or []
    if skipped:
        screen.say("Left where they are:")
        screen.table(("key", "reason"), [(entry.get("key"), entry.get("reason")) for entry in skipped])
    if document.get("next_token"):
        screen.say("There are more skipped files; --all shows them.")


def _show_files(screen: Screen, files: list[Mapping[str, Any]], *, with_files: bool) -> None:
    failed = [entry for entry in files if entry.get("state") in {"FAILED", "MISSING"}]
    shown = files if with_files or len(files) <= 20 else failed
    if shown:
        screen.table(
            ("state", "key", "where"),
            [
                (entry.get("state"), entry.get("key"), entry.get("location") or entry.get("reason") or "")
                for entry in shown
            ],
        )
    if len(shown) < len(files):
        screen.say(f"{len(files) - len(shown):,} more files; --all shows them.")


def show_accepted(screen: Screen, document: Mapping[str, Any], identifier: str, *, followed: bool) -> None:
    """What was accepted and how to ask for it; a dry run's answer has no id and is shown whole."""
    if not identifier:
        screen.pairs(_facts(document))
        return
    kind = "Restore request" if is_request_id(identifier) else "Archive job"
    how = "" if followed else f" Follow it: glaciate status {safe(identifier)} --watch"
    screen.say(f"{kind} {safe(identifier)} accepted.{how}")


def show_listing(screen: Screen, entries: Iterable[Mapping[str, Any]]) -> None:
    """Jobs or restore requests, one a line."""
    rows = [
        (
            entry.get("job_id") or entry.get("request_id"),
            entry.get("state"),
            entry.get("accepted_at") or "",
            shorten(str(entry.get("wanted")), 100)
            if entry.get("wanted")
            else f"s3://{entry.get('bucket', '')}/{entry.get('prefix', '')}",
            _files_of(entry),
        )
        for entry in entries
    ]
    if not rows:
        screen.say("None yet.")
        return
    screen.table(("id", "state", "accepted", "what", "files"), rows)


def _files_of(entry: Mapping[str, Any]) -> str:
    if "job_id" in entry:
        return f"{_count(entry, 'archived'):,} of {_count(entry, 'planned'):,}"
    return f"{_count(entry, 'restored'):,} of {_count(entry, 'files'):,}"


def show_files(screen: Screen, document: Mapping[str, Any]) -> None:
    """Archived files, one version a line."""
    found = document["files"]
    if not found:
        screen.say("No archived file fits.")
        return
    rows = [
        (
            entry.get("key"),
            size(entry["size"]) if isinstance(entry.get("size"), int) else "",
            entry.get("archived_at") or entry.get("sealed_at") or "",
            entry.get("archive_id") or "",
        )
        for entry in found
    ]
    screen.table(("key", "size", "archived", "archive"), rows)
    if document.get("more"):
        screen.warn("There are more; --limit shows more.")
