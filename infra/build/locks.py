"""Compiles the lock files: one for development, one per deployable; `--check` fails where one is stale.

A lock file names packages, versions and hashes and no index host, so a company's mirror works unchanged.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("archive-intake", "packer", "restore-intake", "unpacker", "notifier")
WORKERS = ("packer", "unpacker")
MEMBERS = ["shared", *(f"services/{service}" for service in SERVICES), "cli", "infra/local"]
MEMBER_NAMES = ["glaciate", *(f"glaciate-{service}" for service in SERVICES), "glaciate-cli", "glaciate-local"]


def lock_files() -> dict[str, list[str]]:
    """Each lock file with the arguments of `uv pip compile` that say what goes into it."""
    manifests = [f"{member}/pyproject.toml" for member in MEMBERS]
    files = {
        "requirements-tools.lock": ["infra/build/tools.in"],
        "requirements-dev.lock": ["pyproject.toml", "--group", "dev", "--group", "bench", *manifests, "--all-extras"],
        "cli/requirements.lock": ["cli/pyproject.toml"],
    }
    for service in SERVICES:
        manifests = [f"services/{service}/pyproject.toml", "shared/pyproject.toml"]
        files[f"services/{service}/requirements.lock"] = manifests
        if service in WORKERS:
            files[f"services/{service}/requirements-worker.lock"] = [*manifests, "--extra", "worker"]
    return files


def compile_lock(uv: str, sources: list[str], output: Path) -> None:
    """Compiles one lock file; versions already in it stay unless a manifest asks otherwise."""
    command = [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--no-annotate",
        "--python-version",
        "3.11",
        "--custom-compile-command",
        "make lock",
        "--output-file",
        str(output),
    ]
    if output.name not in {"requirements-dev.lock", "requirements-tools.lock"}:
        command += ["--constraints", "requirements-dev.lock"]
    for name in MEMBER_NAMES:
        command += ["--no-emit-package", name]
    subprocess.run([*command, *sources], cwd=ROOT, check=True)


def main() -> int:
    """Writes the lock files, or says which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    uv = str(Path(arguments.uv).resolve()) if "/" in arguments.uv else arguments.uv
    stale: list[str] = []
    for name, sources in lock_files().items():
        if not arguments.check:
            compile_lock(uv, sources, ROOT / name)
            continue
        committed = (ROOT / name).read_text()
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / Path(name).name
            fresh.write_text(committed)
            compile_lock(uv, sources, fresh)
            if fresh.read_text() != committed:
                stale.append(name)
    for name in stale:
        print(f"stale lock file: {name} (run `make lock`)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
