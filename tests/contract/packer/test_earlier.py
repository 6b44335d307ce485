"""Earlier archives are found by their keys, and their catalogs are read as far as they can be trusted."""

import gzip
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contract.packer.conftest import Ground
from contract.packer.test_rows import SEAL, message
from fakes.packer_world import JOB, START
from glaciate.catalog import Catalog, Member, compress, write_catalog
from glaciate.jobs import JobOrder
from glaciate.names import JobId, archive_id
from packer.adapters.earlier import _BLOCK_BYTES, _lines
from packer.domain.archives import Archive, Draft, NewArchive, Seal
from packer.domain.planning import PlannedArchive, Span

ANOTHER = JobId("01aaaaa00002")


def member(key: str, **more: object) -> Member:
    return replace(Member(key, key, 40, 3, 9, 8, 7, f'"{key}"', None, START), **more)  # type: ignore[arg-type]


def archive(ground: Ground, *members: Member, until: str = "DONE", planned: int = 0) -> Archive:
    """An archive of the job with these members, in this state."""
    job = ground.jobs.load(JOB)
    first, last = members[0].key, members[-1].key
    planned_archive = PlannedArchive("zip", first, last, len(members), 9 * len(members), gzip.compress(b""))
    span = Span(last, len(members), len(members), 0, 0, (planned_archive,), b"")
    new = NewArchive(archive_id(JOB, job.next_number), planned_archive, "plans/x", "archives/x.zip")
    ground.jobs.record(job, span, (new,))
    found = ground.archives.claim(message(job.next_number, first), owner="me")
    kept = members[planned:] if planned else members
    seal = replace(SEAL, members=len(kept))
    catalog = compress(write_catalog(Catalog(found.catalog_header("in/"), kept)))
    draft = Draft(seal.size_bytes, seal.checksum, seal.members, seal.bytes_in)
    ground.catalogs.put(found.archive_id, catalog, draft, replacing=None)
    if until == "PACKING":
        return found
    found = ground.archives.seal(found, seal)
    if until == "SEALED":
        return found
    found = ground.archives.mark_indexed(found)
    return found if until == "INDEXED" else ground.archives.finish(found)


def order(ground: Ground, prefix: str) -> JobOrder:
    return ground.jobs.load(JOB).order.model_copy(update={"prefix": prefix})


def names(ground: Ground, prefix: str, *, after: str | None = None, besides: JobId = ANOTHER) -> list[str]:
    found = ground.earlier.archives(order(ground, prefix), besides=besides, after=after)
    return [each.first_key for each in found]


def test_archives_are_found_whose_keys_meet_the_prefix(ground: Ground) -> None:
    for first, last in (("a/1", "a/9"), ("a/5", "b/5"), ("b/1", "b/2"), ("b/3", "b/4"), ("c/1", "c/2")):
        archive(ground, member(first), member(last))

    assert names(ground, "b/") == ["a/5", "b/1", "b/3"]
    assert names(ground, "b/", after="b/2x") == ["a/5", "b/3"]
    assert names(ground, "") == ["a/1", "a/5", "b/1", "b/3", "c/1"]
    assert names(ground, "d/") == []


def test_only_indexed_archives_of_other_jobs_with_members_count(ground: Ground) -> None:
    for key, state in (("1", "PACKING"), ("2", "SEALED"), ("3", "INDEXED"), ("4", "DONE")):
        archive(ground, member(f"in/{key}"), until=state)
    archive(ground, member("in/5"), planned=1)

    assert names(ground, "in/") == ["in/3", "in/4"]
    assert names(ground, "in/", besides=JOB) == []


def test_a_catalog_s_files_come_in_order_with_what_it_takes_to_know_them_again(ground: Ground) -> None:
    archive(ground, member("in/1"), member("in/2", tags={}), member("in/3 \n", tags={"a": "b"}))

    (found,) = ground.earlier.archives(order(ground, "in/"), besides=ANOTHER, after=None)

    files = list(ground.earlier.files(found))
    assert [tuple(file) for file in files] == [
        ("in/1", '"in/1"', False),
        ("in/2", '"in/2"', True),
        ("in/3 \n", '"in/3 \n"', True),
    ]


def test_a_long_catalog_is_read_block_by_block(ground: Ground) -> None:
    members = [member(f"in/{number:06}", etag=f'"{hash(str(number)):x}{number * 7919:x}"') for number in range(12_000)]
    archive(ground, *members)

    (found,) = ground.earlier.archives(order(ground, "in/"), besides=ANOTHER, after=None)

    assert [(file.key, file.etag) for file in ground.earlier.files(found)] == [(one.key, one.etag) for one in members]
    assert len(compress(write_catalog(Catalog(HEADERLESS, tuple(members))))) > 2 * _BLOCK_BYTES


def test_a_catalog_that_is_gone_or_tells_of_another_object_knows_no_file(ground: Ground) -> None:
    if ground.world is not None:
        pytest.skip("the fake's catalogs are always there")
    archive(ground, member("in/1"))
    (found,) = ground.earlier.archives(order(ground, "in/"), besides=ANOTHER, after=None)

    other = replace(found, seal=Seal(501, SEAL.checksum, 1, 900, SEAL.sealed_at))
    missing = replace(found, archive_id=archive_id(JOB, 7))

    assert list(ground.earlier.files(other)) == []
    assert list(ground.earlier.files(missing)) == []


@pytest.mark.parametrize("block_bytes", [1, 7, 1000, 100_000])
def test_lines_come_whole_whatever_the_blocks(block_bytes: int) -> None:
    lines = [b"x" * (number * 37 % 901) for number in range(2000)]
    packed = gzip.compress(b"".join(line + b"\n" for line in lines))

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(packed), block_bytes):
            yield packed[start : start + block_bytes]

    assert list(_lines(blocks())) == lines


HEADERLESS = Archive(
    archive_id(JOB, 0),
    JOB,
    "demo",
    "source",
    "in/",
    "zip",
    "DONE",
    0,
    0,
    "p",
    "STANDARD",
    "vault",
    "k",  # type: ignore[arg-type]
).catalog_header("in/")
