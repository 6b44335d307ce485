"""What a restore is quoted, and what it has cost."""

from datetime import UTC, datetime, timedelta

import pytest

from fakes.restore_steps import unpack
from fakes.restore_world import World
from glaciate.errors import Problem


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


def test_a_copy_that_has_lapsed_is_quoted_as_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.vault.put(0, ["a.csv"], size_bytes=4_000_000)
    cold = world.describe(world.post(filename="a.csv"), limit=1, token=None)["estimate"]
    head_object = world.s3.head_object  # as S3 answers between a copy's expiry and its removal
    header = 'ongoing-request="false", expiry-date="Wed, 01 Jul 2026 00:00:00 GMT"'
    monkeypatch.setattr(world.s3, "head_object", lambda **arguments: {**head_object(**arguments), "Restore": header})

    lapsed = world.describe(world.post(filename="a.csv"), limit=1, token=None)["estimate"]

    assert lapsed == cold


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
