"""`to: original`: who may, what is recorded, and what the status says."""

from datetime import timedelta
from typing import Any

import pytest

from fakes.restore_world import World
from fakes.strict_thaw import START
from fakes.vault import SOURCE
from glaciate.errors import Problem
from glaciate.events import RestoreCompleted
from glaciate.holds import DynamoHolds
from glaciate.jobs import JobOrder
from glaciate.names import ArchiveId, ProjectName, RequestId, job_of
from glaciate.parts import FileResult, WantedFile
from glaciate.requests import Compression, StorageClass
from glaciate.restores import PartState
from glaciate.tables import JOB_ITEM, JobRow

DEMO = ProjectName("demo")
OTHER = "other-bucket"


@pytest.fixture(autouse=True)
def allowed(world: World) -> None:
    world.projects.originals = (SOURCE,)


def wanted(world: World, request_id: RequestId) -> list[WantedFile]:
    parts = world.requests.parts(request_id)
    return [file for part in parts for file in world.ledger.documents.wanted(request_id, part.archive_id)]


def refused(world: World, **body: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        world.post(**body)
    assert world.list_restores("demo", limit=10, token=None)["requests"] == []
    return caught.value


def unpack(world: World, request_id: RequestId, archive: ArchiveId) -> None:
    world.ledger.begin_unpacking(request_id, archive, readable_until=None)
    results = tuple(
        FileResult(file.key, file.destination, "RESTORED", file.size, bucket=file.bucket)
        for file in world.ledger.documents.wanted(request_id, archive)
    )
    world.ledger.documents.put_results(request_id, archive, results)
    world.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=len(results), failed=0)
    world.ledger.settle(request_id, archive, tell=world.bus.publish)


def test_each_file_is_wanted_at_its_own_bucket_and_key_over_nothing(world: World) -> None:
    world.vault.put(0, ["in/a.csv", "in/b.csv"])

    request_id = world.post(prefix="in/", to="original")

    assert [(file.bucket, file.destination, file.replaces) for file in wanted(world, request_id)] == [
        (SOURCE, "in/a.csv", None),
        (SOURCE, "in/b.csv", None),
    ]


def test_overwrite_reaches_no_further_than_the_moment_of_asking(world: World) -> None:
    world.vault.put(0, ["a.csv"])

    request_id = world.post(filename="a.csv", to="original", overwrite=True)

    assert [file.replaces for file in wanted(world, request_id)] == [START]


def test_a_status_says_where_the_files_are_and_that_they_stay(world: World) -> None:
    archive = world.vault.put(0, ["in/a.csv"])
    request_id = world.post(filename="in/a.csv", to="original")
    world.drain()
    unpack(world, request_id, archive)

    status = world.describe(request_id, limit=10, token=None)

    assert (status["to"], status["overwrite"], status["location"]) == ("original", False, f"s3://{SOURCE}/")
    assert (status["files"][0]["location"], status["files"][0]["available_until"]) == (f"s3://{SOURCE}/in/a.csv", None)
    assert status["available_until"] is None


def test_files_that_stay_are_not_said_to_expire(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    request_id = world.post(filename="a.csv", to="original")
    world.drain()
    unpack(world, request_id, archive)
    ended = [event for event in world.told() if isinstance(event, RestoreCompleted)]

    world.s3.advance(days=60)
    world.sweep(at_most=10)

    assert [(event.location, event.available_until) for event in ended] == [(f"s3://{SOURCE}/", None)]
    assert world.told() == []


def test_the_estimate_holds_no_storage_of_restored_files(world: World) -> None:
    world.vault.put(0, {"a.csv": 10**9}, storage_class="STANDARD")

    back, beside = (
        world.describe(world.post(filename="a.csv", **to), limit=1, token=None)["estimate"]
        for to in ({"to": "original"}, {})
    )

    assert back["temporary_copy_usd"] == 0
    assert beside["temporary_copy_usd"] == pytest.approx(10**9 / 1024**3 * 0.023 * 14 / 30)
    assert back["transfer_usd"] == beside["transfer_usd"] == 0


def test_a_project_that_names_no_original_buckets_is_403(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    world.projects.originals = ()

    problem = refused(world, filename="a.csv", to="original")

    assert (problem.status, problem.code) == (403, "OriginalNotAllowed")
    assert "original_buckets" in problem.message


@pytest.mark.parametrize(
    "selection",
    [{"filename": "a.csv, b.csv"}, {"prefix": ""}, {"glob": "*.csv"}, {"filename": "b.csv", "bucket_name": OTHER}],
)
def test_a_bucket_that_is_not_among_them_is_403_naming_it(world: World, selection: dict[str, Any]) -> None:
    world.vault.put(0, ["a.csv"])
    world.vault.put(1, ["b.csv"], bucket=OTHER)

    problem = refused(world, to="original", **selection)

    assert (problem.status, problem.details) == (403, {"buckets": [OTHER]})


def test_a_prefix_too_large_to_read_at_once_is_403_too(world: World) -> None:
    for number in range(21):
        world.vault.put(number, [f"in/{number}.csv"], bucket=OTHER)

    assert refused(world, prefix="in/", to="original").status == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"to": "original", "destination_prefix": "back/"}, "OriginalHasNoPrefix"),
        ({"to": "original", "versions": "all"}, "OriginalIsOneVersion"),
        ({"overwrite": True}, "OverwriteWithoutOriginal"),
    ],
)
def test_what_contradicts_itself_is_422(world: World, body: dict[str, Any], code: str) -> None:
    world.vault.put(0, ["a.csv"])

    problem = refused(world, filename="a.csv", **body)

    assert (problem.status, problem.code) == (422, code)


def test_files_that_their_job_will_delete_again_are_409_until_they_are_kept(world: World) -> None:
    archive = world.vault.put(0, ["a.csv"])
    job_id = job_of(archive)
    due_at = START + timedelta(days=30)
    holds = DynamoHolds()
    holds.hold(job_id, due_at=due_at)

    held = [refused(world, to="original", **selection) for selection in ({"filename": "a.csv"}, {"prefix": "a"})]
    beside = world.post(filename="a.csv")
    holds.keep(job_id, now=START)
    back = world.post(filename="a.csv", to="original")

    assert {(problem.status, problem.code) for problem in held} == {(409, "DeletedAgain")}
    assert f"job {job_id} on 2026-07-31" in held[0].message
    assert {beside, back} == {
        request.request_id for request in world.requests.page(DEMO, limit=9, before=None).requests
    }


@pytest.mark.parametrize(
    ("disposition", "ended", "refuses"),
    [("delete", False, True), ("keep", False, False), ("delete", True, False), ({"delete_after_days": 9}, False, True)],
)
def test_a_job_that_goes_on_and_will_delete_is_waited_for(
    world: World, disposition: Any, *, ended: bool, refuses: bool
) -> None:
    job_id = job_of(world.vault.put(0, ["a.csv"]))
    order = JobOrder(
        project=DEMO,
        bucket=SOURCE,
        prefix="",
        max_files=1,
        max_bytes=1,
        storage_class=StorageClass.DEEP_ARCHIVE,
        output_prefix="archives/demo/",
        disposition=disposition,
        compression=Compression.FAST,
        direct_threshold_bytes=1,
    )
    JobRow(
        job_id,
        JOB_ITEM,
        state="PACKING",
        project=DEMO,
        bucket=SOURCE,
        prefix="",
        request=order.model_dump(mode="json"),
        correlation_id="c",
        topic_arn="t",
        accepted_at=START,
        finished_at=START if ended else None,
    ).save()

    if refuses:
        assert "as it goes on" in refused(world, filename="a.csv", to="original").message
    else:
        assert world.post(filename="a.csv", to="original")


def test_the_same_key_of_two_buckets_goes_back_to_both(world: World) -> None:
    world.projects.originals = (SOURCE, OTHER)
    world.vault.put(0, ["a.csv"])
    world.vault.put(1, ["a.csv"], bucket=OTHER)

    request_id = world.post(filename="a.csv", to="original", all_matches=True)

    assert {file.place for file in wanted(world, request_id)} == {(SOURCE, "a.csv"), (OTHER, "a.csv")}
    assert world.describe(request_id, limit=1, token=None)["location"] == f"s3://{OTHER}/, s3://{SOURCE}/"


@pytest.mark.slow
def test_a_large_prefix_goes_back_as_well(world: World) -> None:
    archives = [world.vault.put(number, [f"in/{number:02}.csv"]) for number in range(21)]

    request_id = world.post(prefix="in/", to="original", overwrite=True)
    world.drain()

    files = wanted(world, request_id)
    assert len(files) == len(archives)
    assert {(file.bucket, file.replaces) for file in files} == {(SOURCE, START)}


def test_nothing_found_may_be_allowed_and_is_reported(world: World) -> None:
    world.vault.put(0, ["a.csv"])

    request_id = world.post(filename="nowhere.csv", to="original", allow_missing=True)

    assert world.describe(request_id, limit=1, token=None)["missing"] == ["nowhere.csv"]
