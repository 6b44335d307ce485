"""The ways to make one archive of many objects: ours, the usual ones, and the parts of ours that bound it from below.

    python pack_ways.py WAY CORPUS FILES        in the environment that `measure.Endpoint.environment` gives

Every way gets the list of files for nothing; what is timed starts with the first GET (ours: with reading the plan).
"""

import asyncio
import io
import os
import sys
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import md5
from http.client import OK
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import boto3
import measure
from botocore.config import Config
from corpus import BUCKET, CORPORA

if TYPE_CHECKING:
    from together import Share

VAULT = "vault"
Work = Callable[[], "dict[str, float] | None"]
SharedWay = Callable[["Share"], Work]


def _s3() -> Any:
    return boto3.client("s3", config=Config(max_pool_connections=64))


def listed(prefix: str, files: int) -> list[tuple[str, int, str]]:
    """Key, size and ETag of the first files."""
    pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    items = (item for page in pages for item in page["Contents"])
    return [(item["Key"], item["Size"], item["ETag"]) for item in islice(items, files)]


def straightforward(files: list[tuple[str, int, str]]) -> Work:
    """boto3 `download_file` in 8 threads to disk, `tarfile` `w:gz`, one `put_object`."""
    s3 = _s3()

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            names = [Path(folder, key.replace("/", "_")) for key, _, _ in files]
            with ThreadPoolExecutor(8) as threads:
                list(
                    threads.map(
                        lambda item: s3.download_file(BUCKET, item[0][0], str(item[1])), zip(files, names, strict=True)
                    )
                )
            whole = Path(folder, "archive.tar.gz")
            with tarfile.open(whole, "w:gz") as tar:
                for (key, _, _), name in zip(files, names, strict=True):
                    tar.add(name, key)
            with whole.open("rb") as body:
                s3.put_object(Bucket=VAULT, Key="straightforward.tar.gz", Body=body, StorageClass="DEEP_ARCHIVE")

    return work


def zipstream(files: list[tuple[str, int, str]]) -> Work:
    """boto3 GETs in 16 threads, `zipstream-ng` deflating, `smart_open` streaming into the vault."""
    import smart_open
    from zipstream import ZIP_DEFLATED, ZipStream

    s3 = _s3()

    def bodies(threads: ThreadPoolExecutor) -> Iterator[tuple[str, Future[bytes]]]:
        pending = iter(files)
        ahead: deque[tuple[str, Future[bytes]]] = deque()
        while True:
            for key, _, _ in islice(pending, 32 - len(ahead)):
                ahead.append(
                    (key, threads.submit(lambda key=key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))
                )
            if not ahead:
                return
            yield ahead.popleft()

    def work() -> None:
        stream = ZipStream(compress_type=ZIP_DEFLATED)
        target = f"s3://{VAULT}/zipstream.zip"
        with ThreadPoolExecutor(16) as threads, smart_open.open(target, "wb", transport_params={"client": s3}) as vault:
            for key, body in bodies(threads):
                stream.add(body.result(), key)
                for block in stream.all_files():
                    vault.write(block)
            for block in stream.finalize():
                vault.write(block)

    return work


def bare(files: list[tuple[str, int, str]]) -> Work:
    """The same client as ours, as many GETs at once, nothing done to the bytes."""
    bodies = _bodies(files)

    def work() -> None:
        for (key, size, _), body in zip(files, bodies, strict=True):
            if len(body) != size:
                msg = f"{key} is cut short"
                raise ValueError(msg)

    return work


def _bodies(files: list[tuple[str, int, str]]) -> Iterator[bytearray]:
    """The objects' bytes, by the packer's own client."""
    from packer.adapters.integrity import CHECKSUM_MODE
    from packer.adapters.transfers import Answer, Task
    from packer.bootstrap import sources
    from packer.settings import WorkerSettings

    defaults = WorkerSettings.model_fields
    ours = sources(
        os.environ["AWS_ENDPOINT_URL"],
        most=defaults["fetch_concurrency"].default,
        window_bytes=defaults["fetch_window_bytes"].default,
    )
    base_url = ours.urls.of_bucket(BUCKET)

    def asking(key: str, etag: str) -> Task[bytearray]:
        headers = [("if-match", etag), CHECKSUM_MODE]
        answer: Answer = yield ours.requests.get(base_url + ours.urls.path(key), headers, most_bytes=0)
        if answer.status != OK:
            msg = f"{key}: {answer.status}"
            raise ValueError(msg)
        return answer.body

    return ours.transfers.in_order((size, asking(key, etag)) for key, size, etag in files)


def bare_obstore(files: list[tuple[str, int, str]]) -> Work:
    """The same by obstore in 32 threads, the client that the design measured and its targets were set with."""
    from unpacker.adapters.stores import open_store

    store = open_store(BUCKET)

    def get(file: tuple[str, int, str]) -> None:
        key, size, etag = file
        if len(store.get(key, options={"if_match": etag}).bytes()) != size:
            msg = f"{key} is cut short"
            raise ValueError(msg)

    def work() -> None:
        with ThreadPoolExecutor(32) as threads:
            deque(threads.map(get, files), maxlen=0)

    return work


def memory(files: list[tuple[str, int, str]]) -> Work:
    """CRC-32, deflate and ZIP by our codec and writer, of bytes that are in memory already; one thread."""
    return _in_memory(files, verified=False)


def memory_verified(files: list[tuple[str, int, str]]) -> Work:
    """The same, and MD5 held to the ETag: with `bare`, all of a file's cost that no code of ours can save."""
    return _in_memory(files, verified=True)


def _in_memory(files: list[tuple[str, int, str]], *, verified: bool) -> Work:
    from glaciate.requests import Compression
    from packer.adapters.rows import utc_now
    from packer.domain.codec import pack
    from packer.domain.zip_writer import ZipWriter

    bodies = list(_bodies(files))
    now = utc_now()

    def work() -> None:
        writer = ZipWriter()
        out = io.BytesIO()
        for (key, _, etag), body in zip(files, bodies, strict=True):
            if verified and md5(body, usedforsecurity=False).hexdigest() != etag.strip('"'):
                msg = f"{key} is damaged"
                raise ValueError(msg)
            packed = pack(body, Compression.FAST)
            out.write(
                writer.header(
                    key,
                    modified=now,
                    method=packed.method,
                    crc32=packed.crc32,
                    size=packed.size,
                    compressed_size=packed.compressed_size,
                )
            )
            out.write(packed.data)
        for block in writer.end():
            out.write(block)

    return work


def ours(share: "Share") -> Work:
    """The packer's own `Pack`: fetch, verify, compress, ZIP, catalog, upload, seal, index; an archive a process."""
    from pack_ours import packing, plan

    ours = plan(share.files, CORPORA[share.corpus].prefix, archives=share.processes)
    return packing(ours, share.number, with_index=True)


def ours_without_index(share: "Share") -> Work:
    """The same but for the index."""
    from pack_ours import packing, plan

    ours = plan(share.files, CORPORA[share.corpus].prefix, archives=share.processes)
    return packing(ours, share.number, with_index=False)


def ours_million(share: "Share") -> Work:
    """1,000,000 files: the first process plans, the others pack what it plans meanwhile, and then it packs, too."""
    from pack_ours import plan_and_pack

    return plan_and_pack(share.files, share.number, share.processes, share.exchange)


def _share(way: Callable[[list[tuple[str, int, str]]], Work]) -> SharedWay:
    def work(share: "Share") -> Work:
        chosen = listed(CORPORA[share.corpus].prefix, share.files)
        assert len(chosen) == share.files, f"{len(chosen)} files are there"
        each = -(-share.files // share.processes)
        return way(chosen[share.number * each : (share.number + 1) * each])

    return work


def ask(files: list[tuple[str, int, str]]) -> Work:
    """How fast the endpoint answers: prepared, unsigned requests over 32 bare sockets, answers counted by their length."""
    import uvloop

    parts = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    requests = [
        (f"GET /{BUCKET}/{quote(key)} HTTP/1.1\r\nHost: b\r\nif-match: {etag}\r\n\r\n".encode(), size)
        for key, size, etag in files
    ]

    async def all_answers() -> None:
        pending = iter(requests)
        loop = asyncio.get_running_loop()

        class Asker(asyncio.Protocol):
            def __init__(self) -> None:
                self.done = loop.create_future()

            def connection_made(self, transport: Any) -> None:
                self.transport = transport
                self.next()

            def next(self) -> None:
                request = next(pending, None)
                if request is None:
                    self.transport.close()
                    self.done.set_result(None)
                    return
                self.missing = request[1]
                self.at_head = True
                self.transport.write(request[0])

            def data_received(self, data: bytes) -> None:
                if self.at_head:
                    if not data.startswith(b"HTTP/1.1 200"):
                        self.done.set_exception(RuntimeError(data[:80]))
                    self.at_head = False
                    self.missing += data.index(b"\r\n\r\n") + 4
                self.missing -= len(data)
                if not self.missing:
                    self.next()

        askers = [await loop.create_connection(Asker, parts.hostname, parts.port) for _ in range(32)]
        await asyncio.gather(*(asker.done for _, asker in askers))

    return lambda: uvloop.run(all_answers())


WAYS = {way.__name__: way for way in (straightforward, zipstream, ask)}
SHARED_WAYS: dict[str, SharedWay] = {
    "ours": ours,
    "ours_without_index": ours_without_index,
    "ours_million": ours_million,
    "bare": _share(bare),
    "bare_obstore": _share(bare_obstore),
    "memory": _share(memory),
    "memory_verified": _share(memory_verified),
}


def _plan_a_million(max_files: int) -> str:
    from pack_ours import plan_a_million

    return measure.timed(1_000_000, lambda: plan_a_million(max_files))


if __name__ == "__main__":
    name, corpus, number = sys.argv[1:]
    if name == "plan":
        print(_plan_a_million(int(number)))
        sys.exit()
    chosen = listed(CORPORA[corpus].prefix, int(number))
    assert len(chosen) == int(number), f"{len(chosen)} files are there"
    print(measure.timed(len(chosen), WAYS[name](chosen)))
