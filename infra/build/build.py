"""Builds what is deployed, and only what has changed since the last build.

build/wheels/                 one wheel of `shared` and of each service: the unit of deployment, and what the images install
build/lambda/<service>/       each service's Lambda bundle, for this machine's platform and Python (the local cloud)
build/workers/<service>/      what the image of a Batch worker holds, for this machine (the local cloud's Batch)

`--aws` builds the bundles for Lambda instead (Python 3.13, ARM64), beside a copy of the templates whose relative paths lead to them:

build/aws/build/lambda/<service>/
build/aws/infra/template.yaml, build/aws/infra/services/*.yaml

The same inputs give the same bytes: no timestamps, no scripts, no file that names a folder of the machine that built.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SERVICES = ("archive-intake", "packer", "restore-intake", "unpacker", "notifier")
WORKERS = ("packer", "unpacker")
TEMPLATES = ("infra/template.yaml", "infra/services")
AWS_PLATFORM = ("--python-platform", "aarch64-manylinux2014", "--python-version", "3.13")
FIXED_TIME = 315_532_800  # 1980-01-01, the oldest a ZIP can say


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder that holds everything a program imports."""

    folder: Path
    lock: Path
    wheels: tuple[Path, ...]
    platform: tuple[str, ...]


def digest(*parts: Iterable[bytes] | bytes) -> str:
    """One digest over all parts."""
    total = hashlib.sha256()
    for part in parts:
        for piece in (part,) if isinstance(part, bytes) else part:
            total.update(hashlib.sha256(piece).digest())
    return total.hexdigest()


def contents(folder: Path) -> Iterator[bytes]:
    """Names and bytes of a folder's files, in order, without what Python leaves behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(folder)).encode()
            yield path.read_bytes()


def stamp(name: str) -> Path:
    """Where the digest of an output's inputs is kept: outside the output."""
    return BUILD / ".digests" / name


def is_current(name: str, inputs: str, output: Path) -> bool:
    """Whether an output was made from just these inputs."""
    return output.exists() and stamp(name).is_file() and stamp(name).read_text() == inputs


def remember(name: str, inputs: str) -> None:
    """Keeps the digest of an output's inputs, once the output is whole."""
    stamp(name).parent.mkdir(parents=True, exist_ok=True)
    stamp(name).write_text(inputs)


def build_wheel(uv: str, member: Path) -> tuple[Path, bool]:
    """The wheel of one member, and whether it had to be built."""
    name = "glaciate" if member.name == "shared" else f"glaciate_{member.name.replace('-', '_')}"
    wheels = BUILD / "wheels"
    inputs = digest(uv_version(uv), (member / "pyproject.toml").read_bytes(), contents(member / "src"))
    found = sorted(wheels.glob(f"{name}-*.whl"))
    if len(found) == 1 and is_current(f"wheel-{name}", inputs, found[0]):
        return found[0], False
    for old in found:
        old.unlink()
    run([uv, "build", "--quiet", "--wheel", "--no-create-gitignore", "--out-dir", str(wheels), str(member)])
    (wheel,) = wheels.glob(f"{name}-*.whl")
    remember(f"wheel-{name}", inputs)
    return wheel, True


def build_base(uv: str, lock: Path, platform: tuple[str, ...]) -> Path:
    """A folder with the packages of a lock file, made once for all bundles whose lock says the same."""
    inputs = digest(
        Path(__file__).read_bytes(),
        uv_version(uv),
        lock.read_bytes(),
        " ".join((*platform, sysconfig.get_platform(), sys.version)).encode(),
    )
    base = BUILD / ".bases" / inputs[:16]
    if base.exists():
        return base
    fresh = base.with_name(f"{base.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--target",
        str(fresh),
        "--python",
        sys.executable,
        "--link-mode",
        "copy",
    ]
    run([*install, *platform, "--only-binary", ":all:", "--require-hashes", "--requirements", str(lock)])
    leave_no_trace(fresh)
    fresh.rename(base)
    return base


def build_bundle(uv: str, bundle: Bundle) -> bool:
    """Fills the bundle's folder; returns whether it had to be built."""
    base = build_base(uv, bundle.lock, bundle.platform)
    name = str(bundle.folder.relative_to(BUILD)).replace("/", "-")
    inputs = digest(base.name.encode(), (wheel.read_bytes() for wheel in bundle.wheels))
    if is_current(name, inputs, bundle.folder):
        return False
    fresh = bundle.folder.with_name(f".{bundle.folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for wheel in bundle.wheels:  # pure Python: installing is unpacking
        with zipfile.ZipFile(wheel) as package:
            package.extractall(fresh)
    leave_no_trace(fresh)
    shutil.copytree(base, fresh, copy_function=os.link, dirs_exist_ok=True)  # links cost no time and no space
    shutil.rmtree(bundle.folder, ignore_errors=True)
    fresh.rename(bundle.folder)
    remember(name, inputs)
    return True


def leave_no_trace(folder: Path) -> None:
    """Takes out what names this machine or this moment: scripts, locks, notes of the installer, times."""
    for leftover in (folder / "bin", folder / ".lock"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    for pattern in ("*.dist-info/direct_url.json", "*.dist-info/uv_cache.json", "*.pth"):
        for leftover in folder.glob(pattern):
            leftover.unlink()
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)
        os.utime(path, (FIXED_TIME, FIXED_TIME))


def copy_templates() -> None:
    """Puts the templates beside the bundles for AWS, in the repository's own shape, so that their relative paths hold."""
    for name in TEMPLATES:
        source, target = ROOT / name, BUILD / "aws" / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def uv_version(uv: str) -> bytes:
    """What uv says it is."""
    return subprocess.run([uv, "--version"], check=True, capture_output=True).stdout


def run(command: list[str]) -> None:
    """Runs a command from the root; its failure is ours."""
    subprocess.run(command, cwd=ROOT, check=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two builds in one folder take turns."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / ".turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Builds the wheels, then the bundles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--aws", action="store_true", help="bundles for Lambda rather than for this machine")
    arguments = parser.parse_args()
    uv = str(Path(arguments.uv).resolve()) if "/" in arguments.uv else arguments.uv

    with one_at_a_time():
        built: list[str] = []
        wheels: dict[str, Path] = {}
        for member in ("shared", *(f"services/{service}" for service in SERVICES)):
            wheel, fresh = build_wheel(uv, ROOT / member)
            wheels[Path(member).name] = wheel
            built += [wheel.name] if fresh else []
        for bundle in bundles(wheels, for_aws=arguments.aws):
            built += [str(bundle.folder.relative_to(ROOT))] if build_bundle(uv, bundle) else []
        if arguments.aws:
            copy_templates()
    print(f"built {', '.join(built)}" if built else "nothing to build: everything is current")
    return 0


def bundles(wheels: dict[str, Path], *, for_aws: bool) -> Iterator[Bundle]:
    """Every bundle of the build."""
    lambdas = BUILD / "aws" / "build" / "lambda" if for_aws else BUILD / "lambda"
    for service in SERVICES:
        yield Bundle(
            folder=lambdas / service,
            lock=ROOT / "services" / service / "requirements.lock",
            wheels=(wheels["shared"], wheels[service]),
            platform=AWS_PLATFORM if for_aws else (),
        )
    for service in () if for_aws else WORKERS:
        yield Bundle(
            folder=BUILD / "workers" / service,
            lock=ROOT / "services" / service / "requirements-worker.lock",
            wheels=(wheels["shared"], wheels[service]),
            platform=(),
        )


if __name__ == "__main__":
    sys.exit(main())
