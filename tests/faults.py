"""Counts the faults that tests try: deaths, failed calls, changes at the worst moment. The end of a test run prints them.

A harness says `tried(…)` where it strikes; conftest.py adds what a test has tried to its report, which is how it reaches the run's end
from xdist's workers too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

PROPERTY: Final = "faults tried"
_tried: Counter[str] = Counter()


class Killed(BaseException):
    """The process is dead (SIGKILL): nothing on the way may catch it, and what it would have done next is not done."""


def tried(harness: str) -> None:
    """One more."""
    _tried[harness] += 1


def until_nobody_dies(attempt: Callable[[int], bool], *, at_least: int) -> int:
    """Dies before the first call, then before the second, and so on, until the work is done before its turn.

    Returns how many deaths there were.
    """
    deaths = 0
    while attempt(deaths):
        deaths += 1
    assert deaths >= at_least
    return deaths


def so_far() -> Counter[str]:
    """By harness, of this process."""
    return Counter(_tried)


def sum_of(reports: Iterable[Any]) -> Mapping[str, int]:
    """What the reports of tests tell, by harness."""
    total: Counter[str] = Counter()
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                if name == PROPERTY:
                    total.update(value)
    return dict(sorted(total.items()))
