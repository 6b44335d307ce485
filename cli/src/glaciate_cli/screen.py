"""What a command shows: documents for scripts (`--json`), tables and live progress on a terminal, plain lines in a pipe."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from glaciate_cli.errors import CommandFailed, Refused

_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """A number of bytes for people: 1,000 bytes are a KB."""
    unit = 0
    while count >= 999.95 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:,.0f} {_UNITS[unit]}" if unit == 0 else f"{count:,.1f} {_UNITS[unit]}"


def dollars(amount: float) -> str:
    """A sum for people: cents where there are some, else as many digits as it takes to see something."""
    if amount >= 0.01 or amount == 0:
        return f"${amount:,.2f}"
    if amount < 0.00000001:
        return "under $0.00000001"
    return f"${amount:.2g}" if amount >= 0.0001 else f"${amount:.8f}".rstrip("0")


def safe(value: object) -> str:
    """A text from elsewhere, as a terminal may see it: keys may hold escape sequences and line breaks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def _console(*, stderr: bool) -> Console:
    """Wraps at words on a terminal, and nowhere else."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def shorten(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


class View(Protocol):
    """How one kind of document looks while it changes."""

    def line(self, document: Mapping[str, Any]) -> str:
        """In one line."""

    def live(self, document: Mapping[str, Any]) -> RenderableType:
        """On a terminal."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a command shows things. With `as_json`, standard output gets documents only, and everything else goes to standard error."""

    as_json: bool = False
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    @property
    def lively(self) -> bool:
        """Whether somebody watches a terminal."""
        return self.out.is_terminal and not self.as_json

    def document(self, document: Any) -> None:
        """Prints a document for scripts."""
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def say(self, text: str) -> None:
        """A sentence for people."""
        (self.err if self.as_json else self.out).print(Text(text))

    def warn(self, text: str) -> None:
        """A sentence for people that must not get into a pipe."""
        self.err.print(Text(text))

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """What is known of one thing."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        listed = [(name, safe(value)) for name, value in pairs]
        if not self.lively:
            for name, value in listed:
                self.out.print(f"{name}: {value}")
            return
        for name, value in listed:
            table.add_row(name, value)
        self.out.print(table)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A list: a table on a terminal, tab-separated lines under a line of names in a pipe."""
        if not self.lively:
            for row in (columns, *rows):
                click.echo("\t".join(safe(value) for value in row))  # rich would turn tabs into spaces
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(safe(value)) for value in row))
        self.out.print(table)

    @contextmanager
    def following(self, view: View) -> Iterator["Follower"]:
        """Shows how something goes on: redrawn in place on a terminal, a line a change elsewhere."""
        if not self.lively:
            yield Follower(self, view, None)
            return
        with Live(console=self.out, auto_refresh=True, refresh_per_second=8, transient=True) as live:
            yield Follower(self, view, live)

    def problem(self, failure: CommandFailed) -> None:
        """Says on standard error what went wrong, and the problem's details."""
        if self.as_json:
            sys.stderr.write(json.dumps(failure.body(), ensure_ascii=False) + "\n")
            return
        head = f"refused ({failure.status} {failure.code})" if isinstance(failure, Refused) else "failed"
        self.err.print(Text(f"glaciate: {head}: ", style="bold red") + Text(safe(failure.message), style="default"))
        for line in _detail_lines(failure.details):
            self.err.print(Text(f"  {safe(line)}"))


@dataclass(slots=True)
class Follower:
    """Shows one changing document."""

    screen: Screen
    view: View
    live: Live | None
    _last: str = ""

    def show(self, document: Mapping[str, Any]) -> None:
        """Shows the document as it is now; the same line is not printed twice."""
        if self.live is not None:
            self.live.update(self.view.live(document))
            return
        line = self.view.line(document)
        if line != self._last:
            self.screen.say(line)
            self._last = line


def _detail_lines(details: Any) -> Iterator[str]:
    """A problem's details for people: a line an entry, what is nested indented."""
    if isinstance(details, Mapping):
        for name, value in details.items():
            if _is_nested(value):
                yield f"{name}:"
                yield from (f"  {line}" for line in _detail_lines(value))
            else:
                yield f"{name}: {_short(value)}"
    elif isinstance(details, list):
        for entry in details:
            yield from _detail_lines(entry) if _is_nested(entry) else [_short(entry)]
    elif details is not None:
        yield str(details)


def _is_nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(isinstance(inner, Mapping | list) for inner in value.values())
    return isinstance(value, list) and any(isinstance(entry, Mapping | list) for entry in value)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        if set(value) == {"field", "reason"}:
            return f"{value['field']}: {value['reason']}"
        if set(value) == {"bucket", "key"}:
            return f"s3://{value['bucket']}/{value['key']}"
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
