"""What `GET /restore/{request_id}` says at each stage, of the request, of its parts and of their files."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from described import require_as
from fakes.restore_world import World
from fakes.strict_thaw import START
from fakes.vault import VAULT
from glaciate.answers import FoundFiles, RestoreList, RestoreStatus, RestoreSummary
from glaciate.names import ArchiveId, RequestId, part_result_key
from glaciate.parts import FileResult
from glaciate.restores import PartState
from restore_intake.domain.queries import FilesQuery, read_query

TWELVE_HOURS = START + timedelta(hours=12)
READABLE_UNTIL = datetime(2026, 7, 6, tzinfo=UTC)


def described(world: World, request_id: RequestId) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The request, its only part, and the first file."""
    status = world.describe(request_id, limit=10, token=None)
    require_as(RestoreStatus, status)
    [part] = status["parts"]
    return status, part, status["files"][0]


def end(world: World, request_id: RequestId, archive: ArchiveId, results: tuple[FileResult, ...]) -> None:
    """What the unpacker does at the end of a part."""
    world.ledger.documents.put_results(request_id, archive, results)
    failed = sum(result.state == "FAILED" for result in results)
    state = PartState.COMPLETED if not failed else PartState.PARTIAL
    world.ledger.end_part(request_id, archive, state=state, restored=len(results) - failed, failed=failed)
    world.ledger.settle(request_id, archive, tell=world.bus.publish)


def test_what_thaws_says_since_when_and_by_when_it_is_expected(world: World) -> None:
    archive = world.vault.put(0, {"a.csv": 7})
    request_id = world.post(filename="a.csv")

    waiting, pending, waiting_file = described(world, request_id)
    world.drain()
    status, part, file = described(world, request_id)

    assert (waiting["state"], waiting["expected_by"]) == ("ACCEPTED", TWELVE_HOURS)
    assert (pending["state"], pending["asked_at"], waiting_file["state"]) == ("PENDING", None, "PENDING")
    assert (status["state"], status["expected_by"], status["accepted_at"]) == ("THAWING", TWELVE_HOURS, START)
    assert (part["archive_id"], part["state"]) == (archive, "THAWING")
    assert (part["asked_at"], part["expected_by"], part["readable_until"]) == (START, TWELVE_HOURS, None)
    assert file == {
        "key": "a.csv",
        "size": 7,
        "state": "THAWING",
        "location": None,
        "available_until": None,
        "expected_by": TWELVE_HOURS,
        "reason": None,
    }


def test_what_is_unpacked_says_until_when_it_can_be_read_and_will_stay(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "b.csv"])
    request_id = world.post(archive_id=archive)
    world.drain()
    destination = world.ledger.documents.wanted(request_id, archive)[0].destination

    world.ledger.begin_unpacking(request_id, archive, readable_until=READABLE_UNTIL)
    _, unpacking, _ = described(world, request_id)
    end(
        world,
        request_id,
        archive,
        (
            FileResult("a.csv", destination, "RESTORED", 3),
            FileResult("b.csv", "elsewhere", "FAILED", 3, "its CRC-32 does not match"),
        ),
    )
    status, part, restored = described(world, request_id)
    failed = status["files"][1]

    stays = datetime(2026, 7, 16, tzinfo=UTC)  # 14 days, and on to the next midnight
    for stage in (unpacking, part):
        assert (stage["readable_until"], stage["available_until"]) == (READABLE_UNTIL, stays)
    assert (part["state"], part["restored"], part["failed"]) == ("PARTIAL", 1, 1)
    assert (status["state"], status["finished_at"], status["available_until"]) == ("PARTIAL", START, stays)
    assert (restored["state"], restored["location"]) == ("RESTORED", f"s3://restored/{destination}")
    assert (restored["available_until"], restored["expected_by"], restored["reason"]) == (stays, None, None)
    assert (failed["state"], failed["location"], failed["available_until"]) == ("FAILED", None, None)
    assert failed["reason"] == "its CRC-32 does not match"


def test_a_file_of_a_part_that_failed_as_a_whole_says_the_parts_reason(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.s3.delete_object(Bucket=VAULT, Key=f"archives/demo/{archive}.zip")
    world.drain()

    _, part, file = described(world, request_id)

    why = f"the archive s3://{VAULT}/archives/demo/{archive}.zip is not in the vault any more"
    assert (part["state"], part["reason"]) == ("FAILED", why)
    assert (file["state"], file["reason"], file["location"]) == ("FAILED", why, None)


def test_a_file_of_a_cancelled_part_is_cancelled(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()

    require_as(RestoreSummary, world.cancel(request_id))
    status, part, file = described(world, request_id)

    assert (status["state"], part["state"], file["state"]) == ("CANCELLED", "CANCELLED", "CANCELLED")
    assert (file["location"], file["available_until"]) == (None, None)


def test_a_damaged_list_of_results_leaves_the_counts_to_tell(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv")
    world.drain()
    world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    end(world, request_id, archive, (FileResult("a.csv", "x", "RESTORED", 3),))
    boto3.client("s3").put_object(Bucket="work", Key=part_result_key(request_id, archive), Body=b"no gzip")

    status = world.describe(request_id, limit=10, token=None)

    require_as(RestoreStatus, status)
    assert (status["files"], status["parts"][0]["restored"], status["counts"]["restored"]) == ([], 1, 1)


def test_lists_answer_what_is_described_whatever_state_an_archive_is_in(world: World) -> None:
    for number, storage_class in enumerate(("DEEP_ARCHIVE", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "DEEP_ARCHIVE")):
        world.vault.put(number, [f"d/{number}.csv"], storage_class=storage_class)
    world.post(filename="d/0.csv")
    world.drain()
    world.s3.advance(hours=13)
    world.post(filename="d/2.csv", days=9)
    world.drain()
    gone = world.vault.put(9, ["d/gone.csv"])
    world.s3.delete_object(Bucket=VAULT, Key=f"archives/demo/{gone}.zip")

    found = [search(world, prefix="d/"), search(world, filename="gone.csv,d/0.csv"), search(world, key="d/1.csv")]
    listed = world.list_restores("demo", limit=10, token=None)

    for page in found:
        require_as(FoundFiles, page)
    require_as(RestoreList, listed)
    assert {file["readable"].value for file in found[0]["files"]} == {"WARM", "READABLE", "THAWING", "COLD", "GONE"}
    assert len(listed["requests"]) == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"added": 1},
        {"requests": []},
        {"next_token": 7},
        {"requests": [{"request_id": "r-1"}], "next_token": None},
    ],
)
def test_an_answer_that_is_not_as_described_is_noticed(broken: dict[str, Any]) -> None:
    whole = {"requests": [], "next_token": None}
    require_as(RestoreList, whole)

    with pytest.raises((AssertionError, ValidationError)):
        require_as(RestoreList, broken if "requests" in broken else {**whole, **broken})


def search(world: World, **query: str) -> dict[str, Any]:
    given = {name: [value] for name, value in query.items()}
    return world.list_files(read_query(FilesQuery, {"project_name": ["demo"], **given}))
