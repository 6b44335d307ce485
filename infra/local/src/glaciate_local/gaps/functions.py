"""Lambda functions that see what they see on AWS, their bundle, and start without unpacking it each time."""

import hashlib
import os
import shutil
import time
import types
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from glaciate_local.gaps.batch_jobs import command_folder
from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings

KEPT_BUNDLES = 10
KEPT_SECONDS = 3 * 60 * 60


def import_from_the_bundle_only(settings: LocalSettings) -> None:
    """Run functions on a Python without installed packages; MiniStack's own are on the path otherwise."""
    detect_alone = lambda_runtime._detect_runtime_binary
    python = str(command_folder(settings) / "python")

    def detect(runtime: str) -> tuple[str, str]:
        binary, script = detect_alone(runtime)
        return (python if runtime.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = detect


class Bundle:
    """A function's ZIP that unpacks by a link to the folder where its like was unpacked before."""

    def __init__(self, path: str, folder: Path) -> None:
        self._path = Path(path)
        with self._path.open("rb") as content:
            self._unpacked = folder / hashlib.file_digest(content, "sha256").hexdigest()[:32]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink()

    def extractall(self, target: str) -> None:
        """Put the content at the target, an empty folder."""
        if not self._unpacked.is_dir():
            half = self._unpacked.with_name(f"{self._unpacked.name}.{os.getpid()}.{time.monotonic_ns()}")
            with zipfile.ZipFile(self._path) as archive:
                archive.extractall(half)
            with suppress(OSError):  # another worker was faster
                half.rename(self._unpacked)
            shutil.rmtree(half, ignore_errors=True)
        os.utime(self._unpacked)
        Path(target).rmdir()
        Path(target).symlink_to(self._unpacked, target_is_directory=True)


def unpack_once(settings: LocalSettings) -> None:
    """Unpack a bundle once, not for every worker: a cold start then takes what Python's imports take."""
    folder = settings.functions
    folder.mkdir(parents=True, exist_ok=True)
    newest = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in newest[KEPT_BUNDLES:]:
        if old.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)

    def open_zip(path: str) -> Bundle | zipfile.ZipFile:
        return Bundle(path, folder) if Path(path).name == "code.zip" else zipfile.ZipFile(path)

    names = {name: value for name, value in vars(zipfile).items() if not name.startswith("__")}
    lambda_runtime.zipfile = types.SimpleNamespace(**names | {"ZipFile": open_zip})


def write_logs(settings: LocalSettings) -> None:
    """Keep what functions print in files as well, one per function: CloudWatch Logs is far away when one looks for a bug."""
    emit_alone = lambda_svc._emit_lambda_logs
    settings.function_logs.mkdir(parents=True, exist_ok=True)

    def emit(function: Any, request_id: str, text: str, *rest: Any, **more: Any) -> None:
        name = (function.get("config") or function)["FunctionName"]
        if text:
            with settings.function_logs.joinpath(f"{name}.log").open("a", encoding="utf-8") as log:
                log.write(text if text.endswith("\n") else f"{text}\n")
        emit_alone(function, request_id, text, *rest, **more)

    lambda_svc._emit_lambda_logs = emit


GAPS = (
    Gap("functions import their bundle", "has only the bundle and the runtime's own", import_from_the_bundle_only),
    Gap("fast cold starts", "starts a function of 50 MB in a second or two", unpack_once),
)
