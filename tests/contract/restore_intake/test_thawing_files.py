"""From POST to a readable archive, against S3 as it really behaves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from fakes.restore_world import World
from fakes.strict_thaw import START
from fakes.vault import SEALED_AT, VAULT
from glaciate.contracts import read_body
from glaciate.errors import Permanent, Problem
from glaciate.events import ArchiveReadable, Outcome, RestoreAccepted, RestoreCompleted
from glaciate.messages import COMMANDS, ThawFiles
from glaciate.names import ArchiveId, RequestId, part_key
from glaciate.parts import FileResult
from glaciate.requests import RestoreRequest, Tier
from glaciate.restores import PartState, RequestState
from restore_intake.domain.thawing import Thaw


def part_state(world: World, request_id: RequestId, archive: ArchiveId) -> PartState:
    part = world.ledger.part(request_id, archive)
    assert part is not None
    return part.state


def asked_to_thaw(world: World) -> int:
    return sum(operation == "RestoreObject" for operation, _key in world.s3.asked)


def unpack(world: World, request_id: RequestId, archive: ArchiveId, *, settled: bool = True) -> None:
    """What the unpacker does, as far as the ledger sees it."""
    part = world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    assert part is not None
    wanted = world.ledger.documents.wanted(request_id, archive)
    results = tuple(FileResult(file.key, file.destination, "RESTORED", file.size) for file in wanted)
    world.ledger.documents.put_results(request_id, archive, results)
    world.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=len(wanted), failed=0)
    if settled:
        world.ledger.settle(request_id, archive, tell=world.bus.publish)


def test_a_cold_archive_is_thawed_and_the_caller_told_by_when(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")

    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING
    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.expected_by) == (RequestState.THAWING, START + timedelta(hours=12))
    [accepted] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    assert (accepted.files, accepted.expected_by, accepted.correlation_id) == (
        1,
        START + timedelta(hours=12),
        "trail-1",
    )


def test_a_part_whose_end_nobody_told_is_settled_by_the_sweeper(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.told()
    world.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=1, failed=0)

    world.s3.advance(hours=48)
    world.sweep(at_most=10)

    assert [event.name for event in world.told()] == ["RestoreCompleted.v1"]
    assert world.ledger.waiting_requests(archive) == ()


def test_thaw_files_handled_twice_asks_s3_once(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()

    world.thaw_files(ThawFiles(correlation_id="trail-1", request_id=request_id))

    assert asked_to_thaw(world) == 1
    assert len(world.told()) == 1


def test_a_second_request_joins_the_thaw_that_runs(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=2)

    second = world.post(filename="b.csv")
    world.drain()

    part = world.ledger.part(second, archive)
    assert part is not None
    assert (part.state, part.expected_by) == (PartState.THAWING, START + timedelta(hours=12))
    assert asked_to_thaw(world) == 1
    assert world.ledger.waiting_requests(archive) != ()


def test_a_faster_tier_speeds_a_running_thaw_up_with_its_days_unchanged(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", retrieval_tier="Bulk", days=7)
    world.drain()
    world.s3.advance(hours=1)

    fast = world.post(filename="b.csv", retrieval_tier="Standard", days=3)
    world.drain()

    part = world.ledger.part(fast, archive)
    assert part is not None
    assert part.expected_by == START + timedelta(hours=13)
    world.s3.advance(hours=12)
    assert len(world.s3.completions()) == 1
    assert asked_to_thaw(world) == 2


def test_a_slower_tier_joins_the_faster_thaw(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", retrieval_tier="Standard")
    world.drain()

    slow = world.post(filename="b.csv", retrieval_tier="Bulk")
    world.drain()

    part = world.ledger.part(slow, archive)
    assert part is not None
    assert part.expected_by == START + timedelta(hours=12)


def test_a_thaw_that_somebody_else_began_is_joined_with_the_slowest_time_expected(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    key = f"archives/demo/{archive}.zip"
    request = {"Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
    world.s3.restore_object(Bucket=VAULT, Key=key, RestoreRequest=request)

    request_id = world.post(filename="a.csv")
    world.drain()

    part = world.ledger.part(request_id, archive)
    assert part is not None
    assert (part.state, part.expected_by) == (PartState.THAWING, START + timedelta(hours=48))


@pytest.mark.parametrize(
    ("tier", "ready_at"),
    [
        ("Standard", START + timedelta(hours=12)),  # ours, and noted
        (None, START + timedelta(hours=11 + 48)),  # another's, by a tier that nobody knows
    ],
)
def test_the_call_the_message_and_the_status_tell_when_a_thaw_that_runs_will_be_ready(
    world: World, tier: str | None, ready_at: datetime
) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    if tier is None:
        thaw = {"Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
        world.s3.restore_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip", RestoreRequest=thaw)
    else:
        world.post(filename="a.csv", retrieval_tier=tier)
        world.drain()
    world.s3.advance(hours=11)
    world.told()

    quoted = world.quote.dry_run(RestoreRequest(project_name="demo", filename="b.csv"))
    joined = world.post(filename="b.csv")
    promised = world.describe(joined, limit=10, token=None)["expected_by"]
    world.drain()

    [accepted] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    status = world.describe(joined, limit=10, token=None)
    said = [quoted["expected_by"], promised, accepted.expected_by, status["expected_by"]]
    assert said == [ready_at] * 4
    assert quoted["estimate"]["hours"] == (ready_at - world.s3.now) / timedelta(hours=1)
    assert [part["expected_by"] for part in status["parts"]] == [ready_at]


def test_a_request_is_expected_when_the_last_of_its_parts_is_and_sooner_as_that_is(world: World) -> None:
    world.vault.put(0, ["a.csv"], storage_class="GLACIER")
    world.vault.put(1, ["b.csv"], storage_class="GLACIER_IR")
    world.s3.expedited_capacity = False
    request_id = world.post(filename="a.csv,b.csv", retrieval_tier="Expedited")
    world.drain()
    waiting = world.describe(request_id, limit=10, token=None)["expected_by"]
    world.s3.expedited_capacity = True
    world.s3.advance(minutes=5)

    world.sweep(at_most=100)

    assert waiting == START + timedelta(minutes=5 + 15 + 6)
    status = world.describe(request_id, limit=10, token=None)
    request = world.requests.get(request_id)
    assert request is not None
    assert [status["expected_by"], request.expected_by] == [START + timedelta(minutes=5 + 6)] * 2


def test_the_status_expects_no_part_that_has_ended_early(world: World) -> None:
    early = world.vault.put(0, ["a.csv"])
    world.vault.put(1, ["b.csv"], storage_class="GLACIER")
    request_id = world.post(filename="a.csv,b.csv")
    world.drain()
    before = world.describe(request_id, limit=10, token=None)["expected_by"]

    unpack(world, request_id, early)

    assert before == START + timedelta(hours=12)
    assert world.describe(request_id, limit=10, token=None)["expected_by"] == START + timedelta(hours=5)


def test_a_thaw_that_runs_long_after_our_own_is_not_taken_for_our_own(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", retrieval_tier="Bulk")
    world.drain()
    world.s3.advance(days=20)  # our copy has lapsed
    request = {"Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
    world.s3.restore_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip", RestoreRequest=request)

    later = world.post(filename="b.csv", retrieval_tier="Standard")
    world.drain()

    part = world.ledger.part(later, archive)
    assert part is not None
    assert (part.state, part.expected_by) == (PartState.THAWING, world.s3.now + timedelta(hours=48))
    assert asked_to_thaw(world) == 2  # ours, and the other's: what days that one has is not known, so it is not sped up


def test_a_thaw_that_is_late_is_expected_at_a_time_to_come_and_looked_at_soon(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    key = f"archives/demo/{archive}.zip"
    slow = {"Days": 30, "GlacierJobParameters": {"Tier": "Bulk"}}
    world.s3.restore_object(Bucket=VAULT, Key=key, RestoreRequest=slow)
    request_id = world.post(filename="a.csv")
    ours = Thaw(Tier.STANDARD, 30, START + timedelta(hours=12))
    world.requests.note_thaw(archive, ours)  # as far as we know S3 needs 12 h; it will take 48
    world.drain()

    world.s3.advance(hours=13)
    world.sweep(at_most=100)

    part = world.ledger.part(request_id, archive)
    assert part is not None
    assert part.expected_by == world.s3.now + timedelta(minutes=30)  # the next look, and the sweeper's round
    world.s3.advance(minutes=15)
    heads = world.s3.asked.count(("HeadObject", key))
    world.sweep(at_most=100)
    assert world.s3.asked.count(("HeadObject", key)) == heads + 1


def test_a_warm_archive_is_announced_without_asking_s3_to_thaw(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", days=5)
    world.drain()
    world.s3.advance(hours=12)
    world.told()

    world.post(filename="b.csv", days=3)
    world.drain()

    readable = [event for event in world.told() if isinstance(event, ArchiveReadable)]
    assert [(event.archive_id, event.readable_until) for event in readable] == [
        (archive, datetime(2026, 7, 7, tzinfo=UTC))
    ]
    assert asked_to_thaw(world) == 1


def test_a_lukewarm_archive_is_extended_and_announced(world: World) -> None:
    world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)
    world.told()

    request_id = world.post(filename="b.csv", days=5)
    world.drain()
    [part] = world.describe(request_id, limit=10, token=None)["parts"]

    [accepted, readable] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    assert isinstance(readable, ArchiveReadable)
    assert readable.readable_until == datetime(2026, 7, 9, tzinfo=UTC)  # five days from the asking, not from the thaw
    assert part["readable_until"] == readable.readable_until
    said = world.s3.head_object(Bucket=VAULT, Key=next(key for op, key in world.s3.asked if op == "RestoreObject"))
    assert said["Restore"] == 'ongoing-request="false", expiry-date="Thu, 09 Jul 2026 00:00:00 GMT"'


@pytest.mark.parametrize("storage_class", ["STANDARD", "STANDARD_IA", "GLACIER_IR"])
def test_a_class_that_is_read_at_once_is_announced_at_once(world: World, storage_class: str) -> None:
    world.vault.put(0, ["a.csv"], storage_class=storage_class)

    world.post(filename="a.csv")
    world.drain()

    assert [type(event) for event in world.told()] == [RestoreAccepted, ArchiveReadable]
    assert asked_to_thaw(world) == 0


def test_an_archive_that_is_gone_fails_its_part_and_the_request_says_why(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.s3.delete_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip")

    world.drain()

    assert part_state(world, request_id, archive) is PartState.FAILED
    [ended] = [event for event in world.told() if isinstance(event, RestoreCompleted)]
    assert (ended.outcome, ended.failed) == (Outcome.FAILED, 1)
    [failure] = ended.failures
    assert (failure.key, failure.reason) == (
        "a.csv",
        f"the archive s3://{VAULT}/archives/demo/{archive}.zip is not in the vault any more",
    )


def test_one_archive_that_is_gone_leaves_the_others_thawing(world: World) -> None:
    gone = world.vault.put(0, ["a.csv"])
    there = world.vault.put(1, ["b.csv"])
    request_id = world.post(filename="a.csv,b.csv")
    world.s3.delete_object(Bucket=VAULT, Key=f"archives/demo/{gone}.zip")

    world.drain()

    assert part_state(world, request_id, there) is PartState.THAWING
    assert not any(isinstance(event, RestoreCompleted) for event in world.told())


def test_throttling_leaves_the_part_pending_and_the_sweeper_asks_again(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.s3.throttle(1)

    world.drain()
    before = part_state(world, request_id, archive)
    world.s3.advance(minutes=1)
    world.sweep(at_most=100)

    assert before is PartState.PENDING
    assert part_state(world, request_id, archive) is PartState.THAWING


def test_expedited_without_capacity_is_asked_for_again_until_there_is_some(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"], storage_class="GLACIER")
    world.s3.expedited_capacity = False
    request_id = world.post(filename="a.csv", retrieval_tier="Expedited")
    world.drain()
    world.s3.advance(minutes=5)
    world.sweep(at_most=100)
    before = part_state(world, request_id, archive)

    world.s3.expedited_capacity = True
    world.s3.advance(minutes=5)
    world.sweep(at_most=100)

    assert before is PartState.PENDING
    assert part_state(world, request_id, archive) is PartState.THAWING


@pytest.mark.parametrize("status", [503, 500])
def test_a_head_that_s3_cannot_answer_is_asked_again_and_nothing_is_lost(world: World, status: int) -> None:
    archives = [world.vault.put(0, ["a.csv"]), world.vault.put(1, ["b.csv"])]
    request_id = world.post(filename="a.csv,b.csv")
    world.s3.fail_heads(status, status, status)

    world.drain()
    first = [part_state(world, request_id, archive) for archive in archives]
    reasons = [file["reason"] for file in world.files(request_id).values()]
    for _ in range(2):
        world.s3.advance(minutes=1)
        world.sweep(at_most=100)

    assert first == [PartState.PENDING] * 2
    assert all(reason.startswith(f"S3 says {status}: ") for reason in reasons)
    assert [part_state(world, request_id, archive) for archive in archives] == [PartState.THAWING] * 2
    assert {file["reason"] for file in world.files(request_id).values()} == {None}


def test_a_head_that_fails_when_the_copy_should_be_there_costs_time_and_no_second_thaw(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=12, minutes=15)
    world.told()
    world.s3.fail_heads(503)

    world.sweep(at_most=100)
    part = world.ledger.part(request_id, archive)
    assert part is not None
    assert part.expected_by is not None
    assert (part.state, part.expected_by > world.s3.now) == (PartState.THAWING, True)
    world.s3.advance(minutes=1)
    world.sweep(at_most=100)

    assert [type(event) for event in world.told()] == [ArchiveReadable]
    assert asked_to_thaw(world) == 1


def test_a_part_without_expedited_capacity_says_why_it_waits_and_never_promises_the_past(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"], storage_class="GLACIER")
    world.s3.expedited_capacity = False
    request_id = world.post(filename="a.csv", retrieval_tier="Expedited")
    world.drain()
    for _ in range(12):
        world.s3.advance(hours=1)
        world.sweep(at_most=100)

    waiting = world.describe(request_id, limit=10, token=None)
    world.s3.expedited_capacity = True
    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    going_on = world.describe(request_id, limit=10, token=None)

    asked_again = world.s3.now - timedelta(minutes=10)
    reason = (
        "S3 says GlacierExpeditedRetrievalNotAvailable: it has no capacity for Expedited retrievals just now; "
        f"the first sweep after {asked_again:%Y-%m-%d %H:%M} UTC asks again"
    )
    by = asked_again + timedelta(minutes=15 + 6)  # that sweep, and the tier's own tenth of an hour
    [part], [file] = waiting["parts"], waiting["files"]
    assert [(said["reason"], said["expected_by"]) for said in (part, file)] == [(reason, by)] * 2
    assert (part["state"], waiting["expected_by"]) == (PartState.PENDING, by)
    assert [said["reason"] for said in (*going_on["parts"], *going_on["files"])] == [None, None]
    assert part_state(world, request_id, archive) is PartState.THAWING


def test_what_kept_a_part_waiting_is_forgotten_when_its_archive_can_be_read(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.s3.throttle(1)
    world.drain()
    [waiting] = world.describe(request_id, limit=10, token=None)["parts"]
    key = next(key for operation, key in world.s3.asked if operation == "RestoreObject")
    thaw = {"Days": 30, "GlacierJobParameters": {"Tier": "Standard"}}
    world.s3.restore_object(Bucket=VAULT, Key=key, RestoreRequest=thaw)  # somebody else's
    world.s3.advance(hours=12)

    world.sweep(at_most=100)

    [readable] = world.describe(request_id, limit=10, token=None)["parts"]
    assert "SlowDown" in waiting["reason"]
    assert (readable["reason"], readable["expected_by"]) == (None, world.s3.now)


@pytest.mark.slow
def test_a_request_for_more_archives_than_a_message_takes_thaws_them_all(world: World) -> None:
    archives = [world.vault.put(number, [f"{number}.csv"]) for number in range(60)]
    request_id = world.post(filename=[f"{number}.csv" for number in range(60)])

    handled = world.drain()

    assert handled == 2
    assert all(part_state(world, request_id, archive) is PartState.THAWING for archive in archives)
    assert asked_to_thaw(world) == 60
    request = world.requests.get(request_id)
    assert request is not None
    assert (request.resolved, request.parts, request.files) == (True, 60, 60)


def test_a_message_about_no_request_is_dropped_with_its_reason(world: World) -> None:
    with pytest.raises(Permanent, match="there is no restore request"):
        world.thaw_files(ThawFiles(correlation_id="x", request_id=RequestId("r-0000000000zz")))


def test_the_last_part_ended_completes_the_request_once(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=12)
    unpack(world, request_id, archive)

    world.thaw_files(ThawFiles(correlation_id="x", request_id=request_id))
    world.thaw_files(ThawFiles(correlation_id="x", request_id=request_id))

    completed = [event for event in world.told() if isinstance(event, RestoreCompleted)]
    assert [event.outcome for event in completed] == [Outcome.COMPLETED]


def test_an_ended_request_says_what_it_has_cost_beside_its_estimate(world: World) -> None:
    archive = world.vault.put(0, {"a.csv": 5_000_000, "b.csv": 1}, size_bytes=4_000_000)
    first = world.post(filename="a.csv")
    second = world.post(filename="b.csv")
    world.drain()
    before = world.describe(first, limit=10, token=None)["cost"]
    for request_id in (first, second):
        unpack(world, request_id, archive)

    asked, joined = (world.describe(request_id, limit=10, token=None) for request_id in (first, second))

    assert before is None
    assert asked["cost"]["total_usd"] == pytest.approx(asked["estimate"]["total_usd"])
    assert joined["cost"]["retrieval_usd"] == 0  # it joined the other's thaw
    assert 0 < joined["cost"]["total_usd"] < joined["estimate"]["total_usd"]


def test_what_a_longer_stay_of_a_copy_costs_is_quoted_and_counted(world: World) -> None:
    archive = world.vault.put(0, {"a.csv": 1, "b.csv": 1}, size_bytes=4_000_000)
    world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)
    with pytest.raises(Problem, match="above max_cost_usd"):
        world.post(filename="b.csv", days=365, max_cost_usd=0.001)

    extended = world.post(filename="b.csv", days=365, max_cost_usd=0.002)
    world.drain()
    unpack(world, extended, archive)

    status = world.describe(extended, limit=10, token=None)
    fee, file = 0.10 / 1000, (0.0004 + 0.005) / 1000
    expiry = datetime(2026, 7, 5, tzinfo=UTC)  # of the copy that was there
    added = timedelta(days=365) - (expiry - world.s3.now)
    for lines in (status["estimate"], status["cost"]):
        assert lines["retrieval_usd"] == 0
        assert lines["requests_usd"] == pytest.approx(fee + file)
        assert lines["temporary_copy_usd"] == pytest.approx(
            (4_000_000 * (added / timedelta(days=1)) + 14) / 1024**3 * 0.023 / 30
        )


def test_a_copy_that_has_lapsed_is_quoted_as_none(world: World) -> None:
    world.vault.put(0, ["a.csv"], size_bytes=4_000_000)
    cold = world.describe(world.post(filename="a.csv"), limit=1, token=None)["estimate"]
    world.s3.head_object = _with_restore_header(  # type: ignore[method-assign]
        world, 'ongoing-request="false", expiry-date="Wed, 01 Jul 2026 00:00:00 GMT"'
    )

    lapsed = world.describe(world.post(filename="a.csv"), limit=1, token=None)["estimate"]

    assert lapsed == cold


def _with_restore_header(world: World, header: str) -> Callable[..., dict[str, Any]]:
    """HEAD as S3 answers it between a copy's expiry and its removal."""
    head_object = world.s3.head_object
    return lambda **arguments: {**head_object(**arguments), "Restore": header}


def test_an_upgrade_costs_its_request_and_the_thaw_stays_the_first_ones(world: World) -> None:
    archive = world.vault.put(0, {"a.csv": 1, "b.csv": 1}, size_bytes=4_000_000)
    slow = world.post(filename="a.csv", retrieval_tier="Bulk")
    world.drain()
    fast = world.post(filename="b.csv", retrieval_tier="Standard")
    world.drain()
    for request_id in (slow, fast):
        unpack(world, request_id, archive)

    asked, sped_up = (world.describe(request_id, limit=10, token=None)["cost"] for request_id in (slow, fast))

    file = (0.0004 + 0.005) / 1000
    assert asked["retrieval_usd"] == pytest.approx(4_000_000 / 1024**3 * 0.0025)
    assert asked["requests_usd"] == pytest.approx(0.025 / 1000 + file)
    assert sped_up["retrieval_usd"] == 0
    assert sped_up["requests_usd"] == pytest.approx(0.10 / 1000 + file)


def test_a_thaw_after_a_lapsed_copy_is_paid_on_top(world: World) -> None:
    archive = world.vault.put(0, {"a.csv": 1}, size_bytes=4_000_000)
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(days=6)
    world.sweep(at_most=100)
    unpack(world, request_id, archive)

    cost = world.describe(request_id, limit=10, token=None)["cost"]

    assert cost["retrieval_usd"] == pytest.approx(2 * 4_000_000 / 1024**3 * 0.02)
    assert cost["requests_usd"] == pytest.approx(2 * 0.10 / 1000 + (0.0004 + 0.005) / 1000)


# The sweeper: a lost event costs time, not the restore.


def test_a_lost_first_message_is_made_good(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.lose_messages()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert any(isinstance(event, RestoreAccepted) for event in world.told())


def test_nothing_is_looked_at_before_its_time(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.drain()

    world.s3.advance(minutes=14)

    assert world.sweep(at_most=100) == 0


def test_an_archive_is_not_asked_about_until_its_thaw_should_be_over(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=1)
    world.post(filename="b.csv")  # joins
    world.drain()
    about_it = ("HeadObject", f"archives/demo/{archive}.zip")
    heads = world.s3.asked.count(about_it)

    for _ in range(11 * 4):  # to the expected time
        world.s3.advance(minutes=15)
        world.sweep(at_most=100)

    assert world.s3.asked.count(about_it) == heads
    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    assert world.s3.asked.count(about_it) == heads + 2  # one for each that waits


def test_a_lost_completion_event_is_made_good(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.drain()
    world.s3.advance(hours=12)
    world.told()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)

    readable = [event for event in world.told() if isinstance(event, ArchiveReadable)]
    assert [event.archive_id for event in readable] == [archive]


def test_a_copy_that_came_as_it_was_asked_for_is_not_extended_when_somebody_looks_late(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)  # nobody has heard of it: three days from now it will not be there any more
    world.told()

    world.sweep(at_most=100)
    unpack(world, request_id, archive)

    assert asked_to_thaw(world) == 1
    assert any(isinstance(event, ArchiveReadable) for event in world.told())
    status = world.describe(request_id, limit=1, token=None)
    assert status["cost"]["total_usd"] == pytest.approx(status["estimate"]["total_usd"])


def test_a_copy_that_was_extended_is_not_extended_again_when_somebody_looks_late(world: World) -> None:
    world.vault.put(0, ["a.csv", "b.csv"])
    world.post(filename="a.csv", days=3)
    world.drain()
    world.s3.advance(days=2)
    world.post(filename="b.csv", days=5)
    world.drain()

    world.s3.advance(days=2)
    world.sweep(at_most=100)

    assert asked_to_thaw(world) == 2


def test_a_copy_that_expired_before_it_was_read_is_thawed_again(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(days=6)

    world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert asked_to_thaw(world) == 2


def test_a_part_sent_back_by_the_unpacker_is_thawed_again_at_the_next_sweep(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.s3.advance(days=6)
    world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    world.ledger.thaw_again(request_id, archive)

    world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING


def test_a_thaw_that_takes_longer_than_expected_is_waited_for(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    slow = {"Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
    world.s3.restore_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip", RestoreRequest=slow)
    request_id = world.post(filename="a.csv")
    world.drain()

    for _ in range(3):
        world.s3.advance(hours=15)
        world.sweep(at_most=100)

    assert part_state(world, request_id, archive) is PartState.THAWING
    assert asked_to_thaw(world) == 1
    world.s3.advance(hours=4)
    world.sweep(at_most=100)
    assert any(isinstance(event, ArchiveReadable) for event in world.told())


def test_an_end_that_nobody_announced_is_announced(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    unpack(world, request_id, archive, settled=False)
    world.told()

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.sweep(at_most=100)

    assert [event.name for event in world.told()] == ["RestoreCompleted.v1"]
    world.s3.advance(days=1)
    world.sweep(at_most=100)
    world.s3.advance(days=1)
    assert world.sweep(at_most=100) == 0  # nothing waits any more
    assert world.told() == []


def test_sweeping_looks_at_a_bounded_number_the_longest_overdue_first(world: World) -> None:
    for number in range(3):
        world.vault.put(number, [f"{number}.csv"])
        world.post(filename=f"{number}.csv")
        world.s3.advance(minutes=1)
    world.lose_messages()
    world.s3.advance(minutes=20)

    assert world.sweep(at_most=4) == 4
    assert world.sweep(at_most=4) == 2
    assert world.sweep(at_most=4) == 0


def test_one_that_fails_does_not_keep_the_others_waiting(world: World) -> None:
    broken = world.vault.put(0, ["a.csv"])
    world.post(filename="a.csv")
    world.s3.advance(seconds=1)
    fine = world.vault.put(1, ["b.csv"])
    second = world.post(filename="b.csv")
    world.lose_messages()
    world.s3.refuse(f"archives/demo/{broken}.zip", "AccessDenied")
    world.s3.advance(minutes=20)

    with pytest.raises(ClientError, match="AccessDenied"):
        world.sweep(at_most=100)

    assert part_state(world, second, fine) is PartState.THAWING


def test_one_archive_that_cannot_be_asked_about_does_not_keep_its_requests_others_waiting(world: World) -> None:
    broken = world.vault.put(0, ["a.csv"])
    fine = world.vault.put(1, ["b.csv"])
    request_id = world.post(filename="a.csv,b.csv")
    world.s3.refuse(f"archives/demo/{broken}.zip", "AccessDenied")

    with pytest.raises(ClientError, match="AccessDenied"):
        world.drain()

    assert part_state(world, request_id, fine) is PartState.THAWING


def test_a_queue_that_takes_nothing_leaves_an_accepted_request_to_the_sweeper(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    world.queue.closed = True
    request_id = world.post(filename="a.csv")
    world.queue.closed = False

    world.s3.advance(minutes=15)
    world.sweep(at_most=100)
    world.drain()

    assert part_state(world, request_id, archive) is PartState.THAWING


def test_a_request_of_which_nothing_is_archived_ends_at_once_and_says_so(world: World) -> None:
    request_id = world.post(filename="a.csv,b.csv", allow_missing=True)

    world.drain()

    [accepted, ended] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    assert isinstance(ended, RestoreCompleted)
    assert (ended.outcome, ended.missing, ended.reason) == (Outcome.FAILED, 2, "no archive holds what was asked for")
    assert ended.missing_names == ("a.csv", "b.csv")
    assert world.describe(request_id, limit=10, token=None)["missing"] == ["a.csv", "b.csv"]


# Cancelling.


def test_a_cancelled_part_does_not_disturb_others_waiting_for_the_same_archive(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    given_up = world.post(filename="a.csv")
    kept = world.post(filename="b.csv")
    world.drain()

    answer = world.cancel(given_up)

    assert answer["state"] == "CANCELLED"
    assert part_state(world, given_up, archive) is PartState.CANCELLED
    assert part_state(world, kept, archive) is PartState.THAWING
    assert world.ledger.waiting_requests(archive) == (kept,)
    [ended] = [event for event in world.told() if isinstance(event, RestoreCompleted)]
    assert (ended.request_id, ended.outcome) == (given_up, Outcome.CANCELLED)


def test_cancelling_twice_is_harmless_and_told_once(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")

    first = world.cancel(request_id)
    second = world.cancel(request_id)
    world.drain()

    assert first["state"] == second["state"] == "CANCELLED"
    assert len([event for event in world.told() if isinstance(event, RestoreCompleted)]) == 1
    assert asked_to_thaw(world) == 0


def test_a_request_that_has_ended_cannot_be_cancelled(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    unpack(world, request_id, archive)
    world.thaw_files(ThawFiles(correlation_id="x", request_id=request_id))

    with pytest.raises(Problem, match="has ended: it is COMPLETED"):
        world.cancel(request_id)


def test_a_cancelled_request_is_not_resolved_any_further(world: World) -> None:
    names = [f"{number}.csv" for number in range(45)]
    for number, name in enumerate(names):
        world.vault.put(number, [name])
    request_id = world.post(filename=names)  # too many archives to be recorded in the call

    world.cancel(request_id)
    world.drain()

    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.parts) == (RequestState.CANCELLED, 0)
    assert world.requests.parts(request_id) == ()


def test_what_was_restored_before_the_cancelling_stays_restored(world: World) -> None:
    first = world.vault.put(0, ["a.csv"])
    world.vault.put(1, ["b.csv"])
    request_id = world.post(filename="a.csv,b.csv")
    world.drain()
    unpack(world, request_id, first)

    world.cancel(request_id)

    files = world.files(request_id)
    assert {key: file["state"] for key, file in files.items()} == {"a.csv": "RESTORED", "b.csv": "CANCELLED"}


@pytest.mark.slow
def test_a_lost_list_stops_neither_the_status_nor_the_resolving(world: World) -> None:
    """The newer archive's list is lost half-way: the older version does not take the place of the newer one, which fails."""
    older = world.vault.put(0, [f"in/{number:03}" for number in range(3)])
    newer = [
        world.vault.put(number, ["in/001", f"in/{number:03}x"], sealed_at=SEALED_AT + timedelta(days=1))
        for number in range(1, 60)
    ]
    request_id = world.post(prefix="in/")
    [body] = [message["Body"] for message in world.sqs.receive_message(QueueUrl=world.queue_url)["Messages"]]
    message = read_body(body, COMMANDS)
    assert isinstance(message, ThawFiles)
    world.thaw_files(message)
    recorded = {part.archive_id for part in world.requests.parts(request_id)}
    assert older not in recorded
    keepers = [
        a for a in newer if a in recorded and "in/001" in {f.key for f in world.ledger.documents.wanted(request_id, a)}
    ]
    boto3.client("s3").delete_object(Bucket="work", Key=part_key(request_id, keepers[0]))

    world.describe(request_id, limit=1000, token=None)
    world.drain()

    wanted = [file.key for file in world.ledger.documents.wanted(request_id, older)]
    assert wanted == ["in/000", "in/002"]
