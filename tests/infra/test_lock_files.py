"""Lock files name packages, versions and hashes, and no place to get them from."""

import re
from pathlib import Path

import pytest

from stack import ROOT

LOCKS = sorted(
    [
        *ROOT.glob("requirements*.lock"),
        *ROOT.glob("services/*/requirements*.lock"),
        *ROOT.glob("cli/requirements*.lock"),
    ]
)
OURS = re.compile(r"^glaciate", re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_a_lock_file_names_no_host_and_no_place_on_this_disk(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(--(extra-)?index-url|--find-links|-i |-f |-e |--trusted-host)", text, re.MULTILINE)
    assert not re.search(r"^\s*(file:|\.{0,2}/)", text, re.MULTILINE)
    assert not OURS.search(text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_package_of_a_lock_file_has_one_version_and_its_hashes(lock: Path) -> None:
    packages = re.findall(r"^[a-z0-9].*(?:\n\s+--hash=sha256:[0-9a-f]{64}(?: \\)?)*", lock.read_text(), re.MULTILINE)

    assert packages
    for package in packages:
        assert re.match(r"^[a-z0-9._-]+==\S+", package), package
        assert "--hash=sha256:" in package, package


def test_every_service_has_a_lock_and_what_only_a_worker_needs_stays_out_of_the_functions() -> None:
    for service in (ROOT / "services").iterdir():
        functions = (service / "requirements.lock").read_text()
        assert not re.search("^(obstore|pycurl)==", functions, re.MULTILINE)
        if (service / "Dockerfile").exists():
            assert re.search("^(obstore|pycurl)==", (service / "requirements-worker.lock").read_text(), re.MULTILINE)
