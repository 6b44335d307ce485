"""What is deployed: each bundle holds everything its handler imports, and nothing of the machine that built it."""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from stack import ROOT, Resource, functions, job_definitions

FIXED_TIME = 315_532_800
IMPORT = """
import importlib, sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
print(*(name for name, one in vars(module).items() if callable(one)))
outside = [name for name, one in sys.modules.items() if "site-packages" in (getattr(one, "__file__", None) or "")]
assert not outside, outside
"""


def built(*options: str) -> str:
    """Builds what has changed; answers what it said."""
    uv = shutil.which("uv", path=str(ROOT / ".tools" / "bin")) or shutil.which("uv")
    assert uv, "uv is neither in .tools nor on the PATH: run `make setup`"
    command = [sys.executable, "infra/build/build.py", "--uv", uv, *options]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def build() -> Path:
    """The build folder, with what has changed built again."""
    built()
    return ROOT / "build"


@cache
def imported(folder: Path, module: str) -> subprocess.CompletedProcess[str]:
    """Imports with only that folder and Python's own library on the path, in an empty environment; prints what it can call."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", IMPORT, str(folder), module],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("function", functions(), ids=str)
def test_a_bundle_holds_all_that_its_handler_imports(build: Path, function: Resource) -> None:
    module, _, name = function.properties["Handler"].rpartition(".")

    done = imported(build / "lambda" / function.template, module)

    assert done.returncode == 0, done.stderr
    assert name in done.stdout.split()


@pytest.mark.parametrize("worker", job_definitions(), ids=str)
def test_an_image_holds_all_that_its_worker_imports(build: Path, worker: Resource) -> None:
    _, _, module, *_ = worker.properties["ContainerProperties"]["Command"]

    done = imported(build / "workers" / worker.template, module)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["lambda", "workers"])
def test_a_bundle_tells_nothing_of_the_machine_that_built_it(build: Path, kind: str) -> None:
    for path in (build / kind).rglob("*"):
        assert path.suffix != ".pth"
        assert path.name not in {"direct_url.json", "uv_cache.json", "__pycache__", ".lock"}
        assert path.stat().st_mtime == FIXED_TIME or path.parent == build / kind
        if path.suffix in {".py", ".json", ".txt"} and "glaciate" in str(path.relative_to(build)):
            assert str(ROOT) not in path.read_text()


@pytest.mark.parametrize("service", ["packer", "unpacker"])
def test_an_image_is_built_from_the_locked_packages_and_our_wheels_and_runs_as_nobody_in_particular(
    service: str,
) -> None:
    text = (ROOT / "services" / service / "Dockerfile").read_text()

    assert "FROM public.ecr.aws/docker/library/python:3.13-slim" in text
    assert "--require-hashes" in text
    assert "--no-deps --no-index" in text
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert f'CMD ["python", "-m", "{service}.worker"]' in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    for copied in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in copied.split():
            assert any(
                source == one[1:] or (one.endswith("/*.whl") and source.startswith("build/wheels/")) for one in ignored
            ), source


def test_building_again_builds_nothing(build: Path) -> None:
    assert built() == "nothing to build: everything is current"


@pytest.mark.slow
@pytest.mark.parametrize("function", functions(), ids=str)
def test_for_aws_the_templates_lie_beside_bundles_for_lambda(function: Resource) -> None:
    built("--aws")
    templates = ROOT / "build" / "aws" / "infra"

    bundle = templates / "services" / function.properties["CodeUri"]

    machine_code = [path.name for path in bundle.rglob("*.so")]
    assert (templates / "template.yaml").read_bytes() == (ROOT / "infra" / "template.yaml").read_bytes()
    assert (bundle / function.template.replace("-", "_") / "handler.py").is_file()
    assert machine_code
    assert all("cpython-313-aarch64-linux-gnu" in name or name.endswith(".abi3.so") for name in machine_code)
