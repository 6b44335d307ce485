"""Processes of ours, told from others that got the same number later."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")


def start_time_of(process_id: int) -> str | None:
    """When the process started, in whatever form this system tells; None when there is no such process."""
    if PROC.joinpath("self").exists():
        try:
            status = PROC.joinpath(str(process_id), "stat").read_text()
        except OSError:
            return None
        fields = status.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    told = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(process_id)], check=False, capture_output=True, text=True
    ).stdout.strip()
    return told or None


def is_running(process_id: int, started: str | None) -> bool:
    """Whether this very process is still there."""
    return started is not None and start_time_of(process_id) == started


def members_of_session(session_id: int) -> tuple[int, ...]:
    """Every process of the session that the server leads: its functions and jobs."""
    if PROC.joinpath("self").exists():
        numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    else:
        told = subprocess.run(["ps", "-A", "-o", "pid="], check=True, capture_output=True, text=True).stdout
        numbers = [int(word) for word in told.split()]
    members = []
    for number in numbers:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(number) == session_id and start_time_of(number) is not None:
                members.append(number)
    return tuple(members)


def send(process_id: int, number: signal.Signals) -> None:
    """Signal a process; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until it is true or the time is over; answers whether it is true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
