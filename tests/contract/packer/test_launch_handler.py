"""The launcher's handler, traced: the X-Ray SDK opens a socket when it is imported."""

import importlib

import pytest

from fakes.lambda_context import FakeLambdaContext


def test_the_handler_answers_how_many_workers_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("packer.handler")
    bootstrap = importlib.import_module("packer.bootstrap")
    monkeypatch.setattr(bootstrap, "launcher", lambda: lambda: 3)

    assert handler.launch({}, FakeLambdaContext()) == {"started": 3}
