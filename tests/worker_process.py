"""Workers as real processes, as Batch starts them."""

import subprocess
import sys
from collections.abc import Mapping


def start(service: str, environment: Mapping[str, str], *options: str) -> subprocess.Popen[bytes]:
    """The worker of a service; what it says is on its standard output."""
    return subprocess.Popen(
        [sys.executable, "-m", f"{service}.worker", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run(service: str, environment: Mapping[str, str], *options: str) -> str:
    """Runs a worker until it leaves by itself; what it said."""
    worker = start(service, environment, *options)
    said, _ = worker.communicate(timeout=120)
    assert worker.returncode == 0, said.decode()
    return said.decode()
