"""How many chunks are on their way follows what the processors do."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from packer.adapters.lanes import Lanes, in_order


@dataclass
class Machine:
    now: float = 0.0
    worked: float = 0.0

    def run(self, seconds: float, *, load: float) -> None:
        self.now += seconds
        self.worked += seconds * load

    def lanes(self) -> Lanes:
        return Lanes(most=100, now=lambda: self.now, worked=lambda: self.worked, processors=2)


def test_idle_processors_open_more_lanes_up_to_the_most() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(10):
        machine.run(0.2, load=0.3)
        lanes.adapt()

    assert lanes.open == 100


def test_busy_processors_open_none() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(10):
        machine.run(0.2, load=1.9)
        lanes.adapt()

    assert lanes.open == 16


def test_nothing_is_decided_on_a_blink() -> None:
    machine = Machine()
    lanes = machine.lanes()

    for _ in range(9):
        machine.run(0.001, load=0)
        lanes.adapt()

    assert lanes.open == 16


@dataclass(frozen=True)
class Task:
    number: int
    size: int = 1


def run(numbers: int, work: Callable[[Task, threading.Event], int], *, window_bytes: int = 1000) -> list[int]:
    tasks = (Task(number) for number in range(numbers))
    return list(in_order(tasks, work, lanes=Lanes(most=4), window_bytes=window_bytes))


def test_results_come_in_the_order_of_the_tasks() -> None:
    def slow_first(task: Task, stop: threading.Event) -> int:
        if task.number == 0:
            stop.wait(0.05)
        return task.number

    assert run(50, slow_first) == list(range(50))


def test_no_more_is_on_its_way_than_the_window_holds() -> None:
    lock = threading.Lock()
    ahead = most = 0
    taken: list[int] = []

    def work(task: Task, stop: threading.Event) -> int:
        nonlocal ahead, most
        with lock:
            ahead = task.number - len(taken)
            most = max(most, ahead)
        return task.number

    tasks = (Task(number) for number in range(100))
    for result in in_order(tasks, work, lanes=Lanes(most=4), window_bytes=3):
        taken.append(result)  # noqa: PERF402 - the threads look at it meanwhile

    assert most <= 3


def test_one_task_larger_than_the_window_goes_alone() -> None:
    assert run(3, lambda task, stop: task.number, window_bytes=0) == [0, 1, 2]


def test_a_failure_rises_where_its_result_is_due_and_the_threads_end() -> None:
    def fail(task: Task, stop: threading.Event) -> int:
        if task.number == 3:
            raise OSError("an accident")
        return task.number

    with pytest.raises(OSError, match="an accident"):
        run(10, fail)

    assert not [thread for thread in threading.enumerate() if thread.name == "fetch"]


def test_whoever_leaves_early_hurries_the_threads() -> None:
    hurried = threading.Event()

    def work(task: Task, stop: threading.Event) -> int:
        if task.number > 0 and stop.wait(10):
            hurried.set()
        return task.number

    results = in_order((Task(number) for number in range(100)), work, lanes=Lanes(most=4), window_bytes=1000)
    assert next(results) == 0
    results.close()

    assert hurried.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "fetch"]
