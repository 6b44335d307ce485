"""A worker of several processes, one a processor: the threads of one Python process stand in each other's way.

The first process only starts the others, hands SIGTERM on to them and waits; it imports nothing that takes memory.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_NEW_OBJECTS: Final = 20_000


def in_processes(work: Callable[[], object], processes: int) -> None:
    """Does the work in so many processes at once, in this one if it is one; returns when all have ended.

    Python looks for cycles of garbage less often in them: the many objects that a file leaves make none, and looking after every
    700 of them takes a fifteenth of the time.

    Raises:
        SystemExit: one of them failed, or was killed. The others have gone on to their own end.
    """
    gc.set_threshold(_NEW_OBJECTS)
    if processes == 1:
        work()
        return
    fork = multiprocessing.get_context("fork")
    parent = os.getpid()
    workers = [
        fork.Process(target=_begin, args=(work, parent, number, processes), name=f"worker-{number}")
        for number in range(processes)
    ]

    def hand_on(_signal: int, _frame: FrameType | None) -> None:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()

    before = signal.signal(signal.SIGTERM, hand_on)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # none may come to a process that does not know it yet
    try:
        for worker in workers:
            worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    for worker in workers:
        worker.join()
    signal.signal(signal.SIGTERM, before)
    failed = [f"{worker.name} ended with {worker.exitcode}" for worker in workers if worker.exitcode]
    if failed:
        sys.exit("; ".join(failed))


def _begin(work: Callable[[], object], parent: int, number: int, processes: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _die_with(parent)
    _keep_to_a_processor(number, processes)
    work()


def _die_with(parent: int) -> None:
    """Where the first process is killed, nobody would hand SIGTERM on any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was before this could be said
        os.kill(os.getpid(), signal.SIGKILL)


def _keep_to_a_processor(number: int, processes: int) -> None:
    """Each its own, where there are as many as processes: threads that hand the interpreter to each other then share a cache."""
    if hasattr(os, "sched_getaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        if len(processors) == processes:
            os.sched_setaffinity(0, {processors[number]})
