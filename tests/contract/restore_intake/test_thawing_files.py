"""From POST to a readable archive, against S3 as it really behaves."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from fakes.restore_steps import asked_to_thaw, part_state, unpack
from fakes.restore_world import World
from fakes.strict_thaw import START
from fakes.vault import SEALED_AT, VAULT
from glaciate.contracts import read_body
from glaciate.errors import Permanent
from glaciate.events import ArchiveReadable, Outcome, RestoreAccepted, RestoreCompleted
from glaciate.messages import COMMANDS, ThawFiles
from glaciate.names import RequestId, part_key
from glaciate.restores import PartState, RequestState


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


def test_a_request_of_which_nothing_is_archived_ends_at_once_and_says_so(world: World) -> None:
    request_id = world.post(filename="a.csv,b.csv", allow_missing=True)

    world.drain()

    [accepted, ended] = world.told()
    assert isinstance(accepted, RestoreAccepted)
    assert isinstance(ended, RestoreCompleted)
    assert (ended.outcome, ended.missing, ended.reason) == (Outcome.FAILED, 2, "no archive holds what was asked for")
    assert ended.missing_names == ("a.csv", "b.csv")
    assert world.describe(request_id, limit=10, token=None)["missing"] == ["a.csv", "b.csv"]


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
