"""The restore ledger against DynamoDB and S3 as moto plays them: every move once, twice, and against others."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from pynamodb.transactions import TransactWrite

from fakes.aws import client, make_tables
from glaciate.events import Outcome, RestoreCompleted
from glaciate.names import ArchiveId, RequestId, part_key, part_result_key
from glaciate.part_documents import DocumentLost, S3PartDocuments
from glaciate.parts import FileResult, WantedFile
from glaciate.restore_ledger import RestoreLedger
from glaciate.restores import PartState, RequestState
from glaciate.tables import (
    REQUEST_ITEM,
    WAITING_LIST,
    PartRow,
    RequestRow,
    WaiterRow,
    bind,
    due_order,
    part_item,
    waiting_key,
)

REQUEST = RequestId("r-01aaaaa00001")
OTHER = RequestId("r-01aaaaa00002")
ARCHIVE = ArchiveId("01aaaaa000010000")
SECOND = ArchiveId("01aaaaa000010001")
NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        bind(jobs="jobs")
        make_tables(RequestRow)
        client("s3").create_bucket(Bucket="work")
        yield


@pytest.fixture
def ledger() -> RestoreLedger:
    documents = S3PartDocuments(client("s3"), "work")
    return RestoreLedger(documents, restored_days=7, kept_days=90, now=lambda: NOW, pause=lambda _seconds: None)


def record_request(request_id: RequestId = REQUEST, **fields: Any) -> None:
    row = RequestRow(
        request_id,
        REQUEST_ITEM,
        state=RequestState.ACCEPTED,
        project="demo",
        request={},
        wanted="a.csv",
        correlation_id="c-1",
        topic_arn="arn:aws:sns:us-east-1:123456789012:topic",
        tier="Standard",
        days=3,
        destination_prefix=f"demo/{request_id}/",
        location=f"s3://restored/demo/{request_id}/",
        accepted_at=NOW,
        resolved=True,
        parts=1,
        files=1,
    )
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def record_part(request_id: RequestId = REQUEST, archive_id: ArchiveId = ARCHIVE, **fields: Any) -> None:
    row = PartRow(
        request_id,
        part_item(archive_id),
        state=PartState.PENDING,
        archive_id=archive_id,
        project="demo",
        vault_bucket="vault",
        vault_key=f"archives/{archive_id}.zip",
        storage_class="DEEP_ARCHIVE",
        files=1,
    )
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()
    WaiterRow(
        waiting_key(archive_id),
        request_id,
        project="demo",
        list_key=WAITING_LIST,
        list_order=due_order(NOW + timedelta(hours=13), archive_id, request_id),
    ).save()


def request_row(request_id: RequestId = REQUEST) -> RequestRow:
    return RequestRow.get(request_id, REQUEST_ITEM, consistent_read=True)


def part_state(request_id: RequestId = REQUEST, archive_id: ArchiveId = ARCHIVE) -> str:
    return str(PartRow.get(request_id, part_item(archive_id), consistent_read=True).state)


def complete(ledger: RestoreLedger, request_id: RequestId = REQUEST, archive_id: ArchiveId = ARCHIVE) -> bool:
    return ledger.end_part(request_id, archive_id, state=PartState.COMPLETED, restored=1, failed=0)


def test_every_request_that_waits_for_an_archive_is_found(ledger: RestoreLedger) -> None:
    record_part(REQUEST)
    record_part(OTHER)
    record_part(OTHER, SECOND)

    assert ledger.waiting_requests(ARCHIVE) == (REQUEST, OTHER)


def test_an_ended_part_waits_until_it_is_settled(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    told: list[RestoreCompleted] = []

    complete(ledger)
    between = ledger.waiting_requests(ARCHIVE)
    ledger.settle(REQUEST, ARCHIVE, tell=told.append)

    assert between == (REQUEST,)
    assert [event.outcome for event in told] == [Outcome.COMPLETED]
    assert ledger.waiting_requests(ARCHIVE) == ()
    assert list(RequestRow.listing.query(WAITING_LIST)) == []


def test_settling_twice_tells_once(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    told: list[RestoreCompleted] = []
    complete(ledger)

    ledger.settle(REQUEST, ARCHIVE, tell=told.append)
    ledger.settle(REQUEST, ARCHIVE, tell=told.append)

    assert len(told) == 1


def test_an_end_that_could_not_be_told_is_told_by_the_next_who_settles(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    told: list[RestoreCompleted] = []
    complete(ledger)

    def fail(_event: RestoreCompleted) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ledger.settle(REQUEST, ARCHIVE, tell=fail)
    assert ledger.waiting_requests(ARCHIVE) == (REQUEST,)
    ledger.settle(REQUEST, ARCHIVE, tell=told.append)

    assert len(told) == 1
    assert ledger.waiting_requests(ARCHIVE) == ()


def test_a_part_that_is_not_the_last_is_settled_in_silence(ledger: RestoreLedger) -> None:
    record_request(parts=2, files=2)
    record_part()
    record_part(archive_id=SECOND)
    told: list[RestoreCompleted] = []
    complete(ledger)

    ledger.settle(REQUEST, ARCHIVE, tell=told.append)

    assert told == []
    assert ledger.waiting_requests(ARCHIVE) == ()
    assert ledger.waiting_requests(SECOND) == (REQUEST,)


def test_a_part_that_goes_on_cannot_be_settled(ledger: RestoreLedger) -> None:
    record_request()
    record_part()

    ledger.settle(REQUEST, ARCHIVE, tell=lambda _event: None)

    assert ledger.waiting_requests(ARCHIVE) == (REQUEST,)


@pytest.mark.parametrize("state", ["PENDING", "THAWING", "UNPACKING"])
def test_unpacking_begins_from_every_state_that_has_not_ended(ledger: RestoreLedger, state: str) -> None:
    record_request()
    record_part(state=state)
    until = NOW + timedelta(days=3)

    part = ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=until)

    assert part is not None
    assert (part.state, part.vault_key, part.readable_until) == (
        PartState.UNPACKING,
        f"archives/{ARCHIVE}.zip",
        until,
    )
    assert request_row().state == RequestState.UNPACKING


def test_a_late_fact_does_not_shorten_how_long_a_copy_stays(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    until = [NOW + timedelta(days=days) for days in (5, 3, 7)]

    parts = [ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=moment) for moment in until]

    assert [part.readable_until for part in parts if part] == [until[0], until[0], until[2]]


def test_unpacking_begun_twice_is_the_same_as_once(ledger: RestoreLedger) -> None:
    record_request()
    record_part()

    first = ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None)
    second = ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None)

    assert first == second


def test_what_kept_a_part_waiting_is_no_reason_of_what_comes_after(ledger: RestoreLedger) -> None:
    reasons: list[str | None] = []
    record_request(parts=3)
    for move in (
        lambda: ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None),
        lambda: ledger.thaw_again(REQUEST, ARCHIVE),
        lambda: complete(ledger),
    ):
        record_part(state=PartState.THAWING, reason="S3 says SlowDown")
        move()
        part = ledger.part(REQUEST, ARCHIVE)
        assert part is not None
        reasons.append(part.reason)

    assert reasons == [None, None, None]


@pytest.mark.parametrize("state", ["COMPLETED", "PARTIAL", "FAILED", "CANCELLED"])
def test_an_ended_part_is_not_unpacked(ledger: RestoreLedger, state: str) -> None:
    record_request()
    record_part(state=state)

    assert ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None) is None
    assert part_state() == state


def test_a_part_of_a_cancelled_request_is_not_unpacked(ledger: RestoreLedger) -> None:
    record_request(state=RequestState.CANCELLED)
    record_part()

    assert ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None) is None


def test_a_part_or_request_that_is_not_there_is_not_unpacked(ledger: RestoreLedger) -> None:
    assert ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None) is None
    record_request()
    assert ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None) is None
    assert ledger.part(REQUEST, ARCHIVE) is None


def test_a_lapsed_part_is_pending_again_and_due_at_once(ledger: RestoreLedger) -> None:
    record_request()
    record_part(state=PartState.UNPACKING, asked_at=NOW, expected_by=NOW, readable_until=NOW)

    ledger.thaw_again(REQUEST, ARCHIVE)

    part = ledger.part(REQUEST, ARCHIVE)
    assert part is not None
    assert (part.state, part.asked_at, part.expected_by, part.readable_until) == (PartState.PENDING, None, None, None)
    waiter = WaiterRow.get(waiting_key(ARCHIVE), REQUEST)
    assert waiter.list_order == due_order(NOW, ARCHIVE, REQUEST)


def test_an_ended_part_is_not_thawed_again(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    complete(ledger)

    ledger.thaw_again(REQUEST, ARCHIVE)

    assert part_state() == PartState.COMPLETED


def test_ending_a_part_twice_counts_it_once(ledger: RestoreLedger) -> None:
    record_request(files=3)
    record_part(files=3)

    first = ledger.end_part(REQUEST, ARCHIVE, state=PartState.PARTIAL, restored=2, failed=1, reason="one is damaged")
    second = ledger.end_part(REQUEST, ARCHIVE, state=PartState.COMPLETED, restored=3, failed=0)

    row = request_row()
    assert (first, second) == (True, False)
    assert (row.parts_ended, row.restored, row.failed) == (1, 2, 1)
    assert part_state() == PartState.PARTIAL


def test_a_part_cannot_be_ended_with_a_state_that_goes_on(ledger: RestoreLedger) -> None:
    record_request()
    record_part()

    with pytest.raises(ValueError, match="does not end a part"):
        ledger.end_part(REQUEST, ARCHIVE, state=PartState.THAWING, restored=0, failed=0)


def test_a_request_is_not_closed_before_its_last_part_has_ended(ledger: RestoreLedger) -> None:
    record_request(parts=2, files=2)
    record_part()
    record_part(archive_id=SECOND)

    complete(ledger)

    assert ledger.close_if_last(REQUEST) is None
    assert request_row().state == RequestState.ACCEPTED


def test_a_request_whose_parts_are_not_all_recorded_is_not_closed(ledger: RestoreLedger) -> None:
    record_request(resolved=False, parts=0)
    record_part()

    complete(ledger)

    assert ledger.close_if_last(REQUEST) is None


def test_the_last_part_closes_the_request_and_tells_where_the_files_are(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None)
    complete(ledger)

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert (event.outcome, event.files, event.restored, event.failed, event.missing) == (Outcome.COMPLETED, 1, 1, 0, 0)
    assert event.location == f"s3://restored/demo/{REQUEST}/"
    assert event.available_until == datetime(2026, 7, 9, tzinfo=UTC)
    assert event.failures == ()
    row = request_row()
    assert (row.state, row.finished_at) == (RequestState.COMPLETED, NOW)


@pytest.mark.slow
def test_a_request_of_more_parts_than_a_transaction_takes_lets_go_of_them_all(ledger: RestoreLedger) -> None:
    record_request(state=RequestState.COMPLETED, finished_at=NOW)
    record_part()
    with PartRow.batch_write() as batch:
        for number in range(120):
            part = PartRow.get(REQUEST, part_item(ARCHIVE))
            part.item = part_item(ArchiveId(f"{number:016}"))
            batch.save(part)

    ledger.mark_announced(REQUEST)

    rows = list(PartRow.query(REQUEST, PartRow.item.startswith("part#")))
    assert (len(rows), {row.expires_at for row in rows}) == (121, {NOW + timedelta(days=90)})


def test_the_event_is_given_again_until_it_is_announced(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    complete(ledger)

    first = ledger.close_if_last(REQUEST)
    again = ledger.close_if_last(REQUEST)
    ledger.mark_announced(REQUEST)

    assert first == again
    assert ledger.close_if_last(REQUEST) is None


def test_a_partial_restore_names_the_files_that_failed_and_why(ledger: RestoreLedger) -> None:
    record_request(files=2)
    record_part(files=2)
    ledger.documents.put_results(
        REQUEST,
        ARCHIVE,
        (
            FileResult("good.csv", "x/good.csv", "RESTORED", 3),
            FileResult("bad.csv", "x/bad.csv", "FAILED", 3, "CRC-32 differs"),
        ),
    )
    ledger.end_part(REQUEST, ARCHIVE, state=PartState.PARTIAL, restored=1, failed=1)

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert event.outcome is Outcome.PARTIAL
    assert [(failure.key, failure.reason) for failure in event.failures] == [("bad.csv", "CRC-32 differs")]


def test_a_part_that_failed_as_a_whole_names_all_its_files(ledger: RestoreLedger) -> None:
    record_request(files=2)
    record_part(files=2)
    wanted = (WantedFile("a.csv", "x/a.csv", 1), WantedFile("b.csv", "x/b.csv", 1))
    ledger.documents.put_wanted(REQUEST, ARCHIVE, wanted)
    ledger.end_part(REQUEST, ARCHIVE, state=PartState.FAILED, restored=0, failed=2, reason="the archive is gone")

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert event.outcome is Outcome.FAILED
    assert [(failure.key, failure.reason) for failure in event.failures] == [
        ("a.csv", "the archive is gone"),
        ("b.csv", "the archive is gone"),
    ]
    assert (event.location, event.available_until) == (None, None)


@pytest.mark.parametrize(
    "document",
    [None, b"no gzip", gzip.compress(b"no JSON"), gzip.compress(b'{"key": 1}')],
    ids=["none", "no gzip", "no JSON", "no list"],
)
def test_a_part_whose_list_is_lost_says_how_many_files_failed(ledger: RestoreLedger, document: bytes | None) -> None:
    record_request(files=2)
    record_part(files=2)
    if document is not None:
        client("s3").put_object(Bucket="work", Key=part_key(REQUEST, ARCHIVE), Body=document)
    ledger.end_part(REQUEST, ARCHIVE, state=PartState.FAILED, restored=0, failed=2, reason="the list is lost")

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert [(failure.key, failure.reason, failure.files) for failure in event.failures] == [
        (f"(2 files of archive {ARCHIVE})", "the list is lost", 2)
    ]


@pytest.mark.parametrize(
    "document",
    [b"no gzip", gzip.compress(b"no JSON")[:-9], gzip.compress(b"no JSON"), gzip.compress(b'{"key": 1}')],
    ids=["not gzipped", "cut", "not JSON", "other fields"],
)
def test_a_list_that_is_damaged_is_lost(ledger: RestoreLedger, document: bytes) -> None:
    for key in (part_key(REQUEST, ARCHIVE), part_result_key(REQUEST, ARCHIVE)):
        client("s3").put_object(Bucket="work", Key=key, Body=document)

    with pytest.raises(DocumentLost, match="is damaged"):
        ledger.documents.wanted(REQUEST, ARCHIVE)
    with pytest.raises(DocumentLost, match="is damaged"):
        ledger.documents.results(REQUEST, ARCHIVE)


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "AccessDenied", "503"])
def test_a_list_that_cannot_be_read_now_is_not_lost(code: str) -> None:
    class Refusing:
        def get_object(self, **_asked: Any) -> Any:
            raise ClientError({"Error": {"Code": code}}, "GetObject")

    documents = S3PartDocuments(cast("Any", Refusing()), "work")

    with pytest.raises(ClientError, match=code):
        documents.wanted(REQUEST, ARCHIVE)


def test_every_failure_and_every_missing_name_is_told(ledger: RestoreLedger) -> None:
    names = [f"nowhere-{n}.csv" for n in range(30)]
    record_request(files=60, parts=2, missing=names)
    for archive_id in (ARCHIVE, SECOND):
        record_part(archive_id=archive_id, files=30)
        wanted = tuple(WantedFile(f"{archive_id}/{n}", f"x/{n}", 1) for n in range(30))
        ledger.documents.put_wanted(REQUEST, archive_id, wanted)
        ledger.end_part(REQUEST, archive_id, state=PartState.FAILED, restored=0, failed=30, reason="gone")

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert [failure.key for failure in event.failures] == [f"{a}/{n}" for a in (ARCHIVE, SECOND) for n in range(30)]
    assert event.missing_names == tuple(names)


def test_an_event_never_grows_beyond_what_a_message_takes(ledger: RestoreLedger) -> None:
    record_request(files=400, missing=[f"{n}{'m' * 1000}" for n in range(300)])
    record_part(files=400)
    wanted = tuple(WantedFile(f"{n}{'ü' * 500}", f"x/{n}", 1) for n in range(400))
    ledger.documents.put_wanted(REQUEST, ARCHIVE, wanted)
    ledger.end_part(REQUEST, ARCHIVE, state=PartState.FAILED, restored=0, failed=400, reason="r" * 5_000)

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert 100_000 < len(json.dumps(event.model_dump(mode="json"))) < 112_000
    assert (event.missing, event.failed) == (300, 400)
    assert (len(event.missing_names) > 50, len(event.failures) > 10) == (True, True)
    assert {len(failure.reason) for failure in event.failures} == {300}


def test_names_that_no_archive_holds_make_the_outcome_partial(ledger: RestoreLedger) -> None:
    record_request(missing=["nowhere.csv"])
    record_part()
    complete(ledger)

    event = ledger.close_if_last(REQUEST)

    assert event is not None
    assert (event.outcome, event.missing, event.missing_names) == (Outcome.PARTIAL, 1, ("nowhere.csv",))


def test_a_cancelled_request_stays_cancelled_and_is_told_once_its_parts_have_ended(ledger: RestoreLedger) -> None:
    record_request(state=RequestState.CANCELLED, parts=2, files=2)
    record_part()
    record_part(archive_id=SECOND)
    complete(ledger)
    before = ledger.close_if_last(REQUEST)
    ledger.end_part(REQUEST, SECOND, state=PartState.CANCELLED, restored=0, failed=0)

    event = ledger.close_if_last(REQUEST)

    assert before is None
    assert event is not None
    assert (event.outcome, event.restored) == (Outcome.CANCELLED, 1)
    assert request_row().state == RequestState.CANCELLED


def test_ending_a_part_leaves_others_waiting_for_the_same_archive_alone(ledger: RestoreLedger) -> None:
    record_request()
    record_request(OTHER)
    record_part()
    record_part(OTHER)

    ledger.end_part(REQUEST, ARCHIVE, state=PartState.CANCELLED, restored=0, failed=0)
    ledger.settle(REQUEST, ARCHIVE, tell=lambda _event: None)

    assert ledger.waiting_requests(ARCHIVE) == (OTHER,)
    assert part_state(OTHER) == PartState.PENDING
    assert request_row(OTHER).parts_ended == 0


def test_a_part_ended_between_two_looks_is_counted_by_one_of_them_only(ledger: RestoreLedger) -> None:
    record_request()
    record_part()
    rival = RestoreLedger(ledger.documents, now=lambda: NOW)
    part = ledger.begin_unpacking(REQUEST, ARCHIVE, readable_until=None)
    assert part is not None

    outcomes = [complete(rival), complete(ledger)]

    assert outcomes == [True, False]
    assert request_row().parts_ended == 1


@dataclass
class Pauses:
    taken: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def test_a_condition_that_does_not_hold_is_answered_without_another_try() -> None:
    pauses = Pauses()
    ledger = RestoreLedger(S3PartDocuments(client("s3"), "work"), pause=pauses)
    record_request()

    assert ledger.end_part(REQUEST, ARCHIVE, state=PartState.FAILED, restored=0, failed=1) is False
    assert pauses.taken == []
    assert request_row().parts_ended == 0


def test_a_failed_transaction_writes_nothing_at_all(ledger: RestoreLedger) -> None:
    record_request()
    record_part(state=PartState.COMPLETED)

    def fill(transaction: TransactWrite) -> None:
        transaction.update(RequestRow(REQUEST, REQUEST_ITEM), actions=[RequestRow.parts_ended.add(1)])
        transaction.delete(PartRow(REQUEST, part_item(ARCHIVE)), condition=PartRow.state == PartState.PENDING)

    assert ledger.transact(fill) is False
    assert request_row().parts_ended == 0
