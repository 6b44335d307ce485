"""What unpacking asks of the restore ledger: the stand-in and the real one promise the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from moto import mock_aws

from fakes.aws import client, make_tables
from fakes.restore_ledger import FakeRestoreLedger
from glaciate.events import Outcome, RestoreCompleted
from glaciate.names import ArchiveId, RequestId
from glaciate.part_documents import S3PartDocuments
from glaciate.restore_ledger import RestoreLedger
from glaciate.restores import PartState, RequestState
from glaciate.tables import REQUEST_ITEM, PartRow, RequestRow, WaiterRow, bind, part_item, waiting_key
from unpacker.ports import Ledger

ONE = RequestId("r-01aaaaa00001")
OTHER = RequestId("r-01aaaaa00002")
ARCHIVE = ArchiveId("01aaaaa000010000")
SECOND = ArchiveId("01aaaaa000010001")
NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@dataclass
class Bench:
    """A ledger, and how requests get into it and are cancelled."""

    ledger: Ledger
    add: Callable[[RequestId, ArchiveId], None]
    cancel: Callable[[RequestId], None]
    told: list[RestoreCompleted] = field(default_factory=list)

    def end(self, request_id: RequestId, archive_id: ArchiveId, state: PartState = PartState.COMPLETED) -> bool:
        counts = {"restored": 0, "failed": 1} if state is PartState.FAILED else {"restored": 1, "failed": 0}
        return self.ledger.end_part(request_id, archive_id, state=state, **counts)

    def settle(self, request_id: RequestId, archive_id: ArchiveId) -> None:
        self.ledger.settle(request_id, archive_id, tell=self.told.append)

    def readable_until(self, request_id: RequestId, *moments: datetime) -> list[datetime | None]:
        parts = [self.ledger.begin_unpacking(request_id, ARCHIVE, readable_until=moment) for moment in moments]
        return [part.readable_until for part in parts if part is not None]

    def begins(self, request_id: RequestId, archive_id: ArchiveId = ARCHIVE) -> bool:
        return self.ledger.begin_unpacking(request_id, archive_id, readable_until=NOW) is not None


def real() -> Bench:
    bind(jobs="jobs")
    make_tables(RequestRow)
    client("s3").create_bucket(Bucket="work")
    documents = S3PartDocuments(client("s3"), "work")

    def add(request_id: RequestId, archive_id: ArchiveId) -> None:
        documents.put_wanted(request_id, archive_id, ())
        PartRow(
            request_id,
            part_item(archive_id),
            state=PartState.THAWING,
            archive_id=archive_id,
            project="demo",
            vault_bucket="vault",
            vault_key="a.zip",
            storage_class="DEEP_ARCHIVE",
            files=1,
        ).save()
        WaiterRow(waiting_key(archive_id), request_id, project="demo").save()
        try:
            row = RequestRow.get(request_id, REQUEST_ITEM)
        except RequestRow.DoesNotExist:
            row = RequestRow(
                request_id,
                REQUEST_ITEM,
                state=RequestState.THAWING,
                project="demo",
                request={},
                wanted="everything",
                correlation_id="c-1",
                topic_arn="arn:aws:sns:us-east-1:123456789012:topic",
                tier="Standard",
                days=3,
                destination_prefix="p/",
                location="s3://restored/p/",
                accepted_at=NOW,
                resolved=True,
            )
        row.parts += 1
        row.files += 1
        row.save()

    def cancel(request_id: RequestId) -> None:
        RequestRow(request_id, REQUEST_ITEM).update([RequestRow.state.set(RequestState.CANCELLED)])

    return Bench(RestoreLedger(documents), add, cancel)


def fake() -> Bench:
    ledger = FakeRestoreLedger()
    return Bench(
        ledger,
        add=lambda request_id, archive_id: ledger.add(request_id, archive_id, vault_key="a.zip", files=1),
        cancel=ledger.cancelled.add,
    )


@pytest.fixture(params=["fake", "real"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield fake() if request.param == "fake" else real()


def test_a_late_fact_does_not_shorten_how_long_a_copy_stays(bench: Bench) -> None:
    bench.add(ONE, ARCHIVE)
    later = NOW + timedelta(days=2)

    assert bench.readable_until(ONE, later, NOW) == [later, later]


def test_a_part_is_begun_as_long_as_it_has_not_ended(bench: Bench) -> None:
    bench.add(ONE, ARCHIVE)

    assert bench.ledger.waiting_requests(ARCHIVE) == (ONE,)
    assert bench.begins(ONE)
    assert bench.begins(ONE)
    bench.ledger.thaw_again(ONE, ARCHIVE)
    assert bench.begins(ONE)
    bench.end(ONE, ARCHIVE)
    assert not bench.begins(ONE)


def test_a_part_of_a_cancelled_request_is_not_begun(bench: Bench) -> None:
    bench.add(ONE, ARCHIVE)
    bench.cancel(ONE)

    assert not bench.begins(ONE)


def test_a_part_ends_once(bench: Bench) -> None:
    bench.add(ONE, ARCHIVE)

    assert bench.end(ONE, ARCHIVE)
    assert not bench.end(ONE, ARCHIVE, PartState.FAILED)
    bench.ledger.thaw_again(ONE, ARCHIVE)
    assert not bench.begins(ONE)


def test_the_last_part_settled_tells_the_end_once(bench: Bench) -> None:
    for archive_id in (ARCHIVE, SECOND):
        bench.add(ONE, archive_id)

    bench.end(ONE, ARCHIVE)
    bench.settle(ONE, ARCHIVE)
    before = list(bench.told)
    bench.end(ONE, SECOND, PartState.FAILED)
    for _ in range(2):
        bench.settle(ONE, SECOND)

    assert before == []
    assert [(event.outcome, event.restored, event.failed, event.files) for event in bench.told] == [
        (Outcome.PARTIAL, 1, 1, 2)
    ]


def test_who_waits_waits_until_the_part_is_settled(bench: Bench) -> None:
    for request_id in (ONE, OTHER):
        bench.add(request_id, ARCHIVE)

    bench.settle(ONE, ARCHIVE)
    bench.end(ONE, ARCHIVE)
    both = bench.ledger.waiting_requests(ARCHIVE)
    bench.settle(ONE, ARCHIVE)

    assert both == (ONE, OTHER)
    assert bench.ledger.waiting_requests(ARCHIVE) == (OTHER,)


def test_an_end_that_could_not_be_told_is_told_later(bench: Bench) -> None:
    bench.add(ONE, ARCHIVE)
    bench.end(ONE, ARCHIVE)

    def fail(_event: RestoreCompleted) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        bench.ledger.settle(ONE, ARCHIVE, tell=fail)
    still = bench.ledger.waiting_requests(ARCHIVE)
    bench.settle(ONE, ARCHIVE)

    assert still == (ONE,)
    assert [event.outcome for event in bench.told] == [Outcome.COMPLETED]
