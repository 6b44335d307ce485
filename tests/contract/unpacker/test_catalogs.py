"""Reading catalogs: the stand-in and the adapter promise the same."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from pydantic_core import from_json

from fakes.unpacking import VAULT_BUCKET, FakeCatalogs, header_of, member
from glaciate.catalog import Catalog, Skipped, compress, read_excerpt, write_catalog
from glaciate.catalog_index import TAIL_BYTES
from glaciate.names import ArchiveId, catalog_key, job_of
from glaciate.tables import FileRow
from packer.adapters.index import file_items
from packer.adapters.objects import S3Catalogs as PackerCatalogs
from packer.domain.archives import Archive, ArchiveState, CatalogEntry, Draft, Seal
from packer.domain.catalog_spool import CatalogSpool
from unpacker.adapters.catalogs import S3Catalogs, _ranges, _Stored
from unpacker.adapters.stores import open_store
from unpacker.ports import Catalogs, CatalogUnusable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVE = ArchiveId("01aaaaa000010000")
SEALED_AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
PACKED = Archive(
    archive_id=ARCHIVE, job_id=job_of(ARCHIVE), project=header_of(ARCHIVE).project, bucket=header_of(ARCHIVE).bucket,
    first_key="in/", kind="zip", state=ArchiveState.SEALED, planned_files=1, planned_bytes=1, plan_key="p",
    storage_class="DEEP_ARCHIVE", vault_bucket=VAULT_BUCKET, vault_key=header_of(ARCHIVE).vault_key,
)  # fmt: skip
MEMBERS = tuple(member(f"in/{number} ü", b"x" * number, offset=number * 100) for number in range(5000))
PLAIN = write_catalog(Catalog(header_of(ARCHIVE), MEMBERS, (Skipped("in/gone", "it vanished"),)))

Keep = Callable[[bytes], None]


@pytest.fixture(params=["fake", "s3"])
def catalogs(request: pytest.FixtureRequest) -> tuple[Catalogs, Keep]:
    """The catalogs, and how a plain one gets there."""
    if request.param == "fake":
        fake = FakeCatalogs()
        return fake, lambda plain: fake.documents.__setitem__(ARCHIVE, plain)
    s3: S3Client = request.getfixturevalue("s3")

    def keep(plain: bytes) -> None:
        s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=compress(plain))

    return S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)), keep


def test_a_catalog_tells_of_the_wanted_keys_and_of_no_others(catalogs: tuple[Catalogs, Keep]) -> None:
    read, keep = catalogs
    keep(PLAIN)

    excerpt = read.read(ARCHIVE, frozenset({"in/17 ü", "in/4999 ü", "in/gone", "in/unknown"}))

    assert excerpt.header == header_of(ARCHIVE)
    assert excerpt.members == {"in/17 ü": MEMBERS[17], "in/4999 ü": MEMBERS[4999]}
    assert excerpt.left_out == {"in/gone": "it vanished"}
    assert excerpt.data_end == 4999 * 100 + 4999


@pytest.mark.parametrize(
    "plain", [b"", b"not JSON\n", b"[1]\n", b'{"format": "other"}\n', PLAIN.replace(b'"o":', b'"x":')]
)
def test_what_is_not_a_catalog_is_unusable(catalogs: tuple[Catalogs, Keep], plain: bytes) -> None:
    read, keep = catalogs
    keep(plain)

    with pytest.raises(CatalogUnusable):
        read.read(ARCHIVE, frozenset({"in/17 ü"}))


def test_a_missing_catalog_is_unusable(catalogs: tuple[Catalogs, Keep]) -> None:
    read, _ = catalogs

    with pytest.raises(CatalogUnusable):
        read.read(ARCHIVE, frozenset({"in/17 ü"}))


@pytest.mark.parametrize(
    "damage", [lambda data: b"no gzip", lambda data: data[:2000], lambda data: data[:900] + b"?" + data[901:]]
)
def test_a_damaged_catalog_is_unusable(s3: "S3Client", damage: Callable[[bytes], bytes]) -> None:
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=damage(compress(PLAIN)))

    with pytest.raises(CatalogUnusable):
        S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)).read(ARCHIVE, frozenset({"in/17 ü"}))


LONG = tuple(
    replace(
        found,
        etag=f'"{sha256(found.key.encode()).hexdigest()}"',
        metadata={"n": sha256(found.etag.encode()).hexdigest()},
    )
    for found in (member(f"in/{number:05} ü", b"x", offset=number * 100) for number in range(8_000))
)
LONG_GONE = [Skipped(f"in/{number:05} gone", sha256(str(number).encode()).hexdigest()) for number in range(2_000)]


def long_catalog() -> bytes:
    spool = CatalogSpool(header_of(ARCHIVE))
    for found in LONG:
        spool.member(found)
    spool.left_out(LONG_GONE)
    spool.close()
    return spool.gzipped()


@pytest.mark.parametrize(
    "keys",
    [
        {LONG[0].key, LONG[3_333].key, LONG[3_334].key, LONG[7_999].key},
        {found.key for found in LONG[::7]},
        {LONG[5].key, LONG_GONE[0].key, LONG_GONE[1_999].key, "in/nowhere"},
        set(),
    ],
)
def test_a_long_catalog_tells_the_same_by_its_index(s3: "S3Client", keys: set[str]) -> None:
    stored = long_catalog()
    assert len(stored) > 4 * TAIL_BYTES
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=stored)

    excerpt = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)).read(ARCHIVE, frozenset(keys))

    assert excerpt == read_excerpt(gzip.decompress(stored).splitlines(keepends=True), keys)


def test_who_knows_the_pages_that_the_packer_wrote_reads_all_at_once(
    s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, keys = long_catalog(), {found.key for found in LONG[::400]}
    pages = pages_in_rows(s3, stored, keys)
    assert len(pages) > 5
    catalogs = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))
    read_later: list[object] = []
    monkeypatch.setattr(
        _Stored, "ranges", lambda stored, ranges: read_later.append(ranges) or _ranges(stored.store, stored.key, ranges)
    )

    knowing, asking = (catalogs.read(ARCHIVE, frozenset(keys), some) for some in (pages, ()))

    assert knowing == asking == read_excerpt(gzip.decompress(stored).splitlines(keepends=True), keys)
    assert len(read_later) == 1  # by who asked without knowing


def pages_in_rows(s3: "S3Client", stored: bytes, keys: set[str]) -> set[int]:
    """What the packer writes of these keys into the files table, when it has stored this catalog."""
    catalogs = PackerCatalogs(s3, VAULT_BUCKET)
    draft = Draft(size_bytes=9, checksum="abc=", members=len(LONG), bytes_in=len(LONG))
    catalogs.put(ARCHIVE, stored, draft, replacing=None)
    seal = Seal(draft.size_bytes, draft.checksum, draft.members, draft.bytes_in, SEALED_AT)
    entries = [entry for entry in catalogs.entries(ARCHIVE, seal) if isinstance(entry, CatalogEntry)]
    assert [entry.key for entry in entries] == [found.key for found in LONG]
    rows = [FileRow.from_raw_data(from_json(item)) for item in file_items(PACKED, entries, sealed_at=SEALED_AT)]
    return {int(row.p) for entry, row in zip(entries, rows, strict=True) if entry.key in keys and row.p is not None}


@pytest.mark.parametrize("pages", [{0}, {5, 6, 7}, {10**6}, {0, 3, 10**6}, set(range(0, 200, 2))])
def test_a_page_that_tells_of_something_else_changes_nothing(s3: "S3Client", pages: set[int]) -> None:
    stored, keys = long_catalog(), {LONG[2].key, LONG[4_000].key, LONG_GONE[7].key}
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=stored)

    excerpt = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)).read(ARCHIVE, frozenset(keys), pages)

    assert excerpt == read_excerpt(gzip.decompress(stored).splitlines(keepends=True), keys)


def test_pages_of_a_catalog_that_was_rebuilt_shorter_change_nothing(s3: "S3Client") -> None:
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=compress(PLAIN))

    excerpt = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)).read(ARCHIVE, frozenset({"in/17 ü"}), {3, 90})

    assert excerpt.members == {"in/17 ü": MEMBERS[17]}


def test_pages_of_a_catalog_that_is_gone_do_not_hide_it(s3: "S3Client") -> None:
    with pytest.raises(CatalogUnusable, match="there is no"):
        S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET)).read(ARCHIVE, frozenset({"in/17 ü"}), {3})


def test_a_long_catalog_damaged_where_it_is_read_is_unusable(s3: "S3Client") -> None:
    stored = bytearray(long_catalog())
    stored[30_000] ^= 1
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=bytes(stored))
    catalogs = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))

    assert catalogs.read(ARCHIVE, frozenset({LONG[7_000].key})).members == {LONG[7_000].key: LONG[7_000]}
    with pytest.raises(CatalogUnusable):
        catalogs.read(ARCHIVE, frozenset(found.key for found in LONG[:1_000]))


def test_a_lost_catalog_is_put_back_with_what_it_says_of_the_archive(s3: "S3Client") -> None:
    vault_key = header_of(ARCHIVE).vault_key
    s3.put_object(Bucket=VAULT_BUCKET, Key=vault_key, Body=b"z" * 70, ChecksumAlgorithm="CRC64NVME")
    catalogs = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))

    for _twice in range(2):
        catalogs.put_back(ARCHIVE, compress(PLAIN), vault_key=vault_key)

    assert catalogs.read(ARCHIVE, frozenset({"in/17 ü"})).members == {"in/17 ü": MEMBERS[17]}
    about = s3.head_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE))["Metadata"]
    assert (about["size-bytes"], about["members"]) == ("70", "5000")
    assert about["bytes-in"] == str(sum(found.size for found in MEMBERS))


def test_a_damaged_catalog_is_replaced(s3: "S3Client") -> None:
    vault_key = header_of(ARCHIVE).vault_key
    s3.put_object(Bucket=VAULT_BUCKET, Key=vault_key, Body=b"z" * 70)
    s3.put_object(Bucket=VAULT_BUCKET, Key=catalog_key(ARCHIVE), Body=b"no gzip")
    catalogs = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))

    catalogs.put_back(ARCHIVE, compress(PLAIN), vault_key=vault_key)

    assert catalogs.read(ARCHIVE, frozenset({"in/17 ü"})).members == {"in/17 ü": MEMBERS[17]}


def test_a_big_file_kept_as_it_is_says_itself_what_it_is(s3: "S3Client") -> None:
    header = header_of(ARCHIVE, "object")
    about = {"ContentType": "text/plain", "CacheControl": "no-cache", "Metadata": {"owner": "somebody"}}
    s3.put_object(Bucket=VAULT_BUCKET, Key=header.vault_key, Body=b"z" * 70, **about)  # type: ignore[arg-type]
    catalogs = S3Catalogs(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))

    excerpt = catalogs.of_object(ARCHIVE, header.vault_key, "in/large.bin")

    found = excerpt.members["in/large.bin"]
    assert (excerpt.header.kind, excerpt.header.vault_key) == ("object", header.vault_key)
    assert (found.size, found.content_type, found.cache_control) == (70, "text/plain", "no-cache")
    assert found.metadata == {"owner": "somebody"}
    with pytest.raises(CatalogUnusable):
        catalogs.of_object(ARCHIVE, "gone.object", "in/large.bin")
