"""The unpacker's launcher: its handler, and what its bundle need not hold."""

import importlib
import os
import subprocess
import sys

import pytest

from fakes.lambda_context import FakeLambdaContext


def test_the_launchers_modules_need_neither_codecs_nor_obstore() -> None:
    code = "import sys\nfor name in ('isal', 'obstore', 'awscrt'): sys.modules[name] = None\nimport unpacker.handler\n"

    done = subprocess.run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}, check=False)

    assert done.returncode == 0


def test_the_handler_answers_how_many_workers_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("unpacker.handler")
    bootstrap = importlib.import_module("unpacker.bootstrap")
    monkeypatch.setattr(bootstrap, "keep_workers_running", lambda: lambda *, announced: 2 if announced else 0)

    assert handler.launch({"detail-type": "Object Restore Completed"}, FakeLambdaContext()) == {"started": 2}
