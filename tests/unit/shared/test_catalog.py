"""A catalog tells everything again that was written into it, and the same lines give the same bytes."""

from datetime import UTC, datetime

import pytest

from glaciate.catalog import Catalog, CatalogHeader, Member, Skipped, compress, read_catalog, read_lines, write_catalog
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


def test_the_plain_copy_inside_the_archive_holds_the_same_lines() -> None:
    items = tuple(read_lines(write_catalog(CATALOG).splitlines()))

    assert items == (HEADER, *CATALOG.members, *CATALOG.skipped)


def test_the_same_catalog_gives_the_same_bytes() -> None:
    assert compress(write_catalog(CATALOG)) == compress(write_catalog(CATALOG))


@pytest.mark.parametrize("plain", [b"", b'{"format": "other/1"}\n', b'{"k": "a"}\n'])
def test_something_else_is_not_taken_for_a_catalog(plain: bytes) -> None:
    with pytest.raises(ValueError, match="catalog"):
        read_catalog(compress(plain))
