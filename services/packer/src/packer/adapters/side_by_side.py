"""Listing several stretches of the key space at once, in key order, in bounded memory.

A listing is a row of stretches, each from one key to another; together they cover every key once, whatever the borders are:
a key belongs to the stretch whose start lies before it and whose end does not. So borders may be guessed. A stretch is
listed page by page; what is read of it waits until all before it is given.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from packer.domain.keyspace import Scale
from packer.domain.sources import SourceFile

_ONE_GUESS_UP_TO_PAGES: Final = (
    8  # and the page that was guessed at: one request too many is all that guessing may cost
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some files in key order, and the token to go on with, if there is more."""

    files: Sequence[SourceFile]
    token: str | None


FetchPage = Callable[[str, str | None], Page]
"""The page behind a key; with a token, the page that the token goes on with."""


@dataclass(slots=True, eq=False)
class _Stretch:
    """The keys behind `after`, up to and with `until`, if there is an end to it. It is read as far as `after`."""

    after: str
    until: str | None
    scale: Scale | None
    token: str | None = None
    pages: deque[Sequence[SourceFile]] = field(default_factory=deque)
    asked: "Future[Page] | None" = None
    has_ended: bool = False
    has_given: bool = False
    is_short_from: str | None = None  # read as far as this, it was not longer than it should be


@dataclass(slots=True)
class SideBySide:
    """One listing. `at_once` requests at the most; `pages_each`: how long a stretch should be, and how much of it may wait.

    Memory: `at_once` times `pages_each` pages. A listing of up to eight pages costs one request more than one page after another
    does, at the most; a longer one that many more for each guess that meets nothing, and guesses at fewer stretches then.
    """

    fetch: FetchPage
    floor: int
    at_once: int = 8
    pages_each: int = 4
    _stretches: deque[_Stretch] = field(default_factory=deque)
    _width: int = field(init=False)
    _guesses: int = 0
    _pages: int = 0

    def __post_init__(self) -> None:
        self._width = min(2, self.at_once)

    def files(self, after: str) -> Iterator[SourceFile]:
        """Every file behind a key, in key order."""
        self._stretches.append(_Stretch(after, None, None))
        threads = ThreadPoolExecutor(self.at_once, thread_name_prefix="list")
        try:
            while self._stretches:
                self._take_what_has_come()
                self._ask(threads)
                first = self._stretches[0]
                if first.pages:
                    yield from first.pages.popleft()
                elif first.has_ended:
                    self._stretches.popleft()
                else:
                    self._take(first)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

    def _take_what_has_come(self) -> None:
        for stretch in self._stretches:
            if stretch.asked is not None and stretch.asked.done():
                self._take(stretch)

    def _take(self, stretch: _Stretch) -> None:
        """Waits for a stretch's page, and keeps what of it belongs to the stretch."""
        if stretch.asked is None:
            msg = "nothing was asked for"
            raise ValueError(msg)
        page = stretch.asked.result()
        stretch.asked = None
        files = page.files
        if stretch.until is not None and files and files[-1].key > stretch.until:
            files = files[: bisect_right(files, stretch.until, key=_key)]
            stretch.has_ended = True
        elif page.token is None:
            stretch.has_ended = True
        stretch.token = page.token
        self._pages += 1
        if files:
            stretch.pages.append(files)
            stretch.after = files[-1].key
            stretch.scale = Scale.of([file.key for file in files])
            stretch.has_given = True
        if stretch.has_ended and stretch.until is not None:
            self._width = min(2 * self._width, self.at_once) if stretch.has_given else max(2, self._width // 2)

    def _ask(self, threads: ThreadPoolExecutor) -> None:
        """Keeps requests on their way: for the earliest stretches first, then for new ones."""
        room = self._width - sum(stretch.asked is not None for stretch in self._stretches)
        waiting = sum(len(stretch.pages) for stretch in self._stretches)
        for place, stretch in enumerate(self._stretches):
            is_needed = place == 0 and not stretch.pages
            if room <= 0 and not is_needed:
                return
            if stretch.asked is None and not stretch.has_ended and self._may_go_on(place, stretch, waiting):
                stretch.asked = threads.submit(self.fetch, stretch.after, stretch.token)
                room -= 1
        while room > 0 and waiting < self.at_once * self.pages_each and self._may_guess():
            new = self._split()
            if new is None:
                return
            new.asked = threads.submit(self.fetch, new.after, None)
            room -= 1

    def _may_go_on(self, place: int, stretch: _Stretch, waiting: int) -> bool:
        if place == 0:
            return len(stretch.pages) < self.pages_each
        return len(stretch.pages) < self.pages_each and waiting < self.at_once * self.pages_each

    def _may_guess(self) -> bool:
        return self._guesses == 0 or self._pages > _ONE_GUESS_UP_TO_PAGES

    def _split(self) -> _Stretch | None:
        """A new stretch out of the earliest one that is longer than it should be."""
        for place, stretch in enumerate(self._stretches):
            if stretch.has_ended or stretch.scale is None or stretch.is_short_from == stretch.after:
                continue
            border = stretch.scale.ahead(stretch.after, pages=self.pages_each, floor=self.floor)
            if border is None or (stretch.until is not None and border >= stretch.until):
                stretch.is_short_from = stretch.after
                continue
            new = _Stretch(border, stretch.until, stretch.scale)
            stretch.until = border
            self._stretches.insert(place + 1, new)
            self._guesses += 1
            return new
        return None


def _key(file: SourceFile) -> str:
    return file.key
