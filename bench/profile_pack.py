"""Where the packer's CPU time goes, a file: each step's thread time, measured inside the real packing of the small corpus.

    python profile_pack.py [FILES]

Steps nest nowhere. What is left over is the interpreter between the steps, the threads that send parts, and measuring itself.
"""

import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import measure

_SPENT: dict[str, float] = defaultdict(float)


def _timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        started = time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            _SPENT[step] += time.thread_time() - started

    return call


def _timed_items(step: str, function: Callable[..., Iterable[Any]]) -> Callable[..., Iterator[Any]]:
    def items(*arguments: Any, **named: Any) -> Iterator[Any]:
        each = iter(function(*arguments, **named))
        take = _timed(step, lambda: next(each, None))
        while (item := take()) is not None:
            yield item

    return items


def _instrument() -> None:
    """Wraps what the packer calls."""
    import pycurl

    from packer.adapters import index, objects, sources, transfers, vault
    from packer.domain import codec, zip_archive

    class Multi(pycurl.CurlMulti):  # type: ignore[misc, name-defined]
        perform = _timed("libcurl: sending, receiving", pycurl.CurlMulti.perform)

    pycurl.CurlMulti = Multi
    transfers._Turns._ask = _timed("preparing and signing requests", transfers._Turns._ask)  # type: ignore[method-assign]
    sources._got = _timed("answers' headers", sources._got)
    sources._Got.verify = _timed("MD5", sources._Got.verify)  # type: ignore[method-assign]
    sources.pack = _timed("CRC-32 and deflate", codec.pack)  # type: ignore[attr-defined]
    zip_archive.ZipArchive.member = _timed("names, ZIP headers, catalog lines", zip_archive.ZipArchive.member)  # type: ignore[method-assign]
    vault.S3Upload.write = _timed("gathering parts", vault.S3Upload.write)  # type: ignore[method-assign]
    vault.S3Upload._send_part = _timed("sending parts", vault.S3Upload._send_part)  # type: ignore[method-assign]
    index.file_items = _timed_items("index, rows (catalog read again)", index.file_items)
    objects.S3Catalogs.put = _timed("catalog, putting", objects.S3Catalogs.put)  # type: ignore[method-assign]


def _client(files: int) -> None:
    _instrument()
    from pack_ours import packing, plan

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # as each of the worker's processes
    work = packing(plan(files, "small/", archives=1), 0, with_index=True)
    _SPENT.clear()
    main = time.thread_time()
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work()
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    rows = [
        (step, f"{seconds / files * 1e6:.1f}", f"{seconds / cpu * 100:.0f} %")
        for step, seconds in sorted(_SPENT.items(), key=lambda item: -item[1])
    ]
    rows.append(("main thread, all", f"{(time.thread_time() - main) / files * 1e6:.1f}", ""))
    rows.append(
        (
            "**process**",
            f"{cpu / files * 1e6:.1f}",
            f"{switches / files:.1f} switches a file, {files / wall:,.0f} files/s",
        )
    )
    measure.table(f"CPU time of packing {files:,} files", ("step", "µs a file", "share"), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        from glaciate.processes import in_processes

        in_processes(lambda: _client(int(sys.argv[2])), 1)  # as the worker does
    else:
        import subprocess

        number = sys.argv[1] if len(sys.argv) > 1 else "20000"
        with measure.endpoint("--corpus", "small", "--files", number, "--no-tls") as at:
            subprocess.run([sys.executable, __file__, "--client", number], env=at.environment("http"), check=True)
