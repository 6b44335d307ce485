"""A catalog tells everything again that was written into it, and the same lines give the same bytes."""

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glaciate.catalog import (
    Catalog,
    CatalogHeader,
    Member,
    Skipped,
    compress,
    read_catalog,
    read_excerpt,
    read_lines,
    write_catalog,
)
from glaciate.names import ArchiveId, ProjectName

HEADER = CatalogHeader(
    project=ProjectName("lab"), bucket="lab-results", prefix="runs/", archive_id=ArchiveId("1vzk3q8abcde0000"),
    vault_bucket="vault", vault_key="archives/lab/1vzk3q8abcde0000.zip", storage_class="DEEP_ARCHIVE", kind="zip",
)  # fmt: skip
PLAIN = Member(
    key="runs/a.csv", name="runs/a.csv", offset=42, compressed_size=10, size=20, method=8, crc32=0xFFFFFFFF, etag='"e"',
    version_id=None, modified=datetime(2026, 6, 1, 12, 0, 0, 123000, tzinfo=UTC),
)  # fmt: skip
RICH = Member(
    key="runs/../ü \n.csv", name="runs/%2E%2E/ü %0A.csv", offset=2**40, compressed_size=2**33, size=2**34, method=0, crc32=None,
    etag='"f-3"', version_id="v1", modified=datetime(2026, 6, 1, tzinfo=UTC), content_type="text/csv", content_encoding="gzip",
    content_disposition="attachment", content_language="de", cache_control="no-cache", metadata={"sample": "12"}, tags={"keep": "yes"},
)  # fmt: skip
CATALOG = Catalog(HEADER, (PLAIN, RICH), (Skipped("runs/gone.csv", "it vanished"),))


def test_a_catalog_comes_back_whole() -> None:
    assert read_catalog(compress(write_catalog(CATALOG))) == CATALOG


@pytest.mark.parametrize("tags", [None, {}, {"keep": "yes"}])
def test_a_member_without_tags_differs_from_one_whose_tags_nobody_asked_for(tags: dict[str, str] | None) -> None:
    catalog = Catalog(HEADER, (replace(PLAIN, tags=tags),))

    assert read_catalog(compress(write_catalog(catalog))).members[0].tags == tags


def test_the_plain_copy_inside_the_archive_holds_the_same_lines() -> None:
    items = tuple(read_lines(write_catalog(CATALOG).splitlines()))

    assert items == (HEADER, *CATALOG.members, *CATALOG.skipped)


def test_the_same_catalog_gives_the_same_bytes() -> None:
    assert compress(write_catalog(CATALOG)) == compress(write_catalog(CATALOG))


@pytest.mark.parametrize("plain", [b"", b'{"format": "other/1"}\n', b'{"k": "a"}\n'])
def test_something_else_is_not_taken_for_a_catalog(plain: bytes) -> None:
    with pytest.raises(ValueError, match="catalog"):
        read_catalog(compress(plain))


def lines() -> list[bytes]:
    return write_catalog(CATALOG).splitlines(keepends=True)


@pytest.mark.parametrize(
    "keys", [(), ("runs/a.csv",), ("runs/../ü \n.csv", "runs/gone.csv"), ("nowhere", "runs/a.csv")]
)
def test_an_excerpt_says_the_same_of_its_keys_as_the_whole_catalog(keys: tuple[str, ...]) -> None:
    excerpt = read_excerpt(lines(), keys)

    assert excerpt.header == HEADER
    assert excerpt.members == {member.key: member for member in CATALOG.members if member.key in keys}
    assert excerpt.left_out == {item.key: item.reason for item in CATALOG.skipped if item.key in keys}
    assert excerpt.data_end == RICH.offset + RICH.compressed_size


@given(st.lists(st.text(min_size=1), unique=True, max_size=8), st.randoms(use_true_random=False))
def test_no_key_is_too_odd_for_an_excerpt(keys: list[str], random: Random) -> None:
    members = tuple(replace(PLAIN, key=key, offset=100 * number) for number, key in enumerate(keys))
    wanted = random.sample(keys, random.randint(0, len(keys)))

    excerpt = read_excerpt(write_catalog(Catalog(HEADER, members)).splitlines(keepends=True), wanted)

    assert set(excerpt.members) == set(wanted)
    assert excerpt.data_end == (members[-1].offset + 10 if members else 0)


@pytest.mark.parametrize("plain", [b"", b'{"format": "other/1"}\n', b'{"k": "a"}\n'])
def test_something_else_has_no_excerpt(plain: bytes) -> None:
    with pytest.raises(ValueError, match="catalog"):
        read_excerpt(plain.splitlines(keepends=True), ["a"])
