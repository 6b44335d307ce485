"""The local cloud's server process: MiniStack with its gaps filled, on 127.0.0.1.

`python -m glaciate_local.server` is started by `glaciate_local.cloud.start`; it writes `server.json` once it listens,
and stops by itself after a long time without a request.
"""

import asyncio
import importlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from glaciate_local.processes import start_time_of
from glaciate_local.settings import ACCOUNT, REGION, LocalSettings

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE")

log = logging.getLogger("glaciate.local")


def server_environment(settings: LocalSettings, *, port: int, token: str) -> dict[str, str]:
    """All that MiniStack, the Lambda functions and the jobs see: nothing of the user's own AWS set-up.

    The root key is random and stays in this process; `up` makes a user whose signatures are really checked.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    nowhere = str(settings.directory / "no-aws-configuration")
    return {
        **kept,
        **settings.to_environment(),
        "GLACIATE_LOCAL_TOKEN": token,
        "GLACIATE_LOCAL_ENDPOINT": f"http://127.0.0.1:{port}",
        "TMPDIR": str(settings.temporary),
        "NO_PROXY": "127.0.0.1,localhost",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",
        "POWERTOOLS_TRACE_DISABLED": "true",  # MiniStack refuses X-Ray's segments
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": f"AKIAROOT{secrets.token_hex(6).upper()}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
    }


class LastUse:
    """When somebody last asked for something; what functions and jobs ask among themselves does not count."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            credential = dict(scope["headers"]).get(b"authorization", b"")
            if b"Credential=ASIA" not in credential:
                self.at = time.monotonic()
        await self._app(scope, receive, send)


async def serve(settings: LocalSettings, listener: socket.socket, token: str, *, fill_gaps: bool) -> None:
    """Serve until SIGTERM, or until nobody has asked for anything for long."""
    ministack = importlib.import_module("ministack.app")
    hypercorn = importlib.import_module("hypercorn.asyncio")
    config = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"

    jobs = None
    if fill_gaps:
        gaps = importlib.import_module("glaciate_local.gaps")
        for gap in gaps.GAPS:
            gap.fill(settings)
        gaps.functions.write_logs(settings)
        jobs = gaps.batch.running_jobs

    app = LastUse(ministack.app)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def stop_when_idle() -> None:
        while not stop.is_set():
            idle = time.monotonic() - app.at
            if idle >= settings.idle_seconds and not (jobs and jobs.busy):
                log.warning("nobody asked for anything for %d s: stopping", idle)
                stop.set()
                return
            await asyncio.sleep(min(5.0, settings.idle_seconds / 4))

    async def announce() -> None:
        half = settings.server_json.with_suffix(".new")
        half.touch(mode=0o600)
        half.write_text(
            json.dumps(
                {
                    "process_id": os.getpid(),
                    "started": start_time_of(os.getpid()),
                    "token": token,
                    "endpoint": os.environ["GLACIATE_LOCAL_ENDPOINT"],
                    "root_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                    "root_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
                }
            )
        )
        half.replace(settings.server_json)

    async def stopping() -> None:
        await announce()
        await stop.wait()
        if jobs is not None:
            await jobs.stop_all("the local cloud stopped")

    idle = asyncio.create_task(stop_when_idle())
    await hypercorn.serve(app, config, shutdown_trigger=stopping)
    idle.cancel()


def main() -> int:
    """Become the server."""
    settings = LocalSettings.from_environment()
    token = os.environ["GLACIATE_LOCAL_TOKEN"]
    fill_gaps = os.environ.get("GLACIATE_LOCAL_WITHOUT_GAPS") != "1"
    settings.temporary.mkdir(parents=True, exist_ok=True)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", settings.port))
    environment = server_environment(settings, port=listener.getsockname()[1], token=token)
    os.environ.clear()
    os.environ.update(environment)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")
    asyncio.run(serve(settings, listener, token, fill_gaps=fill_gaps))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os._exit(0)  # MiniStack's threads never end by themselves


if __name__ == "__main__":
    sys.exit(main())
