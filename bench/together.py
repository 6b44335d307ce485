"""The ways that use all processors, each as the packer's worker does: a process of its own on every processor, by the same code.

    python together.py WAY CORPUS FILES        in the environment that `measure.Endpoint.environment` gives

Each process gets an equal share of the files, in key order. The clock starts when all are ready, and stops when the last is
done. CPU-seconds and peak resident sizes are sums over all processes, the first one's included, which only waits.
"""

import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import measure

from glaciate.processes import in_processes

_ALONE: Final = "_alone"


@dataclass(frozen=True, slots=True)
class Share:
    """One process's share of a way. `exchange` is a queue that all of its processes have."""

    corpus: str
    files: int
    number: int
    processes: int
    exchange: Any


def timed(way: str, corpus: str, files: int) -> str:
    """What `measure.timed` tells, of all processes together; of a way's name with `_alone` in one, on one processor."""
    if way.endswith(_ALONE):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # as each of several keeps to a processor
    processes = len(os.sched_getaffinity(0))
    way = way.removesuffix(_ALONE)
    fork = multiprocessing.get_context("fork")
    ready, numbers, told = fork.Barrier(processes), fork.SimpleQueue(), fork.SimpleQueue()
    exchange = fork.Queue()
    for number in range(processes):
        numbers.put(number)

    def work() -> None:
        from pack_ways import SHARED_WAYS

        its_work = SHARED_WAYS[way](Share(corpus, files, numbers.get(), processes, exchange))
        ready.wait()
        cpu, started = measure.cpu_seconds(), time.perf_counter()  # one clock for all processes
        more = its_work() or {}
        told.put((started, time.perf_counter(), measure.cpu_seconds() - cpu, measure.peak_rss_mb(), more))

    in_processes(work, processes)
    starts, ends, cpus, peaks, mores = zip(*(told.get() for _ in range(processes)), strict=True)
    more = {name: sum(each.get(name, 0) for each in mores) for name in mores[0]}
    rss_mb = sum(peaks) + (measure.peak_rss_mb() if processes > 1 else 0)
    return json.dumps([files, max(ends) - min(starts), sum(cpus), rss_mb, more | {"processes": processes}])


if __name__ == "__main__":
    name, corpus_name, number_of_files = sys.argv[1:]
    print(timed(name, corpus_name, int(number_of_files)))
