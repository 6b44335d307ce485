"""`make bench`, the listing half: stretches of a prefix side by side against one page after another, 20 ms away.

    python bench/list.py [--rounds 5]

Each round lists 100,000 keys in folders of 10,000, and 62,500 that begin with a hash, in each way in a process of its own; and
sorts a manifest of 1,000,000 rows in no order. `list_…_requests`: how many requests the first way makes for each of the second's.
The results of more than one round go to `bench/results.json`.
"""

import argparse
import sys
from collections import defaultdict
from hashlib import md5

import measure
from measure import Figure, Run, figure, ratio, short

from glaciate.names import JobId

LAYOUTS = {"folders": ("million", "planned/site-00"), "hashes": ("hashes", "planned/1")}
ROWS = 1_000_000
WAYS = {"side_by_side": 8, "one_after_another": 1, "botocore": 0}
_PAGE = 1000


def list_in_this_process(way: str, layout: str) -> None:
    from glaciate import aws
    from packer.adapters.listing import S3Listing

    bucket, prefix = LAYOUTS[layout]
    s3 = aws.s3()
    s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)  # loads what botocore loads once
    keys: list[str] = []

    def work() -> dict[str, float] | None:
        if way == "botocore":
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                keys.extend(item["Key"] for item in page["Contents"])
        else:
            keys.extend(file.key for file in S3Listing(s3, at_once=WAYS[way]).files(bucket, prefix, after=None))
        return None

    number = 62_500 if layout == "hashes" else 100_000
    told = measure.timed(number, work)
    assert len(set(keys)) == number, f"{len(set(keys))} keys were listed"
    assert keys == sorted(keys)
    print(told)


def manifest_of(rows: int) -> bytes:
    lines = []
    for place in range(rows):
        number = place * 7919 % rows
        key = f"in/site-{number // 10_000:03}/2025/daily/export/report-{number:07}.csv"
        lines.append(f"source,{key},{9_000 + number % 2_000},{number:032x}")
    return "\n".join(lines).encode()


def sort_in_this_process(etag: str) -> None:
    """Sorts the manifest and takes its files; tells by how many MB the process grew at the most."""
    from pack_ours import order

    from glaciate import aws
    from glaciate.manifests import SourceList
    from packer.adapters.objects import S3Manifests, S3Notes
    from packer.application import SortManifest
    from packer.domain.archives import Job, JobState

    source = SourceList(kind="csv", bucket="lists", key="list.csv", etag=etag)
    wanted = order("in/", bucket="source", max_files=10_000).model_copy(update={"source": source})
    job = Job(JobId("bench0000000"), JobState.PLANNING, wanted, "c", None, 0, 0, planning_finished=False)
    s3 = aws.s3()
    sort = SortManifest(S3Manifests(s3), S3Notes(s3, "work"))
    s3.list_objects_v2(Bucket="work", MaxKeys=1)
    before = measure.rss_mb()

    def work() -> dict[str, float]:
        manifest = sort(job)
        last, number = "", 0
        for file in sort.files(manifest, after=None):
            assert file.key > last
            last = file.key
            number += 1
        assert number == ROWS
        return {"growth_mb": max(0.0, measure.peak_rss_mb() - before)}

    print(measure.timed(ROWS, work))


def manifests(rounds: int) -> dict[str, Figure]:
    document = manifest_of(ROWS)
    etag = f'"{md5(document, usedforsecurity=False).hexdigest()}"'
    runs = []
    with measure.endpoint() as at:
        at.control("corpus/lists/list.csv", document)
        for _ in range(rounds):
            at.control("reset")
            runs.append(measure.run("list.py", "manifest", at, "http", etag))
    growth = figure([run.more["growth_mb"] for run in runs])
    cpu = figure([run.cpu_per_file * 1e6 for run in runs])
    row = (str(figure([run.files_per_second for run in runs])), str(cpu), str(growth))
    measure.table("Sorting a manifest of 1,000,000 rows", ("rows/s", "CPU µs a row", "growth MB"), [row])
    return {"sort_manifest_million_growth_mb": growth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("run", nargs="*", help="a way and a layout: do it in this process")
    arguments = parser.parse_args()
    if arguments.run:
        way, what = arguments.run
        sort_in_this_process(what) if way == "manifest" else list_in_this_process(way, what)
        return
    print(f"# Listing: {measure.machine_load()}, {arguments.rounds} rounds, 20 ms; median (least to most)")
    found: dict[str, Figure] = {}
    with measure.endpoint() as at:
        for layout in LAYOUTS:
            runs: dict[str, list[Run]] = defaultdict(list)
            requests: dict[str, list[float]] = defaultdict(list)
            for _ in range(arguments.rounds):
                for way in WAYS:
                    at.control("reset")
                    runs[way].append(measure.run("list.py", way, at, "http_late", layout))
                    requests[way].append(at.control("counts")["requests"] - 1)
            rows = [
                (
                    way,
                    str(its[0].files),
                    str(figure([run.files_per_second for run in its])),
                    str(figure([run.cpu_per_file * 1e6 for run in its])),
                    short(figure(requests[way]).median),
                    f"{max(run.rss_mb for run in its):.0f}",
                )
                for way, its in runs.items()
            ]
            head = ("way", "keys", "keys/s", "CPU µs a key", "requests", "peak RSS MB")
            measure.table(layout, head, rows)
            speed = {way: [run.files_per_second for run in its] for way, its in runs.items()}
            found[f"list_{layout}_vs_one_after_another"] = ratio(speed["side_by_side"], speed["one_after_another"])
            found[f"list_{layout}_vs_botocore"] = ratio(speed["side_by_side"], speed["botocore"])
            found[f"list_{layout}_requests"] = ratio(requests["side_by_side"], requests["one_after_another"])
    found |= manifests(arguments.rounds)
    measure.table("Figures", ("figure", "median (least to most)"), [(name, str(its)) for name, its in found.items()])
    if arguments.rounds > 1:
        measure.write_results(found)


if __name__ == "__main__":
    sys.exit(main())
