"""The story in code, on the local cloud: archived, sealed, indexed, deleted, found, restored, told."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud

REPORTS = 40


def test_files_are_archived_deleted_found_restored_and_told_of(glaciate: LocalGlaciate, prefix: str) -> None:
    files = {f"{prefix}{number % 2}/report {number}.csv": b"day,sum\n" * number for number in range(REPORTS)}
    glaciate.upload(files)

    job = glaciate.archive(prefix, disposition="delete", file_count=15)

    assert job["state"] == "COMPLETED"
    assert job["counts"]["archived"] == REPORTS
    archives = glaciate.keys("vault", f"{job['output_prefix']}{job['job_id']}")
    assert len(archives) == job["counts"]["archives"] == 3
    for key in archives:
        with pytest.raises(ClientError, match="InvalidObjectState"):
            glaciate.place.s3.get_object(Bucket=glaciate.place.bucket("vault"), Key=key)
    assert glaciate.keys("source", prefix) == set()
    assert {file["key"] for file in glaciate.found(prefix=prefix)} == set(files)
    assert [file["key"] for file in glaciate.found(key=f"{prefix}1/report 7.csv")] == [f"{prefix}1/report 7.csv"]
    assert job["job_id"] in glaciate.mail(job["job_id"])["Message"]

    request = glaciate.restore(prefix=f"{prefix}1/")

    assert request["state"] == "COMPLETED"
    wanted = {key: content for key, content in files.items() if key.startswith(f"{prefix}1/")}
    assert {file["key"]: glaciate.content(file["location"]) for file in request["files"]} == {
        key: (content, "text/x-story") for key, content in wanted.items()
    }
    assert glaciate.mail(request["request_id"], "restored")["Subject"]


def test_what_a_source_says_at_its_second_archiving_comes_back_unless_an_earlier_moment_is_asked_for(
    glaciate: LocalGlaciate, prefix: str
) -> None:
    key = f"{prefix}diary.txt"
    glaciate.upload({key: b"first"})
    first = glaciate.archive(prefix)
    finished_at = datetime.fromisoformat(first["finished_at"])
    until("the next second: S3 tells no finer", lambda: datetime.now(UTC) > finished_at + timedelta(seconds=1))
    glaciate.upload({key: b"second"})
    glaciate.archive(prefix)

    newest, older = glaciate.restore(filename=key), glaciate.restore(filename=key, as_of=first["finished_at"])

    assert glaciate.content(newest["files"][0]["location"])[0] == b"second"
    assert glaciate.content(older["files"][0]["location"])[0] == b"first"
