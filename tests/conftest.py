"""Every test's surroundings: no AWS account is reachable, and unit tests may open no socket."""

import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import aws_xray_sdk.core  # makes its UDP socket when it is imported: before sockets are off
import pytest
from botocore.loaders import JSONFileLoader

import faults
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


def _descriptions_of_services_once() -> None:
    """Every session of botocore's reads the descriptions of AWS's services anew; there is one for each test. Here they share them."""
    read_alone, loader = JSONFileLoader.load_file, JSONFileLoader()

    @cache
    def read(path: str) -> Any:
        return read_alone(loader, path)

    JSONFileLoader.load_file = lambda _loader, path: read(path)


_descriptions_of_services_once()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    before = faults.so_far()
    try:
        return (yield)
    finally:
        if tried := faults.so_far() - before:
            item.user_properties.append((faults.PROPERTY, dict(tried)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    if tried := faults.sum_of(reports):
        by_harness = ", ".join(f"{count} {harness}" for harness, count in tried.items())
        terminalreporter.section("faults")
        terminalreporter.line(f"faults tried: {sum(tried.values())} ({by_harness})")


def pytest_unconfigure() -> None:
    aws_xray_sdk.core.xray_recorder.emitter._socket.close()
