"""The benchmark's source files: CSV as sensors and shops write it, the same bytes at every run.

All files of a corpus are stretches of one seeded pool of rows, each from another place: what deflate sees in its window of
32 KB is fresh text, so that a file shrinks as real CSV does (the tables print by how much).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5

BUCKET = "corpus"
_HEADER = b"recorded_at,device_id,site,channel,value,unit,status,note\n"
_SITES = ("berlin-03", "oslo-11", "lyon-01", "porto-07", "turin-02", "krakow-05", "malmo-04", "graz-09")
_CHANNELS = (("temperature", "C"), ("humidity", "%"), ("pressure", "hPa"), ("vibration", "mm/s"), ("current", "A"))
_NOTES = ("", "", "", "", "calibrated", "value interpolated", "sensor replaced", "door open")
_POOL_ROWS = 240_000


@dataclass(frozen=True, slots=True)
class CorpusShape:
    """How many files, and how long: log-normal around `median_bytes`."""

    prefix: str
    files: int
    median_bytes: int
    sigma: float
    most_bytes: int


SMALL = CorpusShape("small/", 20_000, 8_800, 0.5, 64 * 1024)
LARGE = CorpusShape("large/", 200, 4_800_000, 0.3, 12_000_000)
CORPORA = {"small": SMALL, "large": LARGE}


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A source object: its key, its bytes and its ETag, which is their MD5."""

    key: str
    body: bytes
    etag: str


def _row(rng: random.Random, second: int) -> str:
    channel, unit = rng.choice(_CHANNELS)
    status = "OK" if rng.random() < 0.93 else rng.choice(("WARN", "FAULT", "MISSING"))
    return (
        f"2025-{second // 2_500_000 % 12 + 1:02}-{second // 86_400 % 28 + 1:02}T{second // 3600 % 24:02}:"
        f"{second // 60 % 60:02}:{second % 60:02}.{rng.randrange(1000):03}Z,dev-{rng.randrange(4000):04},"
        f"{rng.choice(_SITES)},{channel},{rng.gauss(40, 22):.3f},{unit},{status},{rng.choice(_NOTES)}\n"
    )


def _pool() -> bytes:
    rng = random.Random(20_250_101)
    second = 0
    rows = []
    for _ in range(_POOL_ROWS):
        second += rng.randrange(5, 40)
        rows.append(_row(rng, second))
    return "".join(rows).encode()


def corpus_files(shape: CorpusShape, files: int | None = None) -> Iterator[CorpusFile]:
    """The first `files` of a corpus (all, unless told), in key order."""
    rng = random.Random(shape.prefix)
    pool = _pool()
    for number in range(files or shape.files):
        size = min(int(rng.lognormvariate(0, shape.sigma) * shape.median_bytes), shape.most_bytes)
        start = pool.index(b"\n", rng.randrange(len(pool) - shape.most_bytes - 4096)) + 1
        body = _HEADER + pool[start : pool.index(b"\n", start + size) + 1]
        key = f"{shape.prefix}site-{number // 1000:03}/2025/{number % 1000 // 100 + 1:02}/report-{number:06}.csv"
        yield CorpusFile(key, body, f'"{md5(body, usedforsecurity=False).hexdigest()}"')
