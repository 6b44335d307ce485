"""A stored catalog is a gzip file that any program reads, and by its index a few lines are read without the others."""

import gzip
import io
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from string import ascii_letters, digits

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glaciate.catalog import CatalogHeader, Excerpt, Member, Skipped, read_catalog, read_excerpt
from glaciate.catalog_index import (
    SPAN_BYTES,
    TAIL_BYTES,
    CatalogIndex,
    IndexWriter,
    PageFinder,
    index_bytes,
    left_out_in,
    members_in,
    read_index,
    span_of,
)
from glaciate.names import ArchiveId, ProjectName
from packer.domain.catalog_spool import CatalogSpool

HEADER = CatalogHeader(
    project=ProjectName("lab"), bucket="lab-results", prefix="runs/", archive_id=ArchiveId("1vzk3q8abcde0000"),
    vault_bucket="vault", vault_key="archives/lab/1vzk3q8abcde0000.zip", storage_class="DEEP_ARCHIVE", kind="zip",
)  # fmt: skip
MANY = [f"runs/{number:06} ü.csv" for number in range(5_000)]
LEFT_OUT = [Skipped(f"runs/{number:06} ü.gone", "it vanished") for number in range(1_000)]


def member(key: str, number: int) -> Member:
    return Member(
        key=key, name=key, offset=42 + 100 * number, compressed_size=58, size=80, method=8, crc32=number,
        etag='"e"', version_id=None, modified=datetime(2026, 6, 1, tzinfo=UTC), content_type="text/csv",
    )  # fmt: skip


def random_text(seed: int, characters: int) -> str:
    """Text that does not compress well."""
    return "".join(Random(seed).choices(ascii_letters + digits, k=characters))


def written(keys: list[str], left_out: list[Skipped]) -> CatalogSpool:
    spool = CatalogSpool(HEADER)
    for number, key in enumerate(keys):
        spool.member(member(key, number))
    spool.left_out(left_out)
    spool.close()
    return spool


def stored(keys: list[str], left_out: list[Skipped]) -> bytes:
    return written(keys, left_out).gzipped()


def index_of(catalog: bytes) -> CatalogIndex:
    return read_index(catalog[-index_bytes(catalog[-64_000:]) :])


def by_index(catalog: bytes, keys: frozenset[str]) -> tuple[Excerpt, int]:
    """What a reader finds that opens only the blocks it needs, and how many they are."""
    index = index_of(catalog)
    opened = 0

    def plain(start: int, end: int, crc32: int) -> bytes:
        nonlocal opened
        opened += 1
        lines = zlib.decompressobj(wbits=-15).decompress(catalog[start:end])
        assert zlib.crc32(lines) == crc32
        return lines

    members: dict[str, Member] = {}
    for block, wanted in index.holding(keys).items():
        members |= members_in(plain(block.start, block.end, block.crc32), wanted)
    left_out: dict[str, str] = {}
    if keys - members.keys():
        for block in index.of_left_out():
            left_out |= left_out_in(plain(block.start, block.end, block.crc32))
    return index.excerpt(members, {key: left_out[key] for key in keys if key in left_out}), opened


def test_any_program_reads_the_lines_and_nothing_else() -> None:
    catalog = stored(MANY, LEFT_OUT)

    plain = gzip.decompress(catalog)

    assert plain == b"".join(gzip.GzipFile(fileobj=io.BytesIO(catalog)))
    assert plain == zlib.decompress(catalog, wbits=31)  # a reader that knows no second member
    found = read_catalog(catalog)
    assert found.header == HEADER
    assert [item.key for item in found.members] == MANY
    assert list(found.skipped) == LEFT_OUT


def test_the_zip_holds_the_same_lines() -> None:
    spool = written(MANY, LEFT_OUT)

    inside = zlib.decompress(b"".join(spool.deflated), wbits=-15)

    assert inside == gzip.decompress(spool.gzipped())
    assert (spool.size, spool.crc32, spool.deflated_size) == (
        len(inside),
        zlib.crc32(inside),
        len(b"".join(spool.deflated)),
    )


def test_a_few_members_are_found_in_a_few_blocks() -> None:
    catalog = stored(MANY, LEFT_OUT)
    keys = frozenset({MANY[0], MANY[2_345], MANY[-1]})

    found, opened = by_index(catalog, keys)

    assert found == read_excerpt(gzip.decompress(catalog).splitlines(keepends=True), keys)
    assert opened == 3
    assert len(index_of(catalog).blocks) > 10


def test_what_was_left_out_is_found_behind_the_members() -> None:
    catalog = stored(MANY, LEFT_OUT)
    keys = frozenset({MANY[7], LEFT_OUT[999].key, "runs/nowhere", "", "zzz"})

    found, _ = by_index(catalog, keys)

    assert found == read_excerpt(gzip.decompress(catalog).splitlines(keepends=True), keys)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=40), unique=True, max_size=300), st.data())
def test_the_index_finds_what_reading_everything_finds(keys: list[str], data: st.DataObject) -> None:
    in_order = sorted(keys)
    at = data.draw(st.integers(0, len(keys)))
    catalog = stored(in_order[:at], [Skipped(key, "gone") for key in in_order[at:]])
    wanted = frozenset(data.draw(st.lists(st.sampled_from(keys))) if keys else []) | {"nowhere"}

    found, _ = by_index(catalog, wanted)

    assert found == read_excerpt(gzip.decompress(catalog).splitlines(keepends=True), wanted)


@pytest.mark.slow
def test_the_index_of_a_million_members_fits_into_what_is_read_first() -> None:
    """Blocks grow with the catalog: their number does not."""
    index = IndexWriter(HEADER)
    random = Random(7)
    in_block = start = 0
    for number in range(1_000_000):
        key = f"history/site-{number // 1000:04}/2025/{number // 100 % 10:02}/report-{number:07}.csv"
        if index.due(in_block):
            index.block(start, random.randrange(2**32), key)
            start, in_block = start + in_block // 5 + random.randrange(1_000), 0
        index.member(key, 400 * number)
        in_block += 220

    assert 10_000 < len(index.gzip_member(start)) < TAIL_BYTES


def test_at_a_member_s_page_its_block_is_found_unless_everybody_reads_it_anyway() -> None:
    keys = [f"runs/{number:06} {sha256(str(number).encode()).hexdigest()}" for number in range(20_000)]
    catalog = stored(keys, LEFT_OUT)
    page_of, index = PageFinder(catalog), index_of(catalog)

    pages = {key: page_of(key) for key in keys}

    for block, held in index.holding(keys).items():
        (page,) = {pages[key] for key in held}
        if block.start >= len(catalog) - TAIL_BYTES:
            assert page is None
        else:
            assert page is not None
            start, end = span_of(page)
            assert start <= block.start < block.end <= end <= len(catalog)
    assert len({page for page in pages.values() if page is not None}) > 10


def test_a_block_that_a_span_does_not_hold_has_no_page() -> None:
    keys = [f"runs/{number:06}/{random_text(number, 700)}" for number in range(1_000)]
    catalog = stored(keys, [])
    page_of, index = PageFinder(catalog), index_of(catalog)

    pages = [page_of(key) for key in keys]

    assert min(block.end - block.start for block in index.blocks[:-1]) > SPAN_BYTES
    assert set(pages) == {None}


@pytest.mark.parametrize("catalog", [stored(MANY[:100], LEFT_OUT[:1]), stored(MANY[::-1] * 5, []), b""])
def test_a_catalog_that_is_read_whole_has_no_pages(catalog: bytes) -> None:
    page_of = PageFinder(catalog)

    assert {page_of(key) for key in MANY} == {None}


def test_keys_that_are_not_in_order_have_no_index() -> None:
    catalog = stored(["b", "a"], [])

    assert index_bytes(catalog) == 0
    assert [item.key for item in read_catalog(catalog).members] == ["b", "a"]


def test_an_index_that_would_not_fit_is_left_out() -> None:
    index = IndexWriter(HEADER)
    random = Random(7)
    for key in sorted("".join(chr(random.randrange(0x4E00, 0x9FFF)) for _ in range(330)) for _ in range(200)):
        index.block(0, 0, key)

    assert index.gzip_member(0) == b""


@pytest.mark.parametrize("end", [b"", b"x", bytes(100), gzip.compress(b"lines\n", mtime=0)], ids=len)
def test_something_else_has_no_index(end: bytes) -> None:
    assert index_bytes(end) == 0


def test_a_damaged_index_is_noticed() -> None:
    catalog = stored(MANY, [])
    length = index_bytes(catalog)
    damaged = bytearray(catalog[-length:])

    for at in range(20, length - 20, 37):
        damaged[at] ^= 0x04
        with pytest.raises(ValueError, match="index is damaged"):
            read_index(bytes(damaged))
        damaged[at] ^= 0x04


def test_the_same_members_give_the_same_bytes() -> None:
    assert stored(MANY, LEFT_OUT) == stored(MANY, LEFT_OUT)
