"""One damaged byte anywhere in an archive: the file it hits is reported, the others arrive; and a catalog is found again in its archive."""

import io
import os
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.mortal import Life
from fakes.unpack_world import ARCHIVE, ONE, VAULT_KEY, World, readable
from fakes.unpacking import header_of, member
from faults import Killed
from glaciate.catalog import MEMBER_NAME, Skipped, read_catalog
from glaciate.names import ArchiveId
from glaciate.requests import Compression
from glaciate.restores import PartState
from packer.domain.codec import pack
from packer.domain.sources import Description, ReadFile, SourceFile
from packer.domain.zip_archive import ZipArchive
from packer.domain.zip_writer import ZipWriter
from unpacker.domain import Damaged, find_catalog_member
from unpacker.ports import CatalogUnusable

FILES = {
    "in/a.txt": b"the first file, the first file, the first file",
    "in/deep/b.txt": b"the second file " * 30,
    "in/empty": b"",
    "in/noise ü.bin": bytes(range(256)),
    "in/z.txt": b"the last file " * 5,
}
LEFT_OUT = Skipped("in/gone.txt", "it vanished")


@dataclass
class Packed:
    """An archive as the packer writes it."""

    data: bytes
    plain: bytes  # its catalog
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # where each file's data lie


@cache
def packed() -> Packed:
    zipped = ZipArchive(header_of(ARCHIVE))
    out = io.BytesIO()
    for key, content in FILES.items():
        file = SourceFile(key, len(content), '"e"', datetime(2026, 6, 1, tzinfo=UTC))
        body = pack(content, Compression.FAST)
        out.write(zipped.member(ReadFile(file, Description(content_type="text/plain"), body)))
        out.write(body.data)
    zipped.skip(LEFT_OUT)
    for block in zipped.end():
        out.write(block)
    catalog = read_catalog(zipped.catalog())
    spans = {found.key: (found.offset, found.offset + found.compressed_size) for found in catalog.members}
    with zipfile.ZipFile(out) as archive:
        return Packed(out.getvalue(), archive.read(MEMBER_NAME), spans)


def world_of(data: bytes, *, catalog: bytes | None) -> World:
    world = World()
    world.vault.archives[VAULT_KEY] = data
    if catalog is not None:
        world.catalogs.documents[ARCHIVE] = catalog
    world.want(ONE, *FILES)
    return world


def flipped(at: int, bit: int) -> bytes:
    data = bytearray(packed().data)
    data[at] ^= 1 << bit
    return bytes(data)


def places(*, last: int) -> st.SearchStrategy[int]:
    """Anywhere, and as often where something begins or ends."""
    edges = [place + by for span in packed().spans.values() for place in span for by in (-1, 0, 1)]
    return st.integers(0, last) | st.sampled_from([*edges, last, last - 21, last - 22, last - 67])


def hit(at: int) -> set[str]:
    return {key for key, (start, end) in packed().spans.items() if start <= at < end}


def restored(world: World) -> dict[str, bytes]:
    return {key.removeprefix(f"{ONE}/"): content for key, content in world.contents().items()}


LAST = len(packed().data) - 1


@settings(max_examples=150, deadline=None)
@given(places(last=LAST), st.integers(0, 7))
def test_a_flipped_bit_anywhere_costs_at_most_the_file_it_hits(at: int, bit: int) -> None:
    world = world_of(flipped(at, bit), catalog=packed().plain)

    world.unpack()(readable())

    came = restored(world)
    assert {key: FILES[key] for key in came} == came
    assert FILES.keys() - came.keys() <= hit(at)
    reasons = world.results(ONE)
    assert {key for key, reason in reasons.items() if reason is None} == came.keys()
    assert all("damaged in archive" in reason for reason in reasons.values() if reason)
    assert world.state(ONE) is (PartState.COMPLETED if len(came) == len(FILES) else PartState.PARTIAL)


@settings(max_examples=150, deadline=None)
@given(places(last=LAST), st.integers(0, 7))
def test_without_a_catalog_beside_it_nothing_wrong_comes_out_of_a_damaged_archive(at: int, bit: int) -> None:
    world = world_of(flipped(at, bit), catalog=None)

    world.unpack()(readable())

    came = restored(world)
    assert {key: FILES[key] for key in came} == came
    catalog_may_be_hit = at >= max(end for _start, end in packed().spans.values())
    assert catalog_may_be_hit or FILES.keys() - came.keys() <= hit(at)
    assert all(world.results(ONE)[key] for key in FILES.keys() - came.keys())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, LAST))
def test_a_truncated_archive_costs_the_files_behind_the_cut(length: int) -> None:
    world = world_of(packed().data[:length], catalog=packed().plain)

    world.unpack()(readable())

    came = restored(world)
    assert came == {key: FILES[key] for key, (_start, end) in packed().spans.items() if end <= length or not FILES[key]}


@pytest.mark.parametrize("catalog", [None, b"", b'{"format": "other"}\n', packed().plain[:300]])
def test_a_missing_or_damaged_catalog_is_rebuilt_out_of_the_archive(catalog: bytes | None) -> None:
    world = world_of(packed().data, catalog=catalog)
    world.want(ONE, *FILES, LEFT_OUT.key)

    world.unpack()(readable())

    assert restored(world) == FILES
    assert "it vanished" in (world.results(ONE)[LEFT_OUT.key] or "")
    assert world.catalogs.documents[ARCHIVE] == packed().plain


def test_the_catalog_of_another_archive_is_not_used() -> None:
    world = World()
    other = ArchiveId("01aaaaa000010009")
    vault_key = header_of(other).vault_key
    world.vault.archives[vault_key] = packed().data
    world.documents.put_wanted(ONE, other, ())
    world.want(ONE, "in/a.txt", archive_id=other)

    world.unpack()(readable(vault_key))

    results = world.documents.results(ONE, other)
    assert results is not None
    assert f"is that of {ARCHIVE}" in (results[0].reason or "")
    assert world.catalogs.documents == {}


def test_an_archive_without_a_readable_copy_is_thawed_before_its_catalog_is_rebuilt() -> None:
    world = world_of(packed().data, catalog=None)
    world.vault.cold.add(VAULT_KEY)

    world.unpack()(readable())

    assert world.state(ONE) is PartState.PENDING
    assert len(world.sent.commands) == 1


def test_an_archive_that_is_gone_with_its_catalog_fails_its_parts() -> None:
    world = world_of(packed().data, catalog=None)
    del world.vault.archives[VAULT_KEY]

    world.unpack()(readable())

    assert set(world.results(ONE).values()) == {f"the archive {ARCHIVE} is no longer in the vault"}


def test_a_big_file_kept_as_it_is_needs_no_catalog() -> None:
    header = header_of(ARCHIVE, "object")
    content = os.urandom(5_000)
    world = World()
    world.vault.archives[header.vault_key] = content
    world.catalogs.objects[header.vault_key] = member("in/large.bin", content)
    world.want(ONE, "in/large.bin")

    world.unpack()(readable(header.vault_key))

    assert world.contents() == {f"{ONE}/in/large.bin": content}
    assert world.catalogs.documents == {}


def test_a_worker_killed_while_it_rebuilds_a_catalog_ends_in_the_same_state() -> None:
    life = Life()
    undisturbed = world_of(packed().data, catalog=None)
    undisturbed.unpack(life, read_concurrency=1, write_concurrency=1)(readable())

    for step in range(life.calls):
        for after_effect in (False, True):
            world = world_of(packed().data, catalog=None)
            with pytest.raises(Killed):
                world.unpack(Life(step, after_effect=after_effect), read_concurrency=1, write_concurrency=1)(readable())

            world.unpack()(readable())

            assert restored(world) == FILES
            assert world.catalogs.documents == undisturbed.catalogs.documents
            assert world.ledger.parts == undisturbed.ledger.parts


@pytest.mark.parametrize("files", [1, 70_000])
def test_the_catalog_of_an_archive_of_any_size_is_found(files: int) -> None:
    writer = ZipWriter()
    stamp = datetime(2026, 6, 1, tzinfo=UTC)
    for number in range(files):
        writer.header(f"{number}", modified=stamp, method=0, crc32=0, size=0, compressed_size=0)
    writer.header(MEMBER_NAME, modified=stamp, method=8, crc32=7, size=200, compressed_size=100)
    data_end = writer.offset
    end = b"".join(writer.end())

    found = find_catalog_member(end[-65_536:], archive_bytes=data_end + len(end))

    assert (found.start, found.end, found.size, found.crc32) == (data_end - 100, data_end, 200, 7)


def test_the_catalog_behind_four_gigabytes_is_found() -> None:
    writer = ZipWriter()
    stamp = datetime(2026, 6, 1, tzinfo=UTC)
    writer.header("big", modified=stamp, method=0, crc32=0, size=5 * 2**30, compressed_size=5 * 2**30)
    writer.header(MEMBER_NAME, modified=stamp, method=8, crc32=7, size=200, compressed_size=100)
    data_end = writer.offset
    end = b"".join(writer.end())

    found = find_catalog_member(end, archive_bytes=data_end + len(end))

    assert (found.start, found.end, found.size, found.crc32) == (data_end - 100, data_end, 200, 7)


@pytest.mark.parametrize("tail", [b"", b"no zip at all", bytes(100), b"PK\5\6" + bytes(18)])
def test_something_else_has_no_catalog_in_it(tail: bytes) -> None:
    with pytest.raises(Damaged):
        find_catalog_member(tail, archive_bytes=len(tail))


def test_somebody_elses_zip_has_no_catalog_of_ours() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"a")
    with pytest.raises(Damaged, match="no catalog"):
        find_catalog_member(buffer.getvalue(), archive_bytes=len(buffer.getvalue()))


def test_a_rebuilt_catalog_is_checked_against_its_checksum() -> None:
    found = find_catalog_member(packed().data, archive_bytes=len(packed().data))
    deflated = bytearray(packed().data[found.start : found.end])
    world = World()
    assert world.catalogs.open(found.gzipped(bytes(deflated)), frozenset({"in/a.txt"})).members.keys() == {"in/a.txt"}

    deflated[-3] ^= 1

    with pytest.raises(CatalogUnusable):
        world.catalogs.open(found.gzipped(bytes(deflated)), frozenset({"in/a.txt"}))
