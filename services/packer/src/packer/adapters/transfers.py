"""Many requests at once, all in the thread that asks for them, by libcurl's multi interface.

Threads that each make one request hand the interpreter to one another several times a file, which costs more than the request.
Here one thread has all of them on their way, and does what there is to do with an answer as soon as it is there.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

import pycurl

_BEGUN_TOGETHER: Final = 16  # requests
_RUN: Final = 32  # results, or
_RUN_BYTES: Final = 256 * 1024
_LONGEST_WAIT_SECONDS: Final = 1.0  # SIGTERM is heard of in between
_CALLS_AT_ONCE: Final = 16
_LOOK_AT_CALLS_SECONDS: Final = 0.002  # libcurl waits for sockets only


class TransferFailed(OSError):
    """No whole answer came. `errno` is libcurl's number."""


@dataclass(slots=True)
class Answer:
    """What came. `head` are the header's lines as they came, the status line first."""

    status: int
    head: list[bytes]
    body: bytearray


class Request(Protocol):
    """Something libcurl can ask for."""

    def prepare(self, curl: Any) -> None:
        """Sets the options of a handle that has those of an earlier request."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Going on later."""

    seconds: float


Result = TypeVar("Result")
Step = Request | Pause | Callable[[], Any]
# What a task yields is a request, whose `Answer` it is sent, or a call that takes its time, which a thread makes, and of which
# it is sent the result; what goes wrong is raised inside the task.
Task = Generator[Step, Any, Result]


@dataclass(slots=True, eq=False)
class _Running(Generic[Result]):
    task: Task[Result]
    size: int
    done: bool = False
    result: Result | None = None
    failure: Exception | None = None

    def outcome(self) -> Result:
        if self.failure is not None:
            raise self.failure
        return self.result  # type: ignore[return-value]  # there is one, where there is no failure


@dataclass(slots=True)
class Transfers:
    """`most` requests at once, over connections that are kept from one call of `in_order` to the next."""

    handle: Callable[[], Any]  # a new one of libcurl's
    most: int
    window_bytes: int
    _multis: list[Any] = field(default_factory=list)

    def in_order(self, tasks: Iterator[tuple[int, Task[Result]]]) -> Generator[Result]:
        """What the tasks come to, in their order. Each comes with the bytes it will hold: those not yet taken are no more than
        `window_bytes`, or one task's. A failure rises where its result is due.
        """
        with closing(self.in_runs(tasks)) as runs:
            for run in runs:
                yield from run

    def in_runs(self, tasks: Iterator[tuple[int, Task[Result]]]) -> Generator[list[Result]]:
        """The same, some at once where they are small: what is done for many in a row costs much less than in between others."""
        multi = self._multis.pop() if self._multis else _new_multi(self.most)
        turns = _Turns(multi, self.handle)
        window: deque[_Running[Result]] = deque()
        held = 0
        begin_again_at = self.most - max(1, min(_BEGUN_TOGETHER, self.most // 2))
        try:
            waiting = next(tasks, None)
            while waiting is not None or window:
                may_begin = turns.busy <= begin_again_at
                while (
                    waiting is not None
                    and may_begin
                    and (not window or (len(window) < 2 * self.most and held + waiting[0] <= self.window_bytes))
                ):
                    size, task = waiting
                    running = _Running(task, size)
                    window.append(running)
                    held += size
                    turns.begin(running)
                    waiting = next(tasks, None)
                    may_begin = turns.busy < self.most
                due = _due(window)
                if not due or turns.begun:
                    turns.take(wait=not due)
                if due:
                    taken = sum(window[number].size for number in range(due))
                    yield [window.popleft().outcome() for _ in range(due)]  # nothing here keeps them any longer
                    held -= taken
            self._multis.append(multi)
        finally:
            turns.leave()


def _due(window: "deque[_Running[Any]]") -> int:
    """How many results are to be taken now: none while small ones of the next run are not there yet."""
    size = 0
    for number, running in enumerate(window):
        if number == _RUN or size >= _RUN_BYTES:
            return number
        if not running.done:
            return number if running.size >= _RUN_BYTES else 0
        if running.failure is not None:
            return number or 1  # those before it first
        size += running.size
    return len(window)


def _new_multi(most: int) -> Any:
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, most)
    return multi


class _Turns:
    """The tasks that wait for something: an answer, a call, or time to pass."""

    def __init__(self, multi: Any, handle: Callable[[], Any]) -> None:
        self._multi = multi
        self._handle = handle
        self._idle: list[Any] = []
        self._asked: dict[Any, tuple[_Running[Any], list[bytes], bytearray]] = {}
        self._called: dict[Future[Any], _Running[Any]] = {}
        self._pausing: list[tuple[float, int, _Running[Any]]] = []
        self._number = count()
        self._threads: ThreadPoolExecutor | None = None
        self.begun = 0  # requests since the last turn

    @property
    def busy(self) -> int:
        """How many wait for an answer or a call."""
        return len(self._asked) + len(self._called)

    def begin(self, running: _Running[Any]) -> None:
        """Lets a task take its first step."""
        self._go_on(running, running.task.send, None)

    def take(self, *, wait: bool) -> None:
        """Lets every task go on that can; waits for one that can, if `wait`."""
        self.begun = 0
        went_on = self._after_pauses() + self._after_calls() + self._after_answers()
        if wait and not went_on:
            self._wait()

    def leave(self) -> None:
        """Gives up what is still on its way."""
        for curl in self._asked:
            self._multi.remove_handle(curl)
            curl.close()
        self._asked.clear()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _go_on(self, running: _Running[Any], resume: Callable[[Any], Step], came: object) -> None:
        """Lets a task take its next step, by its `send` or its `throw`."""
        try:
            wanted = resume(came)
        except StopIteration as end:
            running.result, running.done = end.value, True
        except Exception as failure:  # noqa: BLE001 - raised again by whoever takes the result
            running.failure, running.done = failure, True
        else:
            if isinstance(wanted, Pause):
                heapq.heappush(self._pausing, (time.monotonic() + wanted.seconds, next(self._number), running))
            elif callable(wanted):
                self._threads = self._threads or ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="call")
                self._called[self._threads.submit(wanted)] = running
            else:
                self._ask(running, wanted)

    def _ask(self, running: _Running[Any], request: Request) -> None:
        curl = self._idle.pop() if self._idle else self._handle()
        try:
            request.prepare(curl)
        except Exception as failure:  # noqa: BLE001 - as if no answer came: credentials, say, that cannot be renewed now
            self._idle.append(curl)
            self._go_on(running, running.task.throw, failure)
            return
        head: list[bytes] = []
        body = bytearray()
        curl.setopt(pycurl.HEADERFUNCTION, head.append)
        curl.setopt(pycurl.WRITEFUNCTION, body.extend)
        self._asked[curl] = running, head, body
        self._multi.add_handle(curl)
        self.begun += 1

    def _after_pauses(self) -> int:
        went_on = 0
        while self._pausing and self._pausing[0][0] <= time.monotonic():
            _, _, running = heapq.heappop(self._pausing)
            self._go_on(running, running.task.send, None)
            went_on += 1
        return went_on

    def _after_calls(self) -> int:
        done = [future for future in self._called if future.done()]
        for future in done:
            running = self._called.pop(future)
            failure = future.exception()
            if failure is None:
                self._go_on(running, running.task.send, future.result())
            else:
                self._go_on(running, running.task.throw, failure)
        return len(done)

    def _after_answers(self) -> int:
        self._multi.perform()
        went_on = 0
        left = 1
        while left:
            left, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                running, head, body = self._ended(curl)
                self._idle.append(curl)
                self._go_on(running, running.task.send, Answer(curl.getinfo(pycurl.RESPONSE_CODE), head, body))
            for curl, number, message in failed:
                running, _, _ = self._ended(curl)
                curl.close()
                self._go_on(running, running.task.throw, TransferFailed(number, message or "no answer"))
            went_on += len(succeeded) + len(failed)
        return went_on

    def _ended(self, curl: Any) -> tuple[_Running[Any], list[bytes], bytearray]:
        self._multi.remove_handle(curl)
        return self._asked.pop(curl)

    def _wait(self) -> None:
        seconds = _LONGEST_WAIT_SECONDS
        if self._pausing:
            seconds = min(seconds, max(0.0, self._pausing[0][0] - time.monotonic()))
        if self._asked:
            if self._called:
                seconds = min(seconds, _LOOK_AT_CALLS_SECONDS)
            if self._multi.select(seconds) < 0:  # there is no socket yet: a name is being looked up
                time.sleep(min(seconds, _LOOK_AT_CALLS_SECONDS))
        elif self._called:
            wait_for(self._called, timeout=seconds, return_when=FIRST_COMPLETED)
        else:
            time.sleep(seconds)
