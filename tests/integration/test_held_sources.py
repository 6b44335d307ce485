"""Sources that are deleted some days after, on the local cloud, where a day takes seconds: held, kept or deleted, and told of."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from glaciate_cli.api import Document
from glaciate_cli.errors import Refused
from glaciate_local import cloud as local_cloud
from glaciate_local.place import Place
from glaciate_local.settings import LocalSettings
from glaciate_local.up import up
from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

DAY_SECONDS = 3


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGlaciate]:
    """A whole Glaciate whose days are short."""
    given = {
        "GLACIATE_LOCAL_DIR": str(tmp_path_factory.mktemp("hasty") / "state"),
        "GLACIATE_LOCAL_THAW_SECONDS": "1",
        "GLACIATE_LOCAL_DAY_SECONDS": str(DAY_SECONDS),
        "GLACIATE_LOCAL_IDLE_SECONDS": "900",
    }
    settings = LocalSettings.from_environment(given)
    try:
        place = Place.of(up(settings))
        yield LocalGlaciate(place)
        place.close()
    finally:
        local_cloud.stop(settings, keep=True)


def run_schedule(glaciate: LocalGlaciate) -> None:
    """What archive-intake's timer does every few minutes."""
    local = glaciate.place.local
    functions = boto3.client(
        "lambda",
        endpoint_url=local["aws_endpoint_url"],
        region_name=local["region"],
        aws_access_key_id=local["access_key_id"],
        aws_secret_access_key=local["secret_access_key"],
    )
    try:
        answer = functions.invoke(FunctionName="glaciate-archive-intake-schedule", Payload=b'{"task": "resend"}')
        assert "FunctionError" not in answer, answer["Payload"].read()
    finally:
        functions.close()
    glaciate.launch_workers()


def sources(glaciate: LocalGlaciate, job_id: str) -> Document:
    found: Document = glaciate.place.api.status(job_id)["sources"]
    return found


def after(days: int) -> dict[str, Any]:
    return {"disposition": {"delete_after_days": days}}


def test_sources_are_deleted_by_the_system_itself_unless_they_changed_and_are_told_of(hasty: LocalGlaciate) -> None:
    files = {f"held/{number}.csv": b"day,sum\n" * number for number in range(12)}
    hasty.upload(files)

    job = hasty.archive("held/", file_count=5, **after(2))
    hasty.upload({"held/7.csv": b"rewritten"})
    held = sources(hasty, job["job_id"])

    assert job["state"] == "COMPLETED"
    assert (held["state"], held["delete_after_days"], held["deleted"]) == ("HELD", 2, 0)
    assert held["due_at"] > job["finished_at"]
    assert hasty.keys("source", "held/") == set(files)
    assert "glaciate keep" in hasty.mail(job["job_id"])["Message"]

    def deleted() -> Document | None:
        run_schedule(hasty)
        found = sources(hasty, job["job_id"])
        return found if found["state"] == "DELETED" else None

    found = until("the sources to be deleted", deleted, seconds=90)
    assert (found["deleted"], found["left"]) == (11, 1)
    assert hasty.keys("source", "held/") == {"held/7.csv"}
    skipped = hasty.place.api.whole_status(job["job_id"])["skipped"]
    assert [file["key"] for file in skipped] == ["held/7.csv"]
    assert "11 deleted" in hasty.mail(job["job_id"], "Archived sources deleted")["Message"]
    with pytest.raises(Refused, match="too late"):
        hasty.place.api.keep(job["job_id"], idempotency_key=str(uuid.uuid4()))
    restored = hasty.restore(prefix="held/")
    assert {file["key"]: hasty.content(file["location"])[0] for file in restored["files"]} == files


def test_sources_that_somebody_keeps_stay(hasty: LocalGlaciate) -> None:
    files = {f"kept/{number}.csv": b"day,sum\n" * number for number in range(5)}
    hasty.upload(files)
    job = hasty.archive("kept/", **after(1))

    answer = hasty.place.api.keep(job["job_id"], idempotency_key=str(uuid.uuid4()))
    again = hasty.place.api.keep(job["job_id"], idempotency_key=str(uuid.uuid4()))
    hasty.upload({"due/1.csv": b"1"})
    other = hasty.archive("due/", **after(1))

    def other_is_deleted() -> bool:
        run_schedule(hasty)
        return bool(sources(hasty, other["job_id"])["state"] == "DELETED")

    until("a later job's sources to be deleted", other_is_deleted, seconds=90)
    assert answer == again
    assert answer["sources"]["state"] == "KEPT"
    assert sources(hasty, job["job_id"])["state"] == "KEPT"
    assert hasty.keys("source", "kept/") == set(files)
    assert hasty.keys("source", "due/") == set()
