"""The launcher's handler, traced: the X-Ray SDK opens a socket when it is imported."""

import importlib

import pytest

from fakes.lambda_context import FakeLambdaContext


def test_the_handler_answers_how_many_workers_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("packer.handler")
    bootstrap = importlib.import_module("packer.bootstrap")
    monkeypatch.setattr(bootstrap, "launcher", lambda: lambda *, announced: 3 if announced else 0)

    assert handler.launch({"detail-type": "ArchiveJobAccepted.v1"}, FakeLambdaContext()) == {"started": 3}
    assert handler.launch({"detail-type": "Scheduled Event"}, FakeLambdaContext()) == {"started": 0}
    assert handler.launch({}, FakeLambdaContext()) == {"started": 0}
