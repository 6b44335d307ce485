"""`make bench`, the packing half: what one archive costs, against the usual ways and against the parts it is made of.

    python bench/pack.py [--quick] [--rounds 5] [--only small,large,late,tls,plan] [--whole]

Every round runs each way once, in a process of its own; a ratio is taken round by round, the median shown with its range.
The two usual ways are slow: they get the first files of the corpus only (their speed a file does not depend on how many),
all of them with `--whole`. The results of more than one round go to `bench/results.json`.
"""

import argparse
import io
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import measure
from corpus import BUCKET, CORPORA
from measure import Endpoint, Figure, Run, figure, ratio, short

TOGETHER = ("ours", "ours_alone", "ours_without_index", "bare", "bare_obstore", "memory", "memory_verified")
VAULT = "vault"
_FILES_AN_ARCHIVE = 10_000  # the default cap
_PEAKS = ("small", "large", "million")


@dataclass(frozen=True, slots=True)
class Scale:
    """How many files each way gets, of each corpus."""

    rounds: int
    files: dict[str, int]
    slow_files: dict[str, dict[str, int]]
    million_files: int

    def number(self, way: str, corpus: str) -> int:
        return self.slow_files[corpus].get(way, self.files[corpus])


FULL = Scale(
    5,
    {"small": 20_000, "large": 200},
    {"small": {"straightforward": 800, "zipstream": 1_600}, "large": {"straightforward": 8, "zipstream": 10}},
    1_000_000,
)
QUICK = Scale(
    1,
    {"small": 5_000, "large": 40},
    {"small": {"straightforward": 400, "zipstream": 800}, "large": {"straightforward": 6, "zipstream": 8}},
    30_000,
)


def _script(way: str) -> str:
    return "together.py" if way in TOGETHER else "pack_ways.py"


@dataclass(slots=True)
class Runs:
    """The runs of one corpus over one kind of connection, way by way, in the order of the rounds."""

    by_way: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    endpoint_cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    connections: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def speed(self, way: str) -> list[float]:
        return [run.files_per_second for run in self.by_way[way]]

    def cpu(self, way: str) -> list[float]:
        return [run.cpu_per_file for run in self.by_way[way]]


def interleaved(at: Endpoint, ways: Iterable[str], corpus: str, scheme: str, scale: Scale) -> Runs:
    runs = Runs()
    for _ in range(scale.rounds):
        for way in ways:
            before = at.control("reset")["cpu_seconds"]
            number = scale.number(way, corpus)
            run = measure.run(_script(way), way, at, scheme, corpus, str(number))
            counts = at.control("counts")
            assert counts["open_uploads"] == 0
            if way in {"ours", "zipstream", "straightforward"} and not runs.by_way[way]:
                verify(at, way, corpus, number)
            runs.by_way[way].append(run)
            runs.endpoint_cpu[way].append((counts["cpu_seconds"] - before) / number)
            runs.connections[way].append(counts["connections"])
    at.control("reset")
    return runs


def verify(at: Endpoint, way: str, corpus: str, number: int) -> None:
    """Each way must have made what it was asked for: all files, in one archive or several, equal to their sources."""
    keys = at.keys(BUCKET, CORPORA[corpus].prefix)[:number]
    sampled = set(keys[:: max(1, number // 50)])
    names: list[str] = []
    for target in at.get(f"-/written/{VAULT}").decode().splitlines():
        if not target.endswith((".zip", ".tar.gz")):
            continue
        with _opened(target, at.get(target)) as (its_names, read):
            names += [name for name in its_names if not name.startswith(".glaciate/")]
            for key in sampled.intersection(its_names):
                assert read(key) == at.get(f"{BUCKET}/{key}"), f"{way} made an archive of other bytes"
    assert sorted(names) == sorted(keys), f"{way} made archives of {len(names)} files out of {number}"


@contextmanager
def _opened(target: str, made: bytes) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    if target.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            yield archive.namelist(), archive.read
    else:
        with tarfile.open(fileobj=io.BytesIO(made)) as archive:
            yield archive.getnames(), lambda name: archive.extractfile(name).read()  # type: ignore[union-attr]


def show(title: str, runs: Runs) -> None:
    rows = []
    for way, its in runs.by_way.items():
        speed, cpu = figure(runs.speed(way)), figure([seconds * 1e3 for seconds in runs.cpu(way)])
        both = figure([run.cpu_seconds / run.seconds for run in its])
        rss = max(run.rss_mb for run in its)
        late = figure([seconds * 1e6 for seconds in runs.endpoint_cpu[way]])
        opened = short(figure(runs.connections[way]).median)
        rows.append(
            (way, str(its[0].files), str(speed), str(cpu), short(both.median), f"{rss:.0f}", short(late.median), opened)
        )
    head = (
        "way",
        "files",
        "files/s",
        "client's CPU ms a file",
        "CPU-s per second",
        "peak RSS MB",
        "endpoint's CPU µs a file",
        "connections",
    )
    measure.table(title, head, rows)


def ratios(runs: Runs, corpus: str) -> dict[str, Figure]:
    speed, cpu = runs.speed("ours"), runs.cpu("ours")
    floor = [got + packed for got, packed in zip(runs.cpu("bare"), runs.cpu("memory_verified"), strict=True)]
    found = {
        f"pack_{corpus}_vs_straightforward": ratio(speed, runs.speed("straightforward")),
        f"pack_{corpus}_vs_zipstream": ratio(speed, runs.speed("zipstream")),
        f"pack_{corpus}_cpu_vs_memory": ratio(cpu, runs.cpu("memory")),
        f"pack_{corpus}_cpu_vs_bare_get": ratio(cpu, runs.cpu("bare")),
        f"pack_{corpus}_cpu_vs_straightforward": ratio(runs.cpu("straightforward"), cpu),
        f"pack_{corpus}_cpu_vs_floor": ratio(cpu, floor),
        f"pack_{corpus}_floor_vs_bare_get": ratio(floor, runs.cpu("bare")),
        f"pack_{corpus}_floor_vs_memory": ratio(floor, runs.cpu("memory")),
    }
    if corpus == "small":
        found["cpu_seconds_per_wall_second"] = figure([run.cpu_seconds / run.seconds for run in runs.by_way["ours"]])
        found["pack_small_cpu_vs_obstore_get"] = ratio(cpu, runs.cpu("bare_obstore"))
        found["endpoint_vs_bare_get"] = ratio(runs.speed("ask"), runs.speed("bare"))
        overhead = [one / other - 1 for one, other in zip(cpu, runs.cpu("ours_without_index"), strict=True)]
        found["index_overhead_ratio"] = figure(overhead)
    return found


def small(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    ways = (
        "ask",
        "bare",
        "bare_obstore",
        "memory",
        "memory_verified",
        "ours_without_index",
        "ours",
        "zipstream",
        "straightforward",
    )
    runs = interleaved(at, ways, "small", "http", scale)
    show("20,000 files of about 10 KB", runs)
    return ratios(runs, "small") | {"pack_small_peak_rss_mb": figure([run.rss_mb for run in runs.by_way["ours"]])}


def late(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    """A worker, and one of its processes alone: on two processors the endpoint leaves the worker less than one for each of its two."""
    runs = interleaved(at, ("bare", "ours", "ours_alone"), "small", "http_late", scale)
    show("The same, every answer 20 ms later", runs)
    return {
        "pack_small_files_per_second_20ms": figure(runs.speed("ours")),
        "pack_small_files_per_second_20ms_a_process": figure(runs.speed("ours_alone")),
    }


def tls(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    runs = interleaved(at, ("bare", "ours", "zipstream", "straightforward"), "small", "https", scale)
    show("The same over TLS", runs)
    late = interleaved(at, ("bare", "ours"), "small", "https_late", scale)
    show("The same over TLS, every answer 20 ms later", late)
    return {
        "pack_small_tls_files_per_second_20ms": figure(late.speed("ours")),
        "pack_small_tls_vs_straightforward": ratio(runs.speed("ours"), runs.speed("straightforward")),
        "pack_small_tls_vs_zipstream": ratio(runs.speed("ours"), runs.speed("zipstream")),
        "pack_small_tls_cpu_vs_straightforward": ratio(runs.cpu("straightforward"), runs.cpu("ours")),
        "pack_small_tls_cpu_vs_bare_get": ratio(runs.cpu("ours"), runs.cpu("bare")),
    }


def million(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    """Once: 1,000,000 files planned and packed as one job, with the default cap."""
    at.control("reset")
    run = measure.run("together.py", "ours_million", at, "http", "small", str(scale.million_files))
    at.control("reset")
    assert run.more["packed"] == scale.million_files, f"{run.more['packed']:,.0f} files were packed"
    row = (
        f"{scale.million_files:,}",
        f"{run.files_per_second:,.0f}",
        short(run.cpu_per_file * 1e3),
        f"{run.rss_mb:.0f}",
    )
    measure.table(
        "Planning and packing at once",
        ("files", "files/s", "client's CPU ms a file", "peak RSS MB, all processes"),
        [row],
    )
    return {"pack_million_peak_rss_mb": figure([run.rss_mb])}


def large(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    ways = ("bare", "memory", "memory_verified", "ours", "zipstream", "straightforward")
    runs = interleaved(at, ways, "large", "http", scale)
    show("200 files of about 5 MB", runs)
    return ratios(runs, "large") | {"pack_large_peak_rss_mb": figure([run.rss_mb for run in runs.by_way["ours"]])}


def plan(at: Endpoint, scale: Scale) -> dict[str, Figure]:
    runs = []
    for _ in range(scale.rounds):
        at.control("reset")
        runs.append(measure.run(_script("plan"), "plan", at, "http", "small", str(_FILES_AN_ARCHIVE)))
    growth = figure([run.more["growth_mb"] for run in runs])
    speed = figure([run.files_per_second for run in runs])
    row = (f"{_FILES_AN_ARCHIVE:,}", str(speed), str(growth), f"{max(run.rss_mb for run in runs):.0f}")
    measure.table("Planning 1,000,000 keys", ("files an archive", "keys/s", "growth MB", "peak RSS MB"), [row])
    return {"plan_million_growth_mb": growth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer files, and one round unless told: for development")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="small,late,tls,plan,million,large")
    parser.add_argument("--whole", action="store_true", help="the slow ways get every file, too")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    scale = Scale(
        arguments.rounds or scale.rounds,
        scale.files,
        {"small": {}, "large": {}} if arguments.whole else scale.slow_files,
        scale.million_files,
    )
    print(f"# Packing: {measure.machine_load()}, {scale.rounds} rounds; median (least to most)")
    wanted = arguments.only.split(",")
    parts = {"small": small, "late": late, "tls": tls, "plan": plan, "million": million, "large": large}
    found: dict[str, Figure] = {}
    for corpus in ("small", "large"):
        names = [name for name in parts if name in wanted and (name == "large") is (corpus == "large")]
        if not names:
            continue
        with measure.endpoint("--corpus", corpus, "--files", str(scale.files[corpus])) as at:
            for name in names:
                found |= parts[name](at, scale)
    peaks = [found.get(name) or measure.known(name) for name in (f"pack_{what}_peak_rss_mb" for what in _PEAKS)]
    if None not in peaks:
        found["pack_peak_rss_mb"] = max(filter(None, peaks), key=lambda peak: peak.median)
    measure.table(
        "Figures", ("figure", "median (least to most)"), [(name, str(value)) for name, value in found.items()]
    )
    if scale.rounds > 1:
        measure.write_results(found)


if __name__ == "__main__":
    main()
