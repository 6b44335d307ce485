"""Threads that fetch: how many, and what is handed to them and back."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

from glaciate.processes import processors

_LOOK_SECONDS: Final = 0.1
_BUSY: Final = 0.6


@dataclass(slots=True)
class Lanes:
    """How many threads fetch: few while the processors are busy, for threads that only wait for one another cost a third of
    the work; more and more while they idle, because then S3 is what takes the time.
    """

    most: int
    open: int = 16
    now: Callable[[], float] = time.monotonic
    worked: Callable[[], float] = time.process_time
    processors: int = field(default_factory=processors)
    _since: float = field(init=False)
    _worked_then: float = field(init=False)

    def __post_init__(self) -> None:
        self.open = min(self.open, self.most)
        self._since, self._worked_then = self.now(), self.worked()

    def adapt(self) -> None:
        """Looks at the processors now and then, and doubles the lanes where they idle."""
        passed = self.now() - self._since
        if passed < _LOOK_SECONDS or self.open == self.most:
            return
        if self.worked() - self._worked_then < _BUSY * passed * self.processors:
            self.open = min(2 * self.open, self.most)
        self._since, self._worked_then = self.now(), self.worked()


class Sized(Protocol):
    """Something that takes memory while it is worked on."""

    @property
    def size(self) -> int:
        """Bytes."""


Task = TypeVar("Task", bound=Sized)
Result = TypeVar("Result")


def in_order(
    tasks: Iterator[Task], work: Callable[[Task, threading.Event], Result], *, lanes: Lanes, window_bytes: int
) -> Generator[Result]:
    """What the tasks come to, in their order, worked on in as many threads as there are lanes.

    Two tasks a lane are on their way at the most, and `window_bytes` of them (or one, if it is larger). Plain locks and a queue:
    an executor's futures cost as much as a small file's GET. Whoever leaves early waits for what the threads are at; the
    event tells them to hurry.
    """
    crew = _Crew(work)
    window: deque[_Handed[Task, Result]] = deque()
    held = 0
    try:
        waiting = next(tasks, None)
        while waiting is not None or window:
            while waiting is not None and (
                not window or (len(window) < 2 * lanes.open and held + waiting.size <= window_bytes)
            ):
                window.append(crew.take(waiting))
                held += waiting.size
                crew.grow(min(lanes.open, len(window)))
                waiting = next(tasks, None)
            first = window.popleft()
            yield first.outcome()
            held -= first.task.size
            lanes.adapt()
    finally:
        crew.leave()


@dataclass(slots=True)
class _Handed(Generic[Task, Result]):
    """A task on its way to a thread and back. `done` is held until it is done."""

    task: Task
    done: threading.Lock = field(default_factory=threading.Lock)
    result: Result | None = None
    failure: BaseException | None = None

    def outcome(self) -> Result:
        """Waits for it."""
        self.done.acquire()
        if self.failure is not None:
            raise self.failure
        return self.result  # type: ignore[return-value]  # there is one, where there is no failure


class _Crew(Generic[Task, Result]):
    """The threads, and the queue they take tasks from."""

    def __init__(self, work: Callable[[Task, threading.Event], Result]) -> None:
        self._work = work
        self._queue: SimpleQueue[_Handed[Task, Result] | None] = SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def take(self, task: Task) -> _Handed[Task, Result]:
        handed: _Handed[Task, Result] = _Handed(task)
        handed.done.acquire()
        self._queue.put(handed)
        return handed

    def grow(self, threads: int) -> None:
        while len(self._threads) < threads:
            thread = threading.Thread(target=self._run, name="fetch", daemon=True)
            thread.start()  # SIGTERM may interrupt it: what is on the list can be joined
            self._threads.append(thread)

    def leave(self) -> None:
        self._stop.set()
        self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (handed := self._queue.get()) is not None:
            if not self._stop.is_set():
                try:
                    handed.result = self._work(handed.task, self._stop)
                except BaseException as failure:  # noqa: BLE001 - raised again by whoever takes the result
                    handed.failure = failure
            handed.done.release()
        self._queue.put(None)  # for the next one
