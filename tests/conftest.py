"""Every test's surroundings: no AWS account is reachable, and unit tests may open no socket."""

import os
from pathlib import Path

import aws_xray_sdk.core  # makes its UDP socket when it is imported: before sockets are off
import pytest

from clouds import bare_server, cloud, server, server_settings  # noqa: F401  fixtures

TESTS = Path(__file__).parent

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "tests",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(TESTS / "unit"):
            item.add_marker(pytest.mark.disable_socket)


def pytest_unconfigure() -> None:
    aws_xray_sdk.core.xray_recorder.emitter._socket.close()
