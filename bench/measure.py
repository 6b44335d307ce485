"""Runs the ways that are compared: interleaved, each run in a process of its own, against one endpoint; medians and ranges."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
TABLES = HERE / "tables"
SECRET = "benchmark"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The running endpoint: its ports by name (`http`, `https`, and both with `_late` for the added latency)."""

    ports: dict[str, int]
    folder: Path

    def url(self, scheme: str) -> str:
        return f"{scheme.partition('_')[0]}://127.0.0.1:{self.ports[scheme]}"

    def control(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        """`counts`, `reset`, or an object added to what it serves."""
        counts: dict[str, Any] = json.loads(self.get(f"-/{path}", body))
        return counts

    def get(self, target: str, body: bytes | None = None) -> bytes:
        """What it answers; with a body, to a PUT."""
        import urllib.request  # here, because clients import this module and are weighed

        request = urllib.request.Request(f"{self.url('http')}/{target}", data=body, method="PUT" if body else "GET")
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
        return content

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """The keys it serves, in order."""
        return self.get(f"-/keys/{bucket}/{prefix}").decode().splitlines()

    def environment(self, scheme: str) -> dict[str, str]:
        """What a client process needs to talk to the endpoint, and to nothing else."""
        certificate = str(self.folder / "ca.pem")
        trust = {"AWS_CA_BUNDLE": certificate, "SSL_CERT_FILE": certificate} if scheme.startswith("https") else {}
        return {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.upper().endswith("_PROXY") and name != "PYTHONDONTWRITEBYTECODE"
            },
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),  # or each run compiles all it imports
            "AWS_ENDPOINT_URL": self.url(scheme),
            "AWS_ACCESS_KEY_ID": SECRET,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **trust,
            "POWERTOOLS_SERVICE_NAME": "bench",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }


@contextmanager
def endpoint(*arguments: str) -> Iterator[Endpoint]:
    """An endpoint that lives as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "endpoint.py"), "--folder", folder, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            ports = json.loads(server.stdout.readline())
            try:
                yield Endpoint(ports, Path(folder))
            finally:
                server.stdin.close()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one way. `cpu_seconds` are the client's, user and system; `rss_mb` is its peak resident size."""

    files: int
    seconds: float
    cpu_seconds: float
    rss_mb: float
    more: dict[str, float]

    @property
    def files_per_second(self) -> float:
        return self.files / self.seconds

    @property
    def cpu_per_file(self) -> float:
        return self.cpu_seconds / self.files


def peak_rss_mb() -> float:
    """The process's own peak: `ru_maxrss` would start from the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    msg = "the kernel tells no VmHWM"
    raise RuntimeError(msg)


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(files: int, work: Callable[[], dict[str, float] | None]) -> str:
    """In the client's process: does the work and tells of it in a line of JSON."""
    cpu = cpu_seconds()
    started = time.perf_counter()
    more = work() or {}
    seconds = time.perf_counter() - started
    return json.dumps([files, seconds, cpu_seconds() - cpu, peak_rss_mb(), more])


def run(script: str, way: str, at: Endpoint, scheme: str, *arguments: str) -> Run:
    """One run in a process of its own, which prints what `timed` told as its last line."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), way, *arguments],
        env=at.environment(scheme),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Run(*json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of several runs, and the least and the most."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} to {short(self.high)})"


def short(number: float) -> str:
    """Three digits that matter."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def figure(values: Sequence[float]) -> Figure:
    return Figure(median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure:
    """The ratio round by round: what disturbs a round disturbs both."""
    return figure([one / other for one, other in zip(above, below, strict=True)])


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table, and keeps it for `write_results`."""
    lines = ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    print("", f"### {title}", *lines, sep="\n")
    if title != "Figures":  # those are in results.json
        _tables[title] = "\n".join(lines)


_tables: dict[str, str] = {}
_load = os.getloadavg()[0]


def machine_load() -> str:
    return f"{os.cpu_count()} cores, load before the runs {_load:.1f}"


def known(name: str) -> Figure | None:
    """A figure of an earlier run."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return Figure(results[name], *results[f"{name}_range"]) if name in results else None


def write_results(figures: dict[str, Figure]) -> None:
    """Puts figures and tables beside those that earlier runs measured, which this one may have left out."""
    results: dict[str, object] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, value in figures.items():
        results[name] = round(value.median, 4)
        results[f"{name}_range"] = [round(value.low, 4), round(value.high, 4)]
    TABLES.mkdir(exist_ok=True)
    script = Path(sys.argv[0]).stem
    page = TABLES / f"{script}.md"
    earlier = page.read_text().strip().split("\n\n### ")[1:] if page.exists() else []
    tables = {title: rows for title, _, rows in (table.partition("\n") for table in earlier)} | _tables
    sections = (f"### {title}\n{rows}" for title, rows in tables.items())
    page.write_text("\n\n".join((f"`bench/{script}.py` on {os.cpu_count()} cores.", *sections)) + "\n")
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")
