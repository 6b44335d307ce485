"""By when a restore is expected: what the call, the messages and the status say, whatever runs already."""

from datetime import datetime, timedelta

import pytest

from fakes.restore_steps import asked_to_thaw, part_state, unpack
from fakes.restore_world import World
from fakes.strict_thaw import START
from fakes.vault import VAULT
from glaciate.events import RestoreAccepted
from glaciate.requests import RestoreRequest, Tier
from glaciate.restores import PartState
from restore_intake.domain.thawing import Thaw


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
