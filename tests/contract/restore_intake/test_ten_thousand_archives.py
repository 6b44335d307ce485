"""One request for 10,000 archives: every message a bounded piece of work, whatever the whole; S3 asked no faster than it allows."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from fakes import ministack
from fakes.restore_world import World, restore_world
from fakes.vault import JOB, PROJECT, SEALED_AT, SOURCE, VAULT
from glaciate.catalog import Catalog, CatalogHeader, Member, compress, write_catalog
from glaciate.contracts import read_body
from glaciate.messages import COMMANDS, ThawFiles
from glaciate.names import ArchiveId, archive_id, catalog_key, vault_key_of_zip
from glaciate.restores import RequestState
from glaciate.tables import ArchiveRow, archive_hash_key, archive_range_key
from restore_intake.application.work import ARCHIVES_PER_MESSAGE

SQS_MESSAGE_BYTES = 256 * 1024


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """On MiniStack: moto copies every table for every transaction, which takes a day for 10,000 parts."""
    with ministack.running() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with restore_world(nullcontext()) as world:
            yield world


class Calls:
    """Counts what is asked of AWS."""

    def __init__(self) -> None:
        self.by_operation: Counter[str] = Counter()

    @contextmanager
    def of(self, world: World) -> Iterator[Counter[str]]:
        """What is asked within the block; the vault's calls with it."""
        before, asked = Counter(self.by_operation), len(world.s3.asked)
        found: Counter[str] = Counter()
        yield found
        found += self.by_operation - before
        found += Counter(operation for operation, _key in world.s3.asked[asked:])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    counted = Calls()
    make = BaseClient._make_api_call  # type: ignore[attr-defined]

    def count(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        counted.by_operation[operation] += 1
        return make(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", count)
    return counted


def fill(world: World, archives: int) -> tuple[ArchiveId, ...]:
    """So many archives of one file each."""
    ids = []
    with ArchiveRow.batch_write() as batch:
        for number in range(archives):
            archive, key = archive_id(JOB, number), f"in/{number:05}.csv"
            ids.append(archive)
            vault_key = vault_key_of_zip("archives/demo/", archive)
            header = CatalogHeader(PROJECT, SOURCE, "", archive, VAULT, vault_key, "DEEP_ARCHIVE", "zip")
            member = Member(key, key, 0, 10, 10, 0, 1, '"e"', None, SEALED_AT)
            world.s3.put_object(Bucket=VAULT, Key=vault_key, Body=b"z", StorageClass="DEEP_ARCHIVE")
            world.s3.put_object(
                Bucket=VAULT, Key=catalog_key(archive), Body=compress(write_catalog(Catalog(header, (member,))))
            )
            batch.save(
                ArchiveRow(
                    archive_hash_key(PROJECT, SOURCE),
                    archive_range_key(key, archive),
                    archive_id=archive,
                    job_id=JOB,
                    state="DONE",
                    first_key=key,
                    last_key=key,
                    kind="zip",
                    planned_files=1,
                    planned_bytes=10,
                    storage_class="DEEP_ARCHIVE",
                    vault_bucket=VAULT,
                    vault_key=vault_key,
                    members=1,
                    bytes_in=10,
                    size_bytes=1000,
                    sealed_at=SEALED_AT,
                )
            )
    return tuple(ids)


def drain(world: World, calls: Calls) -> list[Counter[str]]:
    """Handles every message, and tells what each asked of AWS."""
    asked = []
    while messages := world.sqs.receive_message(QueueUrl=world.queue_url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            world.sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=message["ReceiptHandle"])
            assert len(message["Body"]) < SQS_MESSAGE_BYTES
            command = read_body(message["Body"], COMMANDS)
            assert isinstance(command, ThawFiles)
            with calls.of(world) as made:
                world.thaw_files(command)
            asked.append(made)
    return asked


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "archives", [pytest.param(150, marks=pytest.mark.slow), pytest.param(10_000, marks=pytest.mark.very_slow)]
)
def test_a_request_for_very_many_archives_is_thawed_in_bounded_pieces(
    world: World, calls: Calls, archives: int
) -> None:
    """What a message asks of AWS does not grow with the request: only reading the parts does, a page for each 1 MB of them."""
    ids = fill(world, archives)
    world.s3.each_call_takes = timedelta(
        milliseconds=10
    )  # of more than 1,000 thaws a second the fake would refuse some
    request_id = world.post(prefix="in/")

    asked = drain(world, calls)

    pages = 1 + archives // 1_000
    assert len(asked) <= 2 * (archives // ARCHIVES_PER_MESSAGE + 2)
    for made in asked:
        assert made["RestoreObject"] <= ARCHIVES_PER_MESSAGE
        assert made["HeadObject"] <= ARCHIVES_PER_MESSAGE
        assert made["Query"] <= 4 * pages
        assert (
            made.total() - made["Query"] <= 17 * ARCHIVES_PER_MESSAGE
        )  # the one that records the last and thaws the first
    assert sum(made["RestoreObject"] for made in asked) == archives
    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.parts, request.files) == (RequestState.THAWING, archives, archives)
    assert len({part.archive_id for part in world.requests.parts(request_id)} & set(ids)) == archives
