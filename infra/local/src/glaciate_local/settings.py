"""What can be set about the local cloud, read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[4]
REGION = "us-east-1"
ACCOUNT = "000000000000"


class SettingIsWrong(ValueError):
    """An environment variable of the local cloud holds a value that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """One local cloud: its folder, port and the few things that tests change."""

    directory: Path
    """Everything it writes is in here: state, logs, temporary files."""
    port: int
    """0 asks for a free one."""
    workers: Path
    """One folder per Batch service, made by `make build`: what its image would hold."""
    thaw_seconds: float
    """How long RestoreObject takes."""
    day_seconds: float
    """How long a day of a thawed copy lasts; anything but 86,400 lets tests see a copy expire."""
    idle_seconds: float
    """It stops by itself after so long without a request."""
    job_slots: int
    """Batch jobs that run at the same time; the others wait as RUNNABLE."""
    stop_seconds: float
    """Between SIGTERM and SIGKILL of a job, 30 on Fargate."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the `GLACIATE_LOCAL_*` variables; raises SettingIsWrong with the variable's name."""
        given = os.environ if environment is None else environment

        def number(name: str, default: float) -> float:
            text = given.get(name, "")
            try:
                value = float(text) if text else default
            except ValueError:
                raise SettingIsWrong(f"{name}={text!r} is not a number") from None
            if value < 0:
                raise SettingIsWrong(f"{name}={text!r} is below zero")
            return value

        return cls(
            directory=Path(given.get("GLACIATE_LOCAL_DIR") or ROOT / ".glaciate").absolute(),
            port=int(number("GLACIATE_LOCAL_PORT", 0)),
            workers=Path(given.get("GLACIATE_LOCAL_WORKERS_DIR") or ROOT / "build" / "workers").absolute(),
            thaw_seconds=number("GLACIATE_LOCAL_THAW_SECONDS", 2),
            day_seconds=number("GLACIATE_LOCAL_DAY_SECONDS", 24 * 60 * 60),
            idle_seconds=number("GLACIATE_LOCAL_IDLE_SECONDS", 2 * 60 * 60),
            job_slots=max(1, int(number("GLACIATE_LOCAL_JOB_SLOTS", 8))),
            stop_seconds=number("GLACIATE_LOCAL_STOP_SECONDS", 30),
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that make another process read the same settings."""
        return {
            "GLACIATE_LOCAL_DIR": str(self.directory),
            "GLACIATE_LOCAL_PORT": str(self.port),
            "GLACIATE_LOCAL_WORKERS_DIR": str(self.workers),
            "GLACIATE_LOCAL_THAW_SECONDS": str(self.thaw_seconds),
            "GLACIATE_LOCAL_DAY_SECONDS": str(self.day_seconds),
            "GLACIATE_LOCAL_IDLE_SECONDS": str(self.idle_seconds),
            "GLACIATE_LOCAL_JOB_SLOTS": str(self.job_slots),
            "GLACIATE_LOCAL_STOP_SECONDS": str(self.stop_seconds),
        }

    @property
    def marker(self) -> Path:
        """Says that the folder is ours, and may be removed."""
        return self.directory / "made-by-glaciate"

    @property
    def local_json(self) -> Path:
        """The contract for scripts and clients."""
        return self.directory / "local.json"

    @property
    def server_json(self) -> Path:
        """What the running server says about itself: process, port, token, access key."""
        return self.directory / "server.json"

    @property
    def server_log(self) -> Path:
        """What MiniStack and the gaps log."""
        return self.directory / "server.log"

    @property
    def jobs(self) -> Path:
        """One folder per Batch job with its output."""
        return self.directory / "jobs"

    @property
    def function_logs(self) -> Path:
        """One file per Lambda function with what it printed."""
        return self.directory / "functions"

    @property
    def functions(self) -> Path:
        """Unpacked bundles of functions by digest, kept for the next start."""
        return ROOT / "build" / ".functions"

    @property
    def bytecode(self) -> Path:
        """What Python has compiled of the workers' folders, by folder, kept for the next start."""
        return ROOT / "build" / ".bytecode"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the server and of everything it starts."""
        return self.directory / "tmp"
