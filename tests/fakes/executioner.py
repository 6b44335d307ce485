"""Kills before a call to AWS, whichever is to be the last."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient

from fakes.restore_world import World
from faults import Killed, tried


@dataclass
class Executioner:
    """Kills before one call, counted from when it was armed."""

    who: str
    strikes_at: int | None = None
    calls: int = 0

    def arm(self, strikes_at: int | None) -> None:
        """None: nobody dies."""
        self.strikes_at, self.calls = strikes_at, 0

    def before_call(self, _operation: str) -> None:
        """What is asked before each call."""
        self.calls += 1
        if self.strikes_at is not None and self.calls > self.strikes_at:
            self.strikes_at = None
            tried(f"at a call of {self.who}")
            raise Killed

    def kills(self, step: Callable[[], Any], *, strikes_at: int | None) -> bool:
        """The step, once. Whether it died."""
        self.arm(strikes_at)
        try:
            step()
        except Killed:
            return True
        finally:
            self.arm(None)
        return False

    def survive(self, step: Callable[[], Any], *, strikes_at: int | None) -> bool:
        """The step, and where it dies, the step again: the caller repeats, the message comes back. Whether it died."""
        died = self.kills(step, strikes_at=strikes_at)
        if died:
            step()
        return died


def executioner_of(world: World, monkeypatch: pytest.MonkeyPatch) -> Executioner:
    """One that stands before every call that this world makes."""
    executioner = before_boto3("the restore intake", monkeypatch)
    world.s3.before_call = executioner.before_call
    return executioner


def before_boto3(who: str, monkeypatch: pytest.MonkeyPatch) -> Executioner:
    """One that stands before every call of boto3's."""
    executioner = Executioner(who)
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, operation: str, arguments: Any) -> Any:
        executioner.before_call(operation)
        return make_call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return executioner
