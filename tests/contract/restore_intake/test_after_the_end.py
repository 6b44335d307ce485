"""After a restore has ended: people are reminded once before its files expire, and it is forgotten when nobody needs it any more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fakes.restore_world import World
from fakes.strict_thaw import START
from glaciate.errors import Problem
from glaciate.events import RestoreCompleted, RestoreExpiryApproached
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import FileResult
from glaciate.restores import PartState, RequestState
from glaciate.tables import (
    EXPIRING_ITEM,
    EXPIRING_LIST,
    REQUEST_ITEM,
    WAITING_LIST,
    ExpiringRow,
    PartRow,
    RequestRow,
    WaiterRow,
    part_item,
)

RESTORED_DAYS = 14
KEPT_DAYS = 90


def unpack(world: World, request_id: RequestId, archive: ArchiveId, *, damaged: bool = False) -> None:
    """What the unpacker does, as far as the ledger sees it."""
    assert world.ledger.begin_unpacking(request_id, archive, readable_until=None) is not None
    wanted = world.ledger.documents.wanted(request_id, archive)
    results = [FileResult(file.key, file.destination, "RESTORED", file.size) for file in wanted]
    if damaged:
        results[0] = replace(results[0], state="FAILED", reason="damaged")
    world.ledger.documents.put_results(request_id, archive, tuple(results))
    failed = sum(result.state == "FAILED" for result in results)
    state = PartState.COMPLETED if not failed else PartState.PARTIAL if failed < len(results) else PartState.FAILED
    world.ledger.end_part(request_id, archive, state=state, restored=len(results) - failed, failed=failed)
    world.ledger.settle(request_id, archive, tell=world.bus.publish)


def restored(world: World, number: int = 0, *keys: str, damaged: bool = False) -> RequestId:
    """A request that has ended at the world's time."""
    archive = world.vault.put(number, list(keys) or [f"{number}.csv"])
    request_id = world.post(archive_id=archive)
    world.drain()
    unpack(world, request_id, archive, damaged=damaged)
    world.told()
    return request_id


def until(world: World, request_id: RequestId) -> datetime:
    request = world.requests.get(request_id)
    assert request is not None
    assert request.available_until is not None
    return request.available_until


def travel(world: World, moment: datetime) -> None:
    world.s3.advance(seconds=(moment - world.s3.now).total_seconds())


def reminders(world: World) -> list[RestoreExpiryApproached]:
    return [event for event in world.told() if isinstance(event, RestoreExpiryApproached)]


def test_people_are_reminded_a_day_before_the_files_expire(world: World) -> None:
    request_id = restored(world)
    expiry = until(world, request_id)

    travel(world, expiry - timedelta(days=1, seconds=1))
    world.sweep(at_most=10)
    before = reminders(world)
    travel(world, expiry - timedelta(days=1))
    world.sweep(at_most=10)

    assert expiry == datetime(2026, 7, 16, tzinfo=UTC)  # 14 days, and on to the next midnight
    assert before == []
    [told] = reminders(world)
    assert (told.request_id, told.restored, told.available_until) == (request_id, 1, expiry)
    assert (told.location, told.correlation_id) == (f"s3://restored/demo/{request_id}/", "trail-1")


def test_a_reminder_is_sent_once_however_often_the_sweeper_runs(world: World) -> None:
    request_id = restored(world)
    travel(world, until(world, request_id) - timedelta(hours=23))

    for _ in range(3):
        world.sweep(at_most=10)

    assert len(reminders(world)) == 1


def test_a_partial_restore_is_reminded_of_what_it_restored(world: World) -> None:
    request_id = restored(world, 0, "a.csv", "b.csv", damaged=True)
    travel(world, until(world, request_id) - timedelta(hours=23))

    world.sweep(at_most=10)

    assert [event.restored for event in reminders(world)] == [1]


def test_a_restore_that_brought_nothing_has_nothing_to_remind_of(world: World) -> None:
    restored(world, damaged=True)

    world.s3.advance(days=30)
    world.sweep(at_most=10)

    assert reminders(world) == []


def test_files_that_stay_a_day_or_less_are_told_of_by_the_end_alone(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.told()
    short = replace(world.ledger, restored_days=1)
    assert short.begin_unpacking(request_id, archive, readable_until=None) is not None
    world.s3.advance(hours=14)  # an unpacking that takes until after midnight: less than a day is left
    short.end_part(request_id, archive, state=PartState.COMPLETED, restored=1, failed=0)
    short.settle(request_id, archive, tell=world.bus.publish)

    [ended] = world.told()
    world.s3.advance(days=2)
    world.sweep(at_most=10)

    assert isinstance(ended, RestoreCompleted)
    assert ended.available_until == datetime(2026, 7, 3, tzinfo=UTC)
    assert reminders(world) == []
    assert list(ExpiringRow.listing.query(EXPIRING_LIST)) == []


def test_a_sweeper_that_comes_after_the_files_have_expired_says_nothing(world: World) -> None:
    request_id = restored(world)

    travel(world, until(world, request_id) + timedelta(hours=1))
    world.sweep(at_most=10)

    assert reminders(world) == []
    assert list(ExpiringRow.listing.query(EXPIRING_LIST)) == []


def test_a_reminder_that_could_not_be_told_is_told_by_the_next_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = restored(world)
    travel(world, until(world, request_id) - timedelta(hours=23))

    def fail(_bus: object, *_events: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(type(world.bus), "publish", fail)
        with pytest.raises(ConnectionError):
            world.sweep(at_most=10)
    world.sweep(at_most=10)

    assert len(reminders(world)) == 1


def test_a_sweep_reminds_of_a_bounded_number_and_the_next_of_the_others(world: World) -> None:
    requests = {restored(world, number) for number in range(3)}
    travel(world, until(world, min(requests)) - timedelta(hours=23))

    rounds = []
    for _ in range(4):
        world.sweep(at_most=1)
        rounds.append([event.request_id for event in reminders(world)])

    assert [len(told) for told in rounds] == [1, 1, 1, 0]
    assert {request_id for told in rounds for request_id in told} == requests


def test_a_date_is_that_of_the_file_which_expires_first(world: World) -> None:
    first, second = (world.vault.put(number, [f"{number}.csv"]) for number in range(2))
    request_id = world.post(filename="0.csv, 1.csv")
    world.drain()
    unpack(world, request_id, first)
    while_it_goes_on = world.files(request_id)["0.csv"]["available_until"]
    world.s3.advance(days=2)
    unpack(world, request_id, second)

    files = world.files(request_id)

    assert while_it_goes_on == datetime(2026, 7, 16, tzinfo=UTC)
    assert {key: file["available_until"].day for key, file in files.items()} == {"0.csv": 16, "1.csv": 18}
    assert until(world, request_id) == files["0.csv"]["available_until"]


def test_a_cancelled_request_says_until_when_the_files_stay_that_came_before(world: World) -> None:
    first, _second = (world.vault.put(number, [f"{number}.csv"]) for number in range(2))
    request_id = world.post(filename="0.csv, 1.csv")
    world.drain()
    unpack(world, request_id, first)
    world.told()

    world.cancel(request_id)

    [ended] = world.told()
    assert isinstance(ended, RestoreCompleted)
    assert (ended.outcome, ended.available_until) == (RequestState.CANCELLED, datetime(2026, 7, 16, tzinfo=UTC))


def test_a_request_and_its_parts_are_kept_until_long_after_the_files_have_expired(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(archive_id=archive)
    world.drain()
    before = [
        RequestRow.get(request_id, REQUEST_ITEM).expires_at,
        PartRow.get(request_id, part_item(archive)).expires_at,
    ]

    unpack(world, request_id, archive)

    expected = until(world, request_id) + timedelta(days=KEPT_DAYS)
    assert before == [None, None]
    assert RequestRow.get(request_id, REQUEST_ITEM).expires_at == expected
    assert PartRow.get(request_id, part_item(archive)).expires_at == expected
    assert world.describe(request_id, limit=1, token=None)["kept_until"] == expected


def test_a_part_that_has_ended_is_kept_as_long_as_another_of_its_request_goes_on(world: World) -> None:
    first, second = (world.vault.put(number, [f"{number}.csv"]) for number in range(2))
    request_id = world.post(filename="0.csv, 1.csv")
    world.drain()

    unpack(world, request_id, first)

    rows = [PartRow.get(request_id, part_item(archive)) for archive in (first, second)]
    assert [row.expires_at for row in rows] == [None, None]
    assert RequestRow.get(request_id, REQUEST_ITEM).expires_at is None


def test_a_request_that_failed_or_was_cancelled_is_kept_from_its_end(world: World) -> None:
    failed = restored(world, damaged=True)
    world.vault.put(1, ["b.csv"])
    cancelled = world.post(filename="b.csv")
    world.cancel(cancelled)

    for request_id in (failed, cancelled):
        row = RequestRow.get(request_id, REQUEST_ITEM)
        assert row.expires_at == row.finished_at.replace(microsecond=0) + timedelta(days=KEPT_DAYS)


def test_nothing_expires_that_somebody_may_still_ask_or_be_told_of(world: World) -> None:
    """Every row that is given a time to go, and all that may still happen to it by then."""
    request_id = restored(world)
    others = world.post(filename="0.csv")
    world.drain()

    gone_by = {(row.id, row.item): row.expires_at for row in RequestRow.scan() if row.expires_at is not None}

    expiry = until(world, request_id)
    assert set(gone_by) == {
        (request_id, REQUEST_ITEM),
        (request_id, part_item(world.requests.parts(request_id)[0].archive_id)),
        (request_id, EXPIRING_ITEM),
    }
    assert gone_by[request_id, EXPIRING_ITEM] == expiry  # the reminder is a day earlier
    assert min(moment for (_, item), moment in gone_by.items() if item != EXPIRING_ITEM) > expiry
    assert others not in {row_id for row_id, _ in gone_by}


def test_a_request_whose_time_is_over_is_404_with_a_way_on_before_dynamodb_removes_it(world: World) -> None:
    request_id = restored(world)

    travel(world, until(world, request_id) + timedelta(days=KEPT_DAYS))

    for call in (lambda: world.describe(request_id, limit=1, token=None), lambda: world.cancel(request_id)):
        with pytest.raises(Problem) as caught:
            call()
        assert caught.value.status == 404
        assert f"accepted on {START:%Y-%m-%d}" in caught.value.message
        assert "POST /restore" in caught.value.message
    assert world.list_restores("demo", limit=10, token=None)["requests"] == []


def test_an_id_that_no_request_can_have_is_said_to_be_none(world: World) -> None:
    with pytest.raises(Problem, match="ids of requests look like r-"):
        world.describe(RequestId("r-not-an-id!!"), limit=1, token=None)


def test_the_sweeper_comes_to_rest_where_a_request_or_its_part_is_gone(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    archive = world.vault.put(1, ["b.csv"])
    without_request, without_part = world.post(filename="a.csv"), world.post(filename="b.csv")
    RequestRow(without_request, REQUEST_ITEM).delete()
    PartRow(without_part, part_item(archive)).delete()

    world.s3.advance(hours=1)
    world.sweep(at_most=10)

    left = {(row.id, row.item) for row in WaiterRow.listing.query(WAITING_LIST)}
    assert left == {(f"waiting#{without_part}", without_part)}


def test_a_death_while_rows_are_let_go_of_is_made_good_by_the_sweeper(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()

    def die(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as dying:
        dying.setattr(type(world.ledger), "_keep_until", die)
        with pytest.raises(ConnectionError):
            unpack(world, request_id, archive)
    world.s3.advance(hours=14)
    world.sweep(at_most=10)

    assert PartRow.get(request_id, part_item(archive)).expires_at is not None
    assert RequestRow.get(request_id, REQUEST_ITEM).expires_at is not None
    assert list(WaiterRow.listing.query(WAITING_LIST)) == []
    assert [event.name for event in world.told()].count("RestoreCompleted.v1") == 1
