"""The packer's worker, as a process, against a local cloud."""

import os

import pytest

from glaciate.jobs import largest_threshold
from glaciate.requests import Disposition
from glaciate_local.cloud import Server
from packer_cloud import PackerCloud

pytestmark = pytest.mark.cloud


@pytest.fixture
def packer(server: Server) -> PackerCloud:
    return PackerCloud(server)


def test_a_prefix_is_packed_sealed_indexed_and_deleted(packer: PackerCloud) -> None:
    files = {f"in/{number:03}/f{number}.csv": b"a,b,c\n" * number for number in range(25)}
    packer.put(files, ContentType="text/csv", Metadata={"owner": "x"})
    packer.put({"in/big.bin": bytes(range(256)) * 4096, "other/stays": b"here"})

    job_id = packer.accept("in/", max_files=10, disposition=Disposition.DELETE, direct_threshold_bytes=1_000_000)
    said = packer.run_worker()

    job = packer.job(job_id)
    assert job["state"] == "COMPLETED", said
    assert (job["listed"], job["planned"], job["archived"], job["archives"]) == ("26", "26", "26", "4")
    assert packer.keys(packer.source) == ["other/stays"]
    back = {}
    for row in packer.archive_rows():
        head = packer.s3.head_object(Bucket=packer.vault, Key=row["vault_key"])
        assert head["StorageClass"] == "DEEP_ARCHIVE"
        if row["kind"] == "zip":
            with packer.zip_of(row["vault_key"]) as archive:
                assert archive.testzip() is None
                back |= {name: archive.read(name) for name in archive.namelist()[:-1]}
        else:
            assert packer.thawed(row["vault_key"]) == bytes(range(256)) * 4096
    assert back == files
    assert len(packer.file_rows()) == 26
    assert packer.open_uploads() == []
    events = packer.told()
    assert [name for name, _ in events].count("ArchiveSealed.v1") == 4
    assert events[-1][1]["outcome"] == "COMPLETED"


def test_a_second_job_archives_only_what_is_new_and_tags_are_kept_where_asked_for(packer: PackerCloud) -> None:
    packer.put({f"in/{number:03}": b"a,b,c\n" * number for number in range(25)}, Tagging="colour=dark+blue")
    packer.put({"in/big.bin": bytes(range(256)) * 4096}, Tagging="size=big")
    first = packer.accept("in/", max_files=10, direct_threshold_bytes=1_000_000, preserve_tags=True)
    packer.run_worker()
    packer.put({"in/007": b"changed", "in/new": b"new"})

    second = packer.accept("in/", max_files=10, direct_threshold_bytes=1_000_000)
    said = packer.run_worker()

    job = packer.job(second)
    assert job["state"] == "COMPLETED", said
    counts = tuple(job[name] for name in ("listed", "already_archived", "archived", "skipped", "archives"))
    assert counts == ("27", "25", "2", "0", "1")
    rows = {row["archive_id"]: row for row in packer.archive_rows()}
    tags = {
        member.key: member.tags
        for archive_id in rows
        if archive_id.startswith(first)
        for member in packer.catalog(archive_id).members
    }
    assert tags.pop("in/big.bin") == {"size": "big"}
    assert len(tags) == 25
    assert set(map(str, tags.values())) == {"{'colour': 'dark blue'}"}
    assert packer.skipped(second) == {}


@pytest.mark.slow
@pytest.mark.parametrize("content", ["noise", "text"])
def test_a_worker_holds_the_largest_files_that_it_is_given_within_its_memory(packer: PackerCloud, content: str) -> None:
    memory_mib = 768
    threshold = largest_threshold(memory_mib)
    size = threshold - 1
    body = os.urandom(size) if content == "noise" else (b"day,sum\n" * (size // 8 + 1))[:size]
    packer.put({"in/1": body, "in/2": body[::-1], "in/small": b"small"})

    job_id = packer.accept("in/", direct_threshold_bytes=threshold)
    with packer.start_worker(MEMORY_MIB=str(memory_mib)) as worker:
        said = worker.stdout.read().decode() if worker.stdout else ""
        _, status, used = os.wait4(worker.pid, 0)

    assert status == 0, said
    job = packer.job(job_id)
    assert (job["state"], job["archived"]) == ("COMPLETED", "3"), said
    assert used.ru_maxrss / 1024 < memory_mib


def test_a_job_whose_files_would_not_fit_the_workers_memory_fails_with_the_reason(packer: PackerCloud) -> None:
    packer.put({"in/1": b"1"})

    job_id = packer.accept("in/", direct_threshold_bytes=64 * 1024**2)
    packer.run_worker(MEMORY_MIB="512")

    job = packer.job(job_id)
    assert (job["state"], job["planned"]) == ("FAILED", "0")
    assert "WorkerMemoryMib" in job["reason"]
    assert packer.archive_rows() == []


def test_the_processes_of_one_worker_share_a_job_and_archive_each_file_once(packer: PackerCloud) -> None:
    files = {f"in/{number:02}.csv": b"a,b\n" * number for number in range(40)}
    packer.put(files)

    job_id = packer.accept("in/", max_files=4)
    said = packer.run_worker(processes=2)

    job = packer.job(job_id)
    assert (job["state"], job["archived"]) == ("COMPLETED", "40"), said
    assert len(packer.archive_rows()) == 10
    assert sorted(
        f"{row['d'].partition('/')[2].partition('#')[0]}{row['n'].partition('#')[2]}" for row in packer.file_rows()
    ) == sorted(files)
    assert said.count("queue is empty") == 2
