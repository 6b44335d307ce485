"""The worker dies before each single call it makes, from the request to its announced end; then the message comes back, or the sweeper
comes by. Each time the restore finishes, S3 is asked to thaw once, and nothing is left waiting."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from fakes.executioner import Executioner, executioner_of
from fakes.restore_world import World, restore_world
from faults import until_nobody_dies
from glaciate.events import RestoreAccepted, RestoreCompleted, RestoreExpiryApproached
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId
from glaciate.restores import PartState, RequestState
from glaciate.tables import (
    EXPIRING_LIST,
    PART_PREFIX,
    REQUEST_ITEM,
    WAITING_LIST,
    ExpiringRow,
    PartRow,
    RequestRow,
    WaiterRow,
)

pytestmark = pytest.mark.slow

GB = 1024**3
ARCHIVE_GB, FILE_GB = 1000 / GB, 10 / GB
FEE_USD, BULK_FEE_USD = 0.10 / 1000, 0.025 / 1000  # of a RestoreObject, by the price file
FILE_USD = (0.0004 + 0.005) / 1000  # its GET and its PUT
MONTH_USD = 0.023  # a GB in Standard


@pytest.fixture
def world() -> Iterator[World]:
    with restore_world() as world:
        yield world


@pytest.fixture
def executioner(world: World, monkeypatch: pytest.MonkeyPatch) -> Executioner:
    return executioner_of(world, monkeypatch)


@dataclass
class Trial:
    """One file's restore, with one death somewhere."""

    world: World
    executioner: Executioner
    archive: ArchiveId
    name: str
    died: bool = False

    def survive(self, step: Callable[[], Any], *, strikes_at: int | None) -> None:
        """The step, and where it dies, the step again: the caller repeats, the message comes back."""
        self.died |= self.executioner.survive(step, strikes_at=strikes_at)

    def post(self) -> RequestId:
        return self.world.post(filename=self.name)

    def thaw(self) -> None:
        handle(self.world, self.world.commands())

    def unpack(self) -> None:
        self.world.unpack_for_all(self.archive)

    def sweep_until_quiet(self) -> None:
        self.world.sweep_until_quiet(self.unpack_if_readable)

    def unpack_if_readable(self) -> None:
        if self.world.s3.completions():
            self.unpack()

    def check(self) -> None:
        world = self.world
        page = world.list_restores("demo", limit=100, token=None)
        requests = [entry for entry in page["requests"] if entry["wanted"] == self.name]
        told = world.told()
        accepted = {event.request_id for event in told if isinstance(event, RestoreAccepted)}
        completed = {event.request_id for event in told if isinstance(event, RestoreCompleted)}
        assert requests
        assert {entry["request_id"] for entry in requests} == completed
        assert (
            accepted
        )  # not of every request: one recorded by a call that died may end with the other's thaw, before its turn
        assert accepted <= completed
        assert {entry["state"] for entry in requests} == {RequestState.COMPLETED}
        assert {entry["counts"]["restored"] for entry in requests} == {1}
        assert list(WaiterRow.listing.query(WAITING_LIST)) == []
        self.check_nothing_is_kept_for_good([entry["request_id"] for entry in requests])
        begun = [event for event in world.s3.told if event["detail-type"] == "Object Restore Initiated"]
        assert [event["detail"]["object"]["key"] for event in begun] == [f"archives/demo/{self.archive}.zip"]
        self.check_costs([entry["request_id"] for entry in requests])

    def check_expected(self) -> None:
        """What thaws now is expected when the tier of the thaw says so, whoever asked for it; and something thaws."""
        [begun] = [event["time"] for event in self.world.s3.told if event["detail-type"] == "Object Restore Initiated"]
        by = datetime.fromisoformat(begun) + timedelta(hours=12)
        waiting = self.world.ledger.waiting_requests(self.archive)
        parts = [part for one in waiting if (part := self.world.ledger.part(one, self.archive)) is not None]
        thawing = [part for part in parts if part.state is PartState.THAWING]
        assert {part.expected_by for part in thawing} == {by}
        requests = [self.world.requests.get(part.request_id) for part in thawing]
        assert {request.expected_by for request in requests if request} == {by}

    def check_costs(self, request_ids: list[RequestId]) -> None:
        """One thaw in all, whoever asked for it, and each request its own file."""
        costs = [self.cost(request_id) for request_id in request_ids]
        assert sum(cost["retrieval_usd"] for cost in costs) == pytest.approx(ARCHIVE_GB * 0.02)
        assert sum(cost["requests_usd"] for cost in costs) == pytest.approx(FEE_USD + len(costs) * FILE_USD)
        copies = ARCHIVE_GB * 3 + len(costs) * FILE_GB * 14
        assert sum(cost["temporary_copy_usd"] for cost in costs) == pytest.approx(copies * MONTH_USD / 30)
        assert max(cost["retrieval_usd"] for cost in costs) == pytest.approx(ARCHIVE_GB * 0.02)  # nor split

    def cost(self, request_id: RequestId) -> dict[str, float]:
        status = self.world.describe(request_id, limit=1, token=None)
        cost: dict[str, float] = status["cost"]
        return cost

    def check_nothing_is_kept_for_good(self, request_ids: list[RequestId]) -> None:
        for request_id in request_ids:
            request = RequestRow.get(request_id, REQUEST_ITEM)
            parts = list(PartRow.query(request_id, PartRow.item.startswith(PART_PREFIX)))
            assert request.expires_at > request.available_until
            assert {part.expires_at for part in parts} == {request.expires_at}


def run(world: World, executioner: Executioner, number: int, **strikes: int) -> Trial:
    world.s3.told.clear()
    trial = Trial(world, executioner, world.vault.put(number, [f"{number}.csv"]), f"{number}.csv")
    trial.survive(trial.post, strikes_at=strikes.get("post"))
    commands = world.commands()
    trial.survive(lambda: handle(world, commands), strikes_at=strikes.get("thaw"))
    trial.check_expected()
    world.s3.advance(hours=13)
    trial.survive(trial.unpack, strikes_at=strikes.get("unpack"))
    trial.sweep_until_quiet()
    return trial


@pytest.mark.parametrize("step", ["post", "thaw", "unpack"])
def test_a_death_before_any_call_costs_time_and_nothing_else(world: World, executioner: Executioner, step: str) -> None:
    def attempt(deaths: int) -> bool:
        trial = run(world, executioner, deaths, **{step: deaths})
        trial.check()
        return trial.died

    until_nobody_dies(attempt, at_least=5)


def test_a_death_of_the_sweeper_that_mends_a_lost_message_costs_time_and_nothing_else(
    world: World, executioner: Executioner
) -> None:
    def attempt(deaths: int) -> bool:
        world.s3.told.clear()
        trial = Trial(world, executioner, world.vault.put(deaths, [f"{deaths}.csv"]), f"{deaths}.csv")
        trial.post()
        world.lose_messages()
        world.s3.advance(minutes=16)
        trial.survive(lambda: world.sweep(at_most=100), strikes_at=deaths)
        trial.thaw()
        trial.check_expected()
        world.s3.advance(hours=13)
        trial.sweep_until_quiet()
        trial.check()
        return trial.died

    until_nobody_dies(attempt, at_least=10)


def begin(world: World, executioner: Executioner, number: int, **body: Any) -> Trial:
    """A restore of the first of an archive's two files, its thaw asked for."""
    world.s3.told.clear()
    archive = world.vault.put(number, [f"{number}.csv", f"{number}.more.csv"])
    trial = Trial(world, executioner, archive, f"{number}.csv")
    world.post(filename=trial.name, **body)
    trial.thaw()
    return trial


def handle(world: World, commands: Iterable[ThawFiles]) -> None:
    for command in commands:
        world.thaw_files(command)


def thaw_dying(trial: Trial, *, strikes_at: int) -> None:
    """Handles what waits on the thaw queue, and again where that dies."""
    messages = trial.world.commands()
    trial.survive(lambda: handle(trial.world, messages), strikes_at=strikes_at)


def _requests(world: World) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = world.list_restores("demo", limit=100, token=None)["requests"]
    return requests


def test_a_death_while_a_thaw_is_sped_up_neither_loses_nor_doubles_its_cost(
    world: World, executioner: Executioner
) -> None:
    def attempt(deaths: int) -> bool:
        trial = begin(world, executioner, deaths, retrieval_tier="Bulk")
        world.s3.advance(hours=1)
        asked_at = world.s3.now
        fast = world.post(filename=f"{deaths}.more.csv", retrieval_tier="Standard")

        thaw_dying(trial, strikes_at=deaths)
        part = world.ledger.part(fast, trial.archive)
        world.s3.advance(hours=13)
        trial.sweep_until_quiet()

        assert part is not None
        assert part.expected_by == asked_at + timedelta(hours=12)
        cost = trial.cost(fast)
        assert cost["retrieval_usd"] == 0
        assert cost["requests_usd"] == pytest.approx(FEE_USD + FILE_USD)
        [slow] = [entry for entry in _requests(world) if entry["wanted"] == trial.name]
        assert trial.cost(slow["request_id"])["retrieval_usd"] == pytest.approx(ARCHIVE_GB * 0.0025)
        assert trial.cost(slow["request_id"])["requests_usd"] == pytest.approx(BULK_FEE_USD + FILE_USD)
        return trial.died

    until_nobody_dies(attempt, at_least=10)


def test_a_death_while_a_copy_is_extended_neither_loses_nor_doubles_its_cost(
    world: World, executioner: Executioner
) -> None:
    def attempt(deaths: int) -> bool:
        trial = begin(world, executioner, deaths)
        world.s3.advance(hours=13)
        trial.unpack()
        world.s3.advance(days=2)
        longer = world.post(filename=f"{deaths}.more.csv", days=9)
        quoted = world.describe(longer, limit=1, token=None)["estimate"]

        thaw_dying(trial, strikes_at=deaths)
        trial.unpack()

        assert quoted["temporary_copy_usd"] > ARCHIVE_GB * 6 * MONTH_USD / 30
        cost = trial.cost(longer)
        assert cost == pytest.approx({line: quoted[line] for line in cost})
        assert cost["requests_usd"] == pytest.approx(FEE_USD + FILE_USD)
        return trial.died

    until_nobody_dies(attempt, at_least=9)


def test_a_death_while_another_request_asks_for_the_same_archive_leaves_one_thaw_to_pay(
    world: World, executioner: Executioner
) -> None:
    def attempt(deaths: int) -> bool:
        world.s3.told.clear()
        archive = world.vault.put(deaths, [f"{deaths}.csv", f"{deaths}.more.csv"])
        trial = Trial(world, executioner, archive, f"{deaths}.csv")
        first = trial.post()
        firsts = world.commands()
        other = world.post(filename=f"{deaths}.more.csv")
        others = world.commands()

        trial.died = executioner.kills(lambda: handle(world, firsts), strikes_at=deaths)
        for commands in (others, firsts, others):
            handle(world, commands)
        world.s3.advance(hours=13)
        trial.unpack()

        trial.check_costs([first, other])
        return trial.died

    until_nobody_dies(attempt, at_least=10)


def test_what_was_asked_for_counts_where_the_files_came_before_anybody_looked_again(
    world: World, executioner: Executioner
) -> None:
    thaws = []

    def attempt(deaths: int) -> bool:
        world.s3.told.clear()
        trial = Trial(world, executioner, world.vault.put(deaths, [f"{deaths}.csv"]), f"{deaths}.csv")
        request_id = trial.post()
        messages = world.commands()
        trial.died = executioner.kills(lambda: handle(world, messages), strikes_at=deaths)
        if world.s3.told:
            thaws.append(request_id)
            world.s3.advance(hours=13)
            trial.unpack()
            trial.check_costs([request_id])
        return trial.died

    deaths = until_nobody_dies(attempt, at_least=4)
    assert 3 <= len(thaws) < deaths


@pytest.mark.slow
def test_a_death_of_the_sweeper_that_reminds_costs_no_reminder(world: World, executioner: Executioner) -> None:
    def attempt(deaths: int) -> bool:
        trial = run(world, executioner, deaths)
        [request_id] = {event.request_id for event in world.told() if isinstance(event, RestoreCompleted)}
        expiry = RequestRow.get(request_id, REQUEST_ITEM).available_until
        world.s3.advance(seconds=(expiry - world.s3.now).total_seconds() - 12 * 3600)

        trial.survive(lambda: world.sweep(at_most=100), strikes_at=deaths)
        world.sweep(at_most=100)

        reminders = [event for event in world.told() if isinstance(event, RestoreExpiryApproached)]
        assert {event.request_id for event in reminders} == {request_id}
        assert len(reminders) <= 2  # told again where the sweeper died before it noted so: the notifier knows the fact
        assert list(ExpiringRow.listing.query(EXPIRING_LIST)) == []
        assert trial.died or len(reminders) == 1
        return trial.died

    until_nobody_dies(attempt, at_least=4)
