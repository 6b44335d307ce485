"""The launcher starts what is missing and no more."""

from dataclasses import dataclass, field

import pytest

from fakes.queue import Queue
from glaciate.launcher import KeepWorkersRunning, SqsBacklog


@dataclass
class FakeFleet:
    """Workers that only count."""

    running: int = 0
    started: list[int] = field(default_factory=list)

    def live(self) -> int:
        return self.running

    def start(self, workers: int) -> None:
        self.started.append(workers)
        self.running += workers


@pytest.mark.parametrize(
    ("messages", "running", "started"),
    [(0, 0, []), (1, 0, [1]), (4, 0, [1]), (5, 0, [2]), (5, 2, []), (40, 1, [2]), (0, 1, [])],
)
def test_as_many_workers_run_as_the_backlog_needs(
    queue: Queue, messages: int, running: int, started: list[int]
) -> None:
    queue.put(*["{}"] * messages)
    fleet = FakeFleet(running)

    KeepWorkersRunning(SqsBacklog(queue.sqs, queue.url), fleet, messages_per_worker=4, max_workers=3)()

    assert fleet.started == started


def test_launching_twice_starts_no_second_worker(queue: Queue) -> None:
    queue.put("{}")
    launch = KeepWorkersRunning(SqsBacklog(queue.sqs, queue.url), FakeFleet(), messages_per_worker=4, max_workers=3)

    assert (launch(), launch()) == (1, 0)


def test_announced_work_gets_a_worker_though_the_queue_does_not_show_it_yet(queue: Queue) -> None:
    launch = KeepWorkersRunning(SqsBacklog(queue.sqs, queue.url), FakeFleet(), messages_per_worker=4, max_workers=3)

    assert (launch(), launch(announced=True), launch(announced=True)) == (0, 1, 0)


def test_messages_in_flight_count_as_work(queue: Queue) -> None:
    queue.put("{}")
    queue.sqs.receive_message(QueueUrl=queue.url)

    assert SqsBacklog(queue.sqs, queue.url).messages() == 1
