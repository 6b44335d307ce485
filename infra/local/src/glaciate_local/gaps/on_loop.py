"""Run on the server's loop what its threads must not do beside it."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ministack import app

P = ParamSpec("P")
T = TypeVar("T")


def server_loop() -> asyncio.AbstractEventLoop:
    """The loop that serves requests."""
    loop: asyncio.AbstractEventLoop | None = app._MAIN_LOOP
    if loop is None:
        raise RuntimeError("the server has not started yet")
    return loop


def on_loop(function: Callable[P, T]) -> Callable[P, T]:
    """The function, run on the server's loop wherever it is called, within the caller's account and region."""

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return function(*args, **kwargs)
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def act() -> None:
            try:
                done.set_result(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001  raised again in the caller's thread
                done.set_exception(error)

        server_loop().call_soon_threadsafe(act)
        return done.result()

    return run
