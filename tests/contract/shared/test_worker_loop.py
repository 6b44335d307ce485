"""A worker drains its queue, loses no message whatever happens, and leaves when told to."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from fakes.queue import Queue
from glaciate.errors import Busy, Permanent, Transient
from glaciate.messages import PlanArchives
from glaciate.names import JobId
from glaciate.outbox import SqsDeadLetters
from glaciate.worker_loop import SqsInbox, Worker


def _plan(job: str) -> str:
    return PlanArchives(correlation_id="c", job_id=JobId(job)).to_body()


def _worker(queue: Queue, use_case: Callable[[Any], None], *, visibility_seconds: int = 30) -> Worker:
    inbox = SqsInbox(queue.sqs, queue.url, visibility_seconds)
    return Worker(inbox, SqsDeadLetters(queue.sqs, queue.dead_letters_url), {PlanArchives: use_case}, idle_seconds=0.2)


def test_every_message_is_handled_once_and_acknowledged(queue: Queue) -> None:
    queue.put(_plan("one"), _plan("two"))
    handled: list[str] = []

    taken = _worker(queue, lambda message: handled.append(message.job_id)).run()

    assert taken == 2
    assert sorted(handled) == ["one", "two"]
    assert (queue.visible(), queue.hidden()) == (0, 0)


def test_an_unreadable_message_ends_in_the_dead_letters_and_what_follows_is_handled(queue: Queue) -> None:
    queue.put("{nonsense", _plan("one"))
    handled: list[str] = []

    _worker(queue, lambda message: handled.append(message.job_id)).run()

    assert handled == ["one"]
    assert [body for body, _ in queue.dead()] == ["{nonsense"]
    assert queue.hidden() == 0


@pytest.mark.parametrize("failure", [Transient("later"), Busy("held", retry_after_seconds=600), RuntimeError("a bug")])
def test_a_failed_message_stays_on_the_queue(queue: Queue, failure: Exception) -> None:
    queue.put(_plan("one"))

    def fail(message: PlanArchives) -> None:
        raise failure

    _worker(queue, fail).run()

    assert (queue.visible(), queue.hidden()) == (0, 1)


def test_a_permanent_failure_drops_the_message(queue: Queue) -> None:
    queue.put(_plan("one"))

    def fail(message: PlanArchives) -> None:
        msg = "recorded elsewhere"
        raise Permanent(msg)

    _worker(queue, fail).run()

    assert (queue.visible(), queue.hidden()) == (0, 0)


def test_sigterm_interrupts_the_work_and_gives_the_message_back_at_once(queue: Queue) -> None:
    queue.put(_plan("one"))
    cleaned: list[str] = []

    def work(message: PlanArchives) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        finally:
            cleaned.append(message.job_id)

    before = signal.getsignal(signal.SIGTERM)
    _worker(queue, work).run()

    assert cleaned == ["one"]
    assert (queue.visible(), queue.hidden()) == (1, 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_message_is_held_for_as_long_as_the_work_takes(queue: Queue) -> None:
    queue.put(_plan("one"))
    visible_while_working: list[int] = []

    def work(message: PlanArchives) -> None:
        deadline = time.monotonic() + 2.5  # longer than the visibility time-out of one second
        while time.monotonic() < deadline:
            time.sleep(0.1)
            visible_while_working.append(queue.visible())

    _worker(queue, work, visibility_seconds=1).run()

    assert set(visible_while_working) == {0}
    assert (queue.visible(), queue.hidden()) == (0, 0)
