"""The README's calls without the command: plain HTTP, signed by curl."""

import json
import os
import shutil
import subprocess
import uuid
from typing import Any

import pytest

from glaciate_local.place import Place
from waiting import until

pytestmark = pytest.mark.cloud


@pytest.fixture(autouse=True)
def _curl_is_there() -> None:
    if shutil.which("curl") is None:
        assert os.environ.get("CI") != "true", "curl must be there in CI"
        pytest.skip("curl is not installed")


def curl(place: Place, path: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Status and document of a call, signed as the README does it."""
    local = place.local
    command = ["curl", "--silent", "--show-error", "--aws-sigv4", f"aws:amz:{local['region']}:execute-api", "--user",
               f"{local['access_key_id']}:{local['secret_access_key']}", "--write-out", "\n%{http_code}"]  # fmt: skip
    done = subprocess.run(
        [*command, f"{local['api_url']}{path}", *options], capture_output=True, text=True, check=True, timeout=60
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def post(place: Place, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return curl(place, path, "-H", "Content-Type: application/json", "-d", json.dumps(body))


def ended(place: Place, path: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        status, document = curl(place, path)
        assert status == 200, document
        return document if document["state"] in {"COMPLETED", "PARTIAL", "FAILED"} else None

    return until(f"the end of {path}", look, seconds=120)


def test_the_two_bodies_of_the_original_sample_work_as_they_stand(place: Place) -> None:
    prefix, name = f"{uuid.uuid4().hex[:8]}/", f"{uuid.uuid4().hex}.txt"
    place.s3.put_object(Bucket=place.bucket("source"), Key=f"{prefix}{name}", Body=b"by curl")
    account = str(place.local["topic_arn"]).split(":")[4]
    archive = {
        "project_name": "demo",
        "bucket_name": place.bucket("source"),
        "prefix": prefix,
        "file_count": 100,
        "archive_size": 10,
        "account": account,
        "region": place.local["region"],
        "storage_class": "DEEP_ARCHIVE",
        "output_prefix": "by-curl/",
    }
    restore = {
        "project_name": "demo",
        "filename": name,
        "account": account,
        "region": place.local["region"],
        "retrieval_tier": "Bulk",
        "sns_topic_arn": place.local["topic_arn"],
    }

    accepted = post(place, "/archive", archive)
    job = ended(place, f"/archive/{accepted[1]['job_id']}")
    asked = post(place, "/restore", restore)
    request = ended(place, f"/restore/{asked[1]['request_id']}")

    assert (accepted[0], asked[0]) == (202, 202)
    assert accepted[1]["status_url"] == f"{place.local['api_url']}/archive/{job['job_id']}"
    assert (job["state"], request["state"]) == ("COMPLETED", "COMPLETED")
    assert [entry["location"].partition("/by-curl/")[1] for entry in job["archives"]] == ["/by-curl/"]
    bucket, _, key = request["files"][0]["location"].removeprefix("s3://").partition("/")
    assert place.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"by curl"


def test_an_unsigned_call_is_refused(place: Place) -> None:
    done = subprocess.run(
        ["curl", "--silent", "--write-out", "\n%{http_code}", f"{place.local['api_url']}/archive?project_name=demo"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.rpartition("\n")[2] == "403"
