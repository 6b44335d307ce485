"""Lambda functions that see what they see on AWS, their bundle, and start without unpacking it each time."""

import hashlib
import json
import os
import shutil
import time
import types
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, lambda_svc, sqs

from glaciate_local.gaps.batch_jobs import command_folder
from glaciate_local.gaps.burying import bury
from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.rights import role_lacks
from glaciate_local.settings import LocalSettings

KEPT_BUNDLES = 10
KEPT_SECONDS = 3 * 60 * 60
DLQ_MESSAGE_LENGTH = 1024


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


def bury_events(_: LocalSettings) -> None:
    """Put an asynchronous call that failed for good into the function's dead-letter queue as it was, with why beside it.

    MiniStack puts there what an on-failure destination gets; and what rules and schedules call, it calls once.
    """
    route_alone = lambda_svc._route_async_failure

    def route(target_arn: str, name: str, event: dict[str, Any], result: dict[str, Any]) -> None:
        config = lambda_svc._functions[name]["config"]
        if (config.get("DeadLetterConfig") or {}).get("TargetArn") != target_arn or sqs._queue_by_arn(
            target_arn
        ) is None:
            route_alone(target_arn, name, event, result)
            return
        lack = role_lacks(config["Role"], service="lambda.amazonaws.com", action="sqs:SendMessage", resource=target_arn)
        if lack:
            lambda_svc.logger.warning("a call of %s failed for good and is lost, as on AWS: %s", name, lack)
            return
        said = result.get("body")
        why = said.get("errorMessage", "") if isinstance(said, dict) else str(said or "")
        told = {"RequestID": new_uuid(), "ErrorCode": "200", "ErrorMessage": why[:DLQ_MESSAGE_LENGTH]}
        bury(target_arn, json.dumps(event), told)

    def call(arn: str, payload: str) -> None:
        function, config, _ = lambda_svc._get_func_record_for_ref(arn)
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    lambda_svc._route_async_failure = route
    eventbridge._dispatch_to_lambda = call


GAPS = (
    Gap("dead letters of functions", "tries asynchronous calls three times, keeps the event, says why", bury_events),
    Gap("functions import their bundle", "has only the bundle and the runtime's own", import_from_the_bundle_only),
    Gap("fast cold starts", "starts a function of 50 MB in a second or two", unpack_once),
)
