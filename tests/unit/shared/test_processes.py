"""A worker of several processes: each does the work, SIGTERM reaches all, a failure of one is told."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glaciate.processes import in_processes
from waiting import until

SCRIPT = """
import os, pathlib, signal, sys, time
from glaciate.processes import in_processes
folder, processes, how = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def work():
    if how == "wait":
        signal.signal(signal.SIGTERM, lambda *_: ((folder / f"{os.getpid()}.stopped").touch(), sys.exit(0)))
    (folder / f"{os.getpid()}.started").touch()
    if how == "fail" and min(int(path.stem) for path in folder.glob("*.started")) == os.getpid():
        raise RuntimeError("an accident")
    while how == "wait":
        time.sleep(0.05)
in_processes(work, processes)
"""


def started(folder: Path, processes: int, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(processes), how], stderr=subprocess.PIPE)


def test_one_process_does_it_itself() -> None:
    seen: list[int] = []

    in_processes(lambda: seen.append(os.getpid()), 1)

    assert seen == [os.getpid()]


def test_cycles_of_garbage_are_looked_for_less_often_at_work() -> None:
    gc.set_threshold(700)
    at_work: list[int] = []

    in_processes(lambda: at_work.append(gc.get_threshold()[0]), 1)

    assert at_work[0] > 7_000


def test_each_process_does_the_work(tmp_path: Path) -> None:
    worker = started(tmp_path, 3, "end")

    _, said = worker.communicate(timeout=60)

    assert worker.returncode == 0, said.decode()
    assert len(list(tmp_path.glob("*.started"))) == 3


def test_sigterm_reaches_all_of_them_and_the_first_waits_for_them(tmp_path: Path) -> None:
    worker = started(tmp_path, 2, "wait")
    until("two processes", lambda: len(list(tmp_path.glob("*.started"))) == 2)

    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)

    assert worker.returncode == 0, said.decode()
    assert len(list(tmp_path.glob("*.stopped"))) == 2


def test_a_failure_of_one_is_told_when_all_have_ended(tmp_path: Path) -> None:
    worker = started(tmp_path, 2, "fail")

    _, said = worker.communicate(timeout=60)

    assert worker.returncode == 1
    assert "an accident" in said.decode()
    assert "ended with 1" in said.decode()
    assert len(list(tmp_path.glob("*.started"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process dies with its parent")
def test_none_goes_on_unseen_where_the_first_is_killed(tmp_path: Path) -> None:
    worker = started(tmp_path, 2, "wait")
    until("two processes", lambda: len(list(tmp_path.glob("*.started"))) == 2)

    worker.kill()
    worker.communicate(timeout=60)

    pids = [int(path.stem) for path in tmp_path.glob("*.started")]
    until("their end", lambda: not any(is_alive(pid) for pid in pids))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
