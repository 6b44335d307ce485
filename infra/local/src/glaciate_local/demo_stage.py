"""Where the demo is shown, and how it fails."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_PATIENCE_SECONDS: Final = 180


class DemoFailed(Exception):
    """Something is not as it must be; the message says what."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo is shown: numbered steps, a line for each fact."""

    console: Console
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 100)))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step, with the time it took."""
        self.console.print(Text.assemble("\n", (f"{next(self._numbers)}. {title}", "bold")))
        started = time.monotonic()
        yield
        self.console.print(Text(f"   {time.monotonic() - started:.1f} s", style="dim"))

    def say(self, text: str) -> None:
        """A sentence or two about the step."""
        self.console.print(indented(Text(text)))

    def good(self, sentence: str) -> None:
        """Something that was checked and holds."""
        self.console.print(indented(Text.assemble(("✓ ", "green"), sentence)))

    def show(self, renderable: RenderableType) -> None:
        """A table or a panel."""
        self.console.print(indented(renderable))

    def await_end(self, doing: str, look: Callable[[], tuple[str, bool]]) -> None:
        """Looks until it says that it has ended, and shows on a terminal how it goes.

        Raises:
            DemoFailed: it has not ended in time.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self.console.status(f" {doing}", spinner="dots") as status:
            while True:
                how, ended = look()
                if ended:
                    return
                status.update(f" {doing}: {how}")
                if time.monotonic() > deadline:
                    msg = f"{doing}: not ended after {_PATIENCE_SECONDS} s ({how})"
                    raise DemoFailed(msg)
                time.sleep(0.3)


def require(holds: bool, otherwise: str) -> None:
    """What must hold.

    Raises:
        DemoFailed: it does not; the message says what is otherwise.
    """
    if not holds:
        raise DemoFailed(otherwise)


def indented(renderable: RenderableType) -> RenderableType:
    """As the lines of a step are."""
    grid = Table.grid()
    grid.add_column(width=3)
    grid.add_column(overflow="fold")
    grid.add_row("", renderable)
    return grid


def table_of(*columns: str, right: bool = False) -> Table:
    """A table without lines; `right` puts all but the first column to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="right" if right and number else "left")
    return table


def as_json(body: Mapping[str, Any]) -> Text:
    """What a client sends."""
    return Text(json.dumps(body, ensure_ascii=False), style="cyan")
