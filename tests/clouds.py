"""Local clouds for tests: each starts its own on a free port in a temporary folder, and stops it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glaciate_local import cloud as local_cloud
from glaciate_local.cloud import Server
from glaciate_local.settings import LocalSettings
from glaciate_local.up import up

WORKER = '''
"""What the tests' image holds: it does what its command says."""
import json, os, signal, sys, time

if sys.argv[1] == "tell":
    print(json.dumps({"arguments": sys.argv[2:], "environment": dict(os.environ), "path": sys.path}))
elif sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
elif sys.argv[1] == "fail_until_attempt":
    sys.exit(0 if os.environ["AWS_BATCH_JOB_ATTEMPT"] == sys.argv[2] else 7)
elif sys.argv[1] == "wait":
    print("waiting", flush=True)
    time.sleep(60)
elif sys.argv[1] == "stop_politely":
    def stop(*_):
        print("stopping politely", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    print("waiting", flush=True)
    time.sleep(60)
elif sys.argv[1] == "refuse_to_stop":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("waiting", flush=True)
    time.sleep(60)
elif sys.argv[1] == "import":
    __import__(sys.argv[2])
'''


def settings_in(folder: Path, **environment: str) -> LocalSettings:
    """Settings of a local cloud that writes into the folder only."""
    workers = folder / "workers"
    (workers / "tester").mkdir(parents=True, exist_ok=True)
    (workers / "tester" / "tester.py").write_text(WORKER)
    given = {
        "GLACIATE_LOCAL_DIR": str(folder / "state"),
        "GLACIATE_LOCAL_WORKERS_DIR": str(workers),
        "GLACIATE_LOCAL_THAW_SECONDS": "0.5",
        "GLACIATE_LOCAL_STOP_SECONDS": "1",
        "GLACIATE_LOCAL_JOB_SLOTS": "3",
        "GLACIATE_LOCAL_IDLE_SECONDS": "900",  # a test run that was killed leaves nothing for long
        **environment,
    }
    return LocalSettings.from_environment(given)


@pytest.fixture(scope="session")
def server_settings(tmp_path_factory: pytest.TempPathFactory) -> LocalSettings:
    """Where the session's `server` writes."""
    return settings_in(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def server(server_settings: LocalSettings) -> Iterator[Server]:
    """A running server with its gaps filled and nothing deployed."""
    yield local_cloud.start(server_settings)
    local_cloud.stop(server_settings, keep=False)


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MiniStack alone, with no gap filled."""
    settings = settings_in(tmp_path_factory.mktemp("bare"))
    yield local_cloud.start(settings, fill_gaps=False)
    local_cloud.stop(settings, keep=False)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The whole of Glaciate, deployed from the template that goes to AWS; its `local.json`."""
    folder = tmp_path_factory.mktemp("cloud")
    given = {
        "GLACIATE_LOCAL_DIR": str(folder / "state"),
        "GLACIATE_LOCAL_THAW_SECONDS": "1",
        "GLACIATE_LOCAL_IDLE_SECONDS": "900",
    }
    settings = LocalSettings.from_environment(given)
    try:
        yield up(settings)
    finally:
        local_cloud.stop(settings, keep=True)
