"""`make bench`, the restoring half: a few or many members out of a large archive, against the usual ways.

    python bench/restore.py [--quick] [--rounds 5]

Every answer comes 20 ms late, as S3's would. What is compared ends with the files' bytes in hand and checked: writing them to
another bucket is shown beside it, and costs every way the same. Bytes and requests are counted by the endpoint.
The results of more than one round go to `bench/results.json`.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import measure
from measure import Endpoint, Figure, Run, figure, ratio, short
from restore_ways import VAULT, archive_id_of, key_of

from glaciate.catalog_index import PageFinder
from glaciate.names import catalog_key

SCRIPT = "restore_ways.py"
SCHEME = "http_late"
BIG, FOLDER = 168_000, 20_000  # members: 507 MB and 60 MB


@dataclass(slots=True)
class Runs:
    """The runs of each way, in the order of the rounds, with what the endpoint counted."""

    by_way: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    moved: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    requests: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def seconds(self, way: str) -> list[float]:
        return [run.seconds for run in self.by_way[way]]


def build(at: Endpoint, members: int) -> None:
    command = [sys.executable, str(measure.HERE / SCRIPT), "build", str(members)]
    subprocess.run(command, env=at.environment("http"), check=True)


def catalog_of(at: Endpoint, members: int) -> bytes:
    return at.get(f"{VAULT}/{catalog_key(archive_id_of(members))}")


def spread(members: int, wanted: int) -> list[str]:
    """Keys all over the archive: one out of each of as many equal stretches, anywhere in it."""
    rng = random.Random(wanted)
    step = members // wanted
    return [key_of(number * step + rng.randrange(step)) for number in range(wanted)]


def as_indexed(catalog: bytes, keys: list[str]) -> str:
    """What the files table says of these files, as a restore request's part hands it on."""
    page_of = PageFinder(catalog)
    files = ({"key": key, "destination": key, "size": 0, "page": page_of(key)} for key in sorted(keys))
    return "\n".join(map(json.dumps, files))


def interleaved(at: Endpoint, ways: Sequence[str], members: int, keys: list[str], rounds: int) -> Runs:
    runs = Runs()
    with tempfile.NamedTemporaryFile("w", suffix=".files") as listed:
        listed.write(as_indexed(catalog_of(at, members), keys))
        listed.flush()
        for _ in range(rounds):
            for way in ways:
                at.control("reset")
                runs.by_way[way].append(measure.run(SCRIPT, way, at, SCHEME, archive_id_of(members), listed.name))
                counts = at.control("counts")
                runs.moved[way].append(counts["bytes_out"])
                runs.requests[way].append(counts["requests"])
    return runs


def show(title: str, runs: Runs) -> None:
    rows = [
        (
            way,
            str(figure(runs.seconds(way))),
            short(figure([run.cpu_seconds for run in its]).median),
            f"{max(run.rss_mb for run in its):.0f}",
            f"{runs.moved[way][0] / 1e6:,.1f}",
            f"{runs.requests[way][0]:,}",
        )
        for way, its in runs.by_way.items()
    ]
    measure.table(title, ("way", "seconds", "client's CPU-s", "peak RSS MB", "MB moved", "requests"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a smaller archive, and one round unless told: for development"
    )
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    big, folder = (40_000, 5_000) if arguments.quick else (BIG, FOLDER)
    print(f"# Restoring: {measure.machine_load()}, {rounds} rounds; median (least to most)")
    found: dict[str, Figure] = {}
    with measure.endpoint("--no-tls") as at:
        build(at, big)
        build(at, folder)
        size = len(at.get(f"vault/archives/{archive_id_of(big)}.zip"))
        catalog = len(catalog_of(at, big))

        many = interleaved(at, ("ours", "ours_written", "remote_zip", "whole_archive"), big, spread(big, 1_000), rounds)
        show(
            f"1,000 of {big:,} members of an archive of {size / 1e6:,.0f} MB (its catalog: {catalog / 1e6:.1f} MB)",
            many,
        )
        found["restore_1000_vs_remotezip"] = ratio(many.seconds("remote_zip"), many.seconds("ours"))
        found["restore_1000_vs_whole_archive"] = ratio(many.seconds("whole_archive"), many.seconds("ours"))
        ours = [run.more for run in many.by_way["ours"]]
        asked, wanted = ([more[which] for more in ours] for which in ("range_bytes", "member_bytes"))
        found["restore_bytes_overhead"] = ratio(asked, wanted)

        few = interleaved(at, ("ours", "ours_written", "remote_zip", "whole_archive"), big, spread(big, 20), rounds)
        show("20 members of the same", few)
        found["restore_20_vs_whole_archive"] = ratio(few.seconds("whole_archive"), few.seconds("ours"))
        found["restore_20_vs_remotezip"] = ratio(few.seconds("remote_zip"), few.seconds("ours"))

        everything = [key_of(number) for number in range(folder)]
        whole = interleaved(at, ("ours_all", "whole_archive", "bare_whole"), folder, everything, rounds)
        show(f"All {folder:,} members of an archive", whole)
        found["restore_folder_vs_whole_read"] = ratio(whole.seconds("whole_archive"), whole.seconds("ours_all"))
        found["restore_folder_vs_bare_read"] = ratio(whole.seconds("bare_whole"), whole.seconds("ours_all"))
    measure.table(
        "Figures", ("figure", "median (least to most)"), [(name, str(value)) for name, value in found.items()]
    )
    if rounds > 1:
        measure.write_results(found)


if __name__ == "__main__":
    main()
