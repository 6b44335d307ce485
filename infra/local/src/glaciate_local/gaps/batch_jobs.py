"""A Batch job run as a process of this machine, with the states, attempts and limits it has on Fargate."""

import asyncio
import contextlib
import fnmatch
import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ministack.core.iam_evaluator import evaluate_trust_policy
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, iam, sts

from glaciate_local.gaps.container_logs import keep_log
from glaciate_local.gaps.rights import context
from glaciate_local.settings import LocalSettings

log = logging.getLogger("glaciate.batch")

Record = dict[str, Any]
LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
OVER = ("SUCCEEDED", "FAILED")
TIMED_OUT = "Job attempt duration exceeded timeout"
TASKS = "ecs-tasks.amazonaws.com"
EXITED = "Essential container in task exited"


class JobCannotStart(Exception):
    """What Fargate would say when it cannot start the container: no image, no such role."""


def now_ms() -> int:
    """Batch's timestamps."""
    return int(time.time() * 1000)


def command_folder(settings: LocalSettings) -> Path:
    """A PATH folder where `python` is this interpreter, seeing only its standard library and PYTHONPATH.

    A worker that imports what its image would not hold fails here too.
    """
    folder = settings.directory / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
        shim.chmod(0o755)
    return folder


def session_of_role(role_arn: str, session_name: str) -> dict[str, str]:
    """Temporary credentials of a job's role, as Fargate gives them to the container; IAM then holds for them.

    They do not expire, because Fargate renews them for as long as the task runs.
    """
    role_name = role_arn.rsplit("/", 1)[-1]
    role = iam._roles.get(role_name)
    if role is None:
        raise JobCannotStart(f"ECS was unable to assume the role '{role_arn}': there is no such role")
    policy = role["AssumeRolePolicyDocument"]
    root = f"arn:aws:iam::{get_account_id()}:root"
    task = context("sts:AssumeRole", role_arn, f"arn:aws:ecs:{get_region()}:{get_account_id()}:task/local")
    if TASKS not in json.dumps(policy) or not evaluate_trust_policy(policy, root, task):
        raise JobCannotStart(f"ECS was unable to assume the role '{role_arn}': its trust policy does not let {TASKS}")
    digest = hashlib.sha256(f"{role_arn}:{session_name}:{new_uuid()}".encode()).hexdigest()
    credentials = {
        "AWS_ACCESS_KEY_ID": f"ASIA{digest[:16].upper()}",
        "AWS_SECRET_ACCESS_KEY": digest[16:56],
        "AWS_SESSION_TOKEN": hashlib.sha256(digest.encode()).hexdigest(),
    }
    sts.register_session(
        credentials["AWS_ACCESS_KEY_ID"],
        {
            "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role_name}/{session_name[:64]}",
            "UserId": f"{role_name}:{session_name[:64]}",
            "SecretAccessKey": credentials["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": credentials["AWS_SESSION_TOKEN"],
        },
    )
    return credentials


def should_retry(rules: list[dict[str, str]], *, exit_code: int, status_reason: str, reason: str) -> bool:
    """What `evaluateOnExit` says: the first rule whose every condition matches decides, and no rule means retry."""
    for rule in rules:
        conditions = (
            (rule.get("onExitCode"), str(exit_code)),
            (rule.get("onStatusReason"), status_reason),
            (rule.get("onReason"), reason),
        )
        if all(pattern is None or fnmatch.fnmatchcase(value, pattern) for pattern, value in conditions):
            return rule.get("action", "").upper() == "RETRY"
    return True


def bytecode_of(code: Path, settings: LocalSettings) -> Path:
    """Where Python keeps what it compiles of a worker's folder: a start takes seconds without.

    A build puts a new folder in the place of the old one, with files of the same times: so its compiled modules have a place of their own.
    """
    kept = settings.bytecode
    now = kept / f"{code.name}-{code.stat().st_ctime_ns}"
    if not now.is_dir():
        for old in kept.glob(f"{code.name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        now.mkdir(parents=True, exist_ok=True)
    return now


@dataclass(slots=True)
class Running:
    """What a job has besides its record."""

    process: asyncio.subprocess.Process | None = None
    stop_reason: str | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class BatchJobs:
    """Runs jobs on the server's loop: a process each, at most `job_slots` at a time, in the order they came."""

    def __init__(self, settings: LocalSettings, records: Any) -> None:
        self._settings = settings
        self._records = records
        self._running: dict[str, Running] = {}
        self._slots = asyncio.Semaphore(settings.job_slots)
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = command_folder(settings)

    @property
    def busy(self) -> bool:
        """Whether any job is not over yet."""
        return bool(self._running)

    def start(self, record: Record, loop: asyncio.AbstractEventLoop) -> None:
        """Take a job that was just recorded; may be called from any thread."""
        self._running[record["jobId"]] = Running()

        def begin() -> None:
            task = loop.create_task(self._run(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop.call_soon_threadsafe(begin)

    def stop(self, record: Record, reason: str) -> None:
        """SIGTERM now, SIGKILL after the grace period; a job that has not started fails at once."""
        running = self._running.get(record["jobId"])
        if running is None or running.stop_reason is not None:
            return
        running.stop_reason = reason
        running.stopped.set()

    async def stop_all(self, reason: str) -> None:
        """Stop every job and wait until the last process is gone."""
        for job_id in list(self._running):
            self._running[job_id].stop_reason = self._running[job_id].stop_reason or reason
            self._running[job_id].stopped.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, record: Record) -> None:
        running = self._running[record["jobId"]]
        try:
            self._move(record, "SUBMITTED")
            self._move(record, "RUNNABLE")
            if await self._slot_or_stop(running):
                try:
                    await self._attempts(record, running)
                finally:
                    self._slots.release()
            else:
                self._move(record, "FAILED", running.stop_reason or "")
        except Exception as error:
            log.exception("job %s broke the runner", record["jobId"])
            self._move(record, "FAILED", f"the local cloud failed: {error!r}")
            raise
        finally:
            del self._running[record["jobId"]]

    async def _slot_or_stop(self, running: Running) -> bool:
        """Wait for a slot; False when the job was stopped first, and then no slot is held."""
        slot = asyncio.ensure_future(self._slots.acquire())
        stop = asyncio.ensure_future(running.stopped.wait())
        await asyncio.wait({slot, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not running.stopped.is_set():
            return True
        if slot.done():
            self._slots.release()
        slot.cancel()
        return False

    async def _attempts(self, record: Record, running: Running) -> None:
        retry = record["retryStrategy"]
        for attempt in range(1, retry["attempts"] + 1):
            self._move(record, "STARTING")
            exit_code, status_reason, reason = await self._attempt(record, running, attempt)
            if running.stop_reason is not None:
                return self._move(record, "FAILED", running.stop_reason)
            if exit_code == 0:
                return self._move(record, "SUCCEEDED", status_reason)
            retryable = status_reason != TIMED_OUT and should_retry(
                retry.get("evaluateOnExit", []), exit_code=exit_code, status_reason=status_reason, reason=reason
            )
            if attempt == retry["attempts"] or not retryable:
                return self._move(record, "FAILED", status_reason)
            self._move(record, "RUNNABLE", status_reason)
        return None

    async def _attempt(self, record: Record, running: Running, attempt: int) -> tuple[int, str, str]:
        folder = self._settings.jobs / record["jobId"].replace(":", "-")
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / f"attempt-{attempt}.log"
        container = record["container"]
        options = (container.get("logConfiguration") or {}).get("options") or {}
        stream = options.get("awslogs-stream-prefix") or record["_definitionName"]
        container["logStreamName"] = f"{stream}/default/{new_uuid().replace('-', '')}"
        started = now_ms()
        try:
            environment = self._environment(record, attempt, folder)
            with output.open("wb") as sink:
                running.process = await asyncio.create_subprocess_exec(
                    *container["command"],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sink,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=folder,
                    env=environment,
                    process_group=0,
                )
            record["startedAt"] = record.get("startedAt") or now_ms()
            self._move(record, "RUNNING")
            exit_code, status_reason, reason = await self._watch(record, running)
        except (JobCannotStart, OSError) as error:
            exit_code, status_reason, reason = 1, "Task failed to start", f"CannotStartContainerError: {error}"
            output.write_text(f"{reason}\n")
        finally:
            running.process = None
        container["exitCode"] = exit_code
        if reason:
            container["reason"] = reason
        record["attempts"].append(
            {
                "container": {
                    "exitCode": exit_code,
                    "logStreamName": container["logStreamName"],
                    "networkInterfaces": [],
                    **({"reason": reason} if reason else {}),
                },
                "startedAt": started,
                "stoppedAt": now_ms(),
                "statusReason": status_reason,
            }
        )
        await keep_log(container, output)
        log.info(
            "job %s attempt %d ended with %d (%s), output in %s", record["jobId"], attempt, exit_code, reason, output
        )
        return exit_code, status_reason, reason

    async def _watch(self, record: Record, running: Running) -> tuple[int, str, str]:
        """Wait for the process, its timeout, or the order to stop; answers exit code, status reason, reason."""
        process = running.process
        if process is None:
            raise RuntimeError("the process was not started")
        ended = asyncio.ensure_future(process.wait())
        stop = asyncio.ensure_future(running.stopped.wait())
        seconds = record.get("timeout", {}).get("attemptDurationSeconds")
        await asyncio.wait({ended, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if ended.done():
            code = ended.result()
            killed = code < 0
            _signal_group(process.pid, signal.SIGKILL)
            return (128 - code if killed else code), EXITED, (f"killed by signal {-code}" if killed else "")
        timed_out = running.stop_reason is None
        _signal_group(process.pid, signal.SIGTERM)
        done, _ = await asyncio.wait({ended}, timeout=self._settings.stop_seconds)
        if not done:
            log.warning("job %s did not stop in %s s and is killed", record["jobId"], self._settings.stop_seconds)
        _signal_group(process.pid, signal.SIGKILL)
        code = await ended
        return (128 - code if code < 0 else code), (TIMED_OUT if timed_out else str(running.stop_reason)), ""

    def _environment(self, record: Record, attempt: int, folder: Path) -> dict[str, str]:
        container = record["container"]
        service = container["image"].rsplit("/", 1)[-1].split("@")[0].split(":")[0].removeprefix("glaciate-")
        code = self._settings.workers / service
        if not code.is_dir():
            raise JobCannotStart(
                f"CannotPullContainerError: image {container['image']}: no folder {code}; `make build`"
            )
        array = record.get("arrayProperties", {})
        environment = {
            "PATH": f"{self._commands}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "TMPDIR": str(self._settings.temporary),
            "LANG": "C.UTF-8",
            "NO_PROXY": os.environ.get("NO_PROXY", ""),
            "GLACIATE_LOCAL_TOKEN": os.environ["GLACIATE_LOCAL_TOKEN"],
            "PYTHONPATH": str(code),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPYCACHEPREFIX": str(
                bytecode_of(code, self._settings)
            ),  # an image is read-only; the folder stays as it was built
            "AWS_ENDPOINT_URL": os.environ["GLACIATE_LOCAL_ENDPOINT"],
            "AWS_REGION": get_region(),
            "AWS_DEFAULT_REGION": get_region(),
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DAY_SECONDS": str(self._settings.day_seconds),  # where sources are held for days
        }
        if container.get("jobRoleArn"):
            environment |= session_of_role(container["jobRoleArn"], record["jobId"].replace(":", "-"))
        environment |= {one["name"]: one.get("value", "") for one in container["environment"]}
        environment |= {
            "AWS_BATCH_JOB_ID": record["jobId"],
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),
            "AWS_BATCH_JQ_NAME": record["jobQueue"].rsplit("/", 1)[-1],
            "AWS_BATCH_CE_NAME": record["_computeEnvironment"],
        }
        if "index" in array:
            environment["AWS_BATCH_JOB_ARRAY_INDEX"] = str(array["index"])
            environment["AWS_BATCH_JOB_ARRAY_SIZE"] = str(record["_arraySize"])
        return environment

    def _move(self, record: Record, status: str, reason: str = "") -> None:
        record["status"] = status
        if reason:
            record["statusReason"] = reason
        if status in OVER:
            record["stoppedAt"] = now_ms()
        announce(record)
        parent = self._records.get(record["jobId"].partition(":")[0])
        if parent is not None and parent is not record:
            self._count(parent, record, status)

    def _count(self, parent: Record, child: Record, status: str) -> None:
        """Keep the array's summary, and finish it with its last child."""
        summary = parent["arrayProperties"]["statusSummary"]
        if child["_counted"]:
            summary[child["_counted"]] -= 1
        child["_counted"] = status
        summary[status] = summary.get(status, 0) + 1
        parent["arrayProperties"]["statusSummaryLastUpdatedAt"] = now_ms()
        size = parent["arrayProperties"]["size"]
        if parent["status"] == "SUBMITTED":
            parent["status"] = "PENDING"
            announce(parent)
        if summary.get("SUCCEEDED", 0) + summary.get("FAILED", 0) == size and parent["status"] not in OVER:
            parent["status"] = "FAILED" if summary.get("FAILED") else "SUCCEEDED"
            if summary.get("FAILED"):
                parent["statusReason"] = "Array Child Job failed"
            parent["startedAt"] = parent["createdAt"]
            parent["stoppedAt"] = now_ms()
            announce(parent)


def visible(record: Record) -> Record:
    """The record as the API shows it."""
    return {name: value for name, value in record.items() if not name.startswith("_")}


def announce(record: Record) -> None:
    """`Batch Job State Change` on the default bus, its detail the job as DescribeJobs shows it."""
    eventbridge._put_events(
        {
            "Entries": [
                {
                    "Source": "aws.batch",
                    "DetailType": "Batch Job State Change",
                    "Resources": [record["jobArn"]],
                    "Detail": json.dumps(visible(record)),
                }
            ]
        },
        allow_aws_source=True,
    )


def _signal_group(process_id: int, number: signal.Signals) -> None:
    """Signal the job's process and whatever it started; what is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, number)
