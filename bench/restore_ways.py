"""The ways to read members out of an archive in S3; all end with the files' bytes in hand, checked, in this process.

python restore_ways.py WAY ARCHIVE_ID FILES     FILES: a file with the wanted files as the index tells of them, a line of JSON each
python restore_ways.py build MEMBERS            makes an archive of the small corpus and gives it to the endpoint
"""

import io
import json
import os
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import measure
from corpus import SMALL, corpus_files

from glaciate.catalog import CatalogHeader, Member
from glaciate.names import ArchiveId, ProjectName, RequestId, catalog_key, vault_key_of_zip
from glaciate.parts import WantedFile
from glaciate.requests import Compression

VAULT = "vault"
Work = Callable[[], "dict[str, float] | None"]
_DISTINCT = 20_000


def archive_id_of(members: int) -> ArchiveId:
    return ArchiveId(f"{members:016}")


def key_of(number: int) -> str:
    return f"history/site-{number // 1000:03}/2025/{number // 100 % 10 + 1:02}/report-{number:06}.csv"


def build(members: int) -> None:
    """An archive by our writer; its members' bodies are those of the small corpus, over and over, under keys of their own."""
    from packer.domain.codec import pack
    from packer.domain.sources import Description, ReadFile, SourceFile
    from packer.domain.zip_archive import ZipArchive

    archive = archive_id_of(members)
    vault_key = vault_key_of_zip("archives/", archive)
    zipped = ZipArchive(
        CatalogHeader(ProjectName("bench"), "corpus", "history/", archive, VAULT, vault_key, "DEEP_ARCHIVE", "zip")
    )
    bodies = [(pack(file.body, Compression.FAST), file.etag) for file in corpus_files(SMALL, min(members, _DISTINCT))]
    modified = datetime(2025, 6, 1, tzinfo=UTC)
    out = io.BytesIO()
    for number in range(members):
        packed, etag = bodies[number % len(bodies)]
        file = SourceFile(key_of(number), packed.size, etag, modified)
        out.write(zipped.member(ReadFile(file, Description(content_type="text/csv"), packed)))
        out.write(packed.data)
    for block in zipped.end():
        out.write(block)
    for key, body in ((vault_key, out.getvalue()), (catalog_key(archive), zipped.catalog())):
        url = f"{os.environ['AWS_ENDPOINT_URL']}/-/corpus/{VAULT}/{key}"
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT")).close()


@dataclass(slots=True)
class FilesInHand:
    """Keeps what was restored, or only counts it."""

    keep: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    count: int = 0

    def put(self, destination: str, member: Member, content: bytes) -> None:
        self.count += 1
        if self.keep:
            self.files[destination] = content


@dataclass(slots=True)
class CountedVault:
    """Counts the bytes that are asked of the archive itself, without its catalog."""

    vault: Any
    asked_bytes: int = 0

    def read(self, vault_key: str, *, start: int, end: int) -> bytes:
        self.asked_bytes += end - start
        return self.vault.read(vault_key, start=start, end=end)

    def read_several(self, vault_key: str, ranges: "list[tuple[int, int]]") -> "object":
        self.asked_bytes += sum(end - start for start, end in ranges)
        return self.vault.read_several(vault_key, ranges)


def _unpacking() -> Any:
    """What the worker would use, as it builds it."""
    from glaciate.events import ArchiveReadable
    from unpacker import bootstrap

    names = ("UNPACK_QUEUE_URL", "UNPACK_DEAD_LETTERS_URL", "THAW_QUEUE_URL", "EVENT_BUS_NAME", "JOBS_TABLE")
    buckets = {"VAULT_BUCKET": VAULT, "WORK_BUCKET": "work", "RESTORE_BUCKET": "restored"}
    os.environ.update({name: name.lower() for name in names} | buckets)
    return bootstrap.worker().use_cases[ArchiveReadable]


def _ours(archive: ArchiveId, files: list[WantedFile], *, written: bool, keep: bool = True) -> Work:
    from unpacker.application import Outcomes, Want

    unpacking = _unpacking()
    wants = {file.key: (Want(RequestId("r-benchmark"), file),) for file in files}
    pages = frozenset(file.page for file in files if file.page is not None)
    in_hand = FilesInHand(keep)
    vault = CountedVault(unpacking.unpack.vault)
    unpack = replace(unpacking.unpack, vault=vault, **({} if written else {"restored_files": in_hand}))

    def work() -> dict[str, float]:
        outcomes = Outcomes()
        excerpt = unpacking.catalogs.read(archive, frozenset(wants), pages)
        unpack(excerpt, wants, outcomes)
        failed = [want for (want,) in wants.values() if outcomes.result(want).state != "RESTORED"]
        assert not failed, f"{len(failed)} of {len(files)} files were not restored"
        assert written or in_hand.count == len(files)
        members = sum(member.compressed_size for member in excerpt.members.values())
        return {"member_bytes": members, "range_bytes": vault.asked_bytes}

    return work


def ours(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """The unpacker's own reading: catalog, plan of ranges, ranged GETs, inflating, length and CRC-32."""
    return _ours(archive, files, written=False)


def ours_written(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """The same, and every file written to the restore bucket on condition."""
    return _ours(archive, files, written=True)


def ours_all(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """Every member, opened and checked, none kept."""
    return _ours(archive, files, written=False, keep=False)


def whole_archive(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """boto3 `download_file` of the whole archive to disk, then `zipfile` for the wanted members."""
    s3 = boto3.client("s3")

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "archive.zip")
            s3.download_file(VAULT, vault_key_of_zip("archives/", archive), str(path))
            with zipfile.ZipFile(path) as zipped:
                assert all(zipped.read(file.key) for file in files)

    return work


def bare_whole(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """The whole archive by the unpacker's client, 8 MB a GET, 8 at once, nothing done to the bytes."""
    import obstore

    from unpacker.adapters.stores import open_store

    store, vault_key, step = open_store(VAULT), vault_key_of_zip("archives/", archive), 8 * 1024**2
    size = obstore.head(store, vault_key)["size"]

    def read(start: int) -> int:
        return len(obstore.get_range(store, vault_key, start=start, end=min(start + step, size)))

    def work() -> None:
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(read, range(0, size, step))) == size

    return work


def remote_zip(archive: ArchiveId, files: list[WantedFile]) -> Work:
    """`remotezip` over a URL that needs no signature, one connection kept open."""
    import requests
    from remotezip import RemoteZip

    url = f"{os.environ['AWS_ENDPOINT_URL']}/{VAULT}/{vault_key_of_zip('archives/', archive)}"

    def work() -> None:
        with requests.Session() as session, RemoteZip(url, session=session) as zipped:
            assert all(zipped.read(file.key) for file in files)

    return work


WAYS = {way.__name__: way for way in (ours, ours_written, ours_all, whole_archive, bare_whole, remote_zip)}


if __name__ == "__main__":
    if sys.argv[1] == "build":
        build(int(sys.argv[2]))
        sys.exit()
    name, archive_name, listed = sys.argv[1:]
    wanted = [WantedFile(**json.loads(line)) for line in Path(listed).read_text().splitlines()]
    print(measure.timed(len(wanted), WAYS[name](ArchiveId(archive_name), wanted)))
