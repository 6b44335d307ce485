"""Start and stop the local cloud's server."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from glaciate_local.processes import PROC, is_running, members_of_session, send, wait_until
from glaciate_local.settings import REGION, LocalSettings

START_SECONDS = 90.0


class CloudFailed(Exception):
    """The local cloud could not be started, deployed or stopped; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was started, as its `server.json` tells."""

    process_id: int
    started: str | None
    token: str
    endpoint: str
    root_access_key_id: str
    root_secret_access_key: str

    @property
    def runs(self) -> bool:
        """Whether this very process is still there."""
        return is_running(self.process_id, self.started)

    def client(self, service: str) -> Any:
        """A boto3 client with the root's rights, for setting the cloud up."""
        return _client(service, self.endpoint, self.root_access_key_id, self.root_secret_access_key)


@cache
def _client(service: str, endpoint: str, access_key_id: str, secret_access_key: str) -> Any:
    return boto3.session.Session().client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@contextmanager
def one_at_a_time(settings: LocalSettings) -> Iterator[None]:
    """Two `up`s or `down`s on one folder wait for each other."""
    name = hashlib.sha256(str(settings.directory).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir(), f"glaciate-{os.getuid()}-{name}.lock")  # `down` removes the folder itself
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def known_server(settings: LocalSettings) -> Server | None:
    """The server this folder knows, running or not."""
    try:
        return Server(**json.loads(settings.server_json.read_text()))
    except FileNotFoundError:
        return None


def running_server(settings: LocalSettings) -> Server | None:
    """The server of this folder if it runs."""
    server = known_server(settings)
    return server if server is not None and server.runs else None


def claim(settings: LocalSettings) -> None:
    """Make the folder ours, so that `down` may remove it.

    Raises:
        CloudFailed: it holds something else.
    """
    settings.directory.mkdir(parents=True, exist_ok=True)
    if any(settings.directory.iterdir()) and not (settings.marker.exists() or settings.server_json.exists()):
        raise CloudFailed(f"{settings.directory} holds something else; name an empty folder in GLACIATE_LOCAL_DIR")
    settings.marker.write_text("This folder was made by Glaciate's local cloud, and `make down` removes it.\n")


def start(settings: LocalSettings, *, fill_gaps: bool = True) -> Server:
    """Start the server in the background, in a session of its own, and wait until it answers."""
    claim(settings)
    settings.server_json.unlink(missing_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **settings.to_environment(),
        "GLACIATE_LOCAL_TOKEN": secrets.token_hex(16),
        "GLACIATE_LOCAL_WITHOUT_GAPS": "0" if fill_gaps else "1",
    }
    with settings.server_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "glaciate_local.server"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.directory,
            env=environment,
            start_new_session=True,
        )

    def answers() -> bool:
        if process.poll() is not None:
            raise CloudFailed(f"the local cloud stopped while starting:\n{last_lines(settings)}")
        server = known_server(settings)
        return server is not None and healthy(server)

    if not wait_until(answers, START_SECONDS):
        process.kill()
        raise CloudFailed(f"the local cloud did not answer within {START_SECONDS:.0f} s, see {settings.server_log}")
    server = known_server(settings)
    if server is None:
        raise CloudFailed(f"{settings.server_json} is gone again")
    process.returncode = 0  # it is meant to outlive this one: no warning about a child left running
    return server


def healthy(server: Server) -> bool:
    """Whether the server answers its health page."""
    try:
        with urllib.request.urlopen(f"{server.endpoint}/_ministack/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def stop(settings: LocalSettings, *, keep: bool) -> str:
    """Stop exactly the server this folder knows with all it started, and forget its state; says what was done."""
    server = known_server(settings)
    said = "the local cloud was not running"
    if server is not None:
        if server.runs:
            send(server.process_id, signal.SIGTERM)
            if not wait_until(lambda: not server.runs, settings.stop_seconds + 10):
                send(server.process_id, signal.SIGKILL)
            said = f"stopped the local cloud (process {server.process_id})"
        _stop_leftovers(server)
        settings.server_json.unlink(missing_ok=True)
    if keep:
        settings.local_json.unlink(missing_ok=True)
        shutil.rmtree(settings.temporary, ignore_errors=True)
        return f"{said}; its logs are in {settings.directory}"
    if settings.marker.exists() or server is not None:
        shutil.rmtree(settings.directory)
    return said


def _stop_leftovers(server: Server) -> None:
    """Functions and jobs that outlived the server, known by its session and its token in their environment."""
    if server.runs:
        raise CloudFailed(f"process {server.process_id} does not stop")

    def left() -> tuple[int, ...]:
        return tuple(one for one in members_of_session(server.process_id) if _is_ours(one, server.token))

    for process_id in left():
        send(process_id, signal.SIGKILL)
    if not wait_until(lambda: not left(), 10):
        raise CloudFailed(f"processes {left()} do not stop")


def _is_ours(process_id: int, token: str) -> bool:
    """Whether the token is in its environment; where a system hides that, the session alone has to do."""
    if not PROC.joinpath("self").exists():
        return True
    with contextlib.suppress(OSError):
        return f"GLACIATE_LOCAL_TOKEN={token}".encode() in PROC.joinpath(str(process_id), "environ").read_bytes()
    return False


def last_lines(settings: LocalSettings, count: int = 20) -> str:
    """The end of the server's log."""
    return "\n".join(settings.server_log.read_text(errors="replace").splitlines()[-count:])
