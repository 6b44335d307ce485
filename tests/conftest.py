"""Every test's surroundings: no AWS account is reachable, and unit tests may open no socket."""

import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any, Final

import aws_xray_sdk.core  # makes its UDP socket when it is imported: before sockets are off
import botocore.session
import moto.core.responses
import pytest
from moto.core.config import default_user_config
from moto.core.serialize import BaseJSONSerializer
from moto.core.utils import method_names_from_class
from xdist.scheduler import LoadFileScheduling

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


# What takes longest and waits most begins first, so that no process is left with it at the end.
_ORDER: Final = ("flow", "end_to_end", "integration", "contract", "infra", "unit")
_LONGEST: Final = "tests/integration/test_packer_faults.py"  # minutes altogether: any process may run any of its tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _folder(item) == "unit":
            item.add_marker(pytest.mark.disable_socket)
    items.sort(key=lambda item: (not item.nodeid.startswith(_LONGEST), _ORDER.index(_folder(item))))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


class _ByFile(LoadFileScheduling):
    """A process runs whole files but for the longest; the flow tests, which share one local cloud, are as one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file == _LONGEST:
            return nodeid
        return "flow" if file.startswith("tests/flow/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:
    return _ByFile(config, log)


# Every session of botocore's reads the descriptions of AWS's services anew; there is one for each test. Here they share them.
botocore.session.create_loader = cache(botocore.session.create_loader)
default_user_config["core"]["reset_boto3_session"] = False  # moto's else: a new session for each mock_aws()


# moto looks for its methods at every call.
moto.core.responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]


def _values_of_dynamodb_at_once() -> None:
    """A value of DynamoDB's is a dict of one entry, its type's; moto looks for all ten types there, under several spellings each."""
    serialize = BaseJSONSerializer._serialize_type_structure

    def quickly(serializer: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict:
            return serialize(serializer, serialized, value, shape, key)
        there: dict[str, Any] = {}
        for member in value:
            serializer._serialize_structure_member(there, value, shape.members[member], member)
        serializer._default_serialize(serialized, there, shape, key)
        return None

    BaseJSONSerializer._serialize_type_structure = quickly


_values_of_dynamodb_at_once()


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
