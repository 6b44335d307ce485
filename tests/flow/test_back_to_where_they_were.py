"""`to: original` and the reminder, on the local cloud: files go back to their own keys, but never over a newer object."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from glaciate.names import ArchiveId, RequestId
from glaciate.tables import due_order
from local_glaciate import LocalGlaciate

pytestmark = pytest.mark.cloud


def test_deleted_files_come_back_and_a_newer_one_stays_until_it_is_to_be_replaced(
    glaciate: LocalGlaciate, prefix: str
) -> None:
    files = {f"{prefix}{name}": f"{name} as it was".encode() for name in ("a.txt", "b.txt", "c/d.txt")}
    glaciate.upload(files)
    glaciate.archive(prefix, disposition="delete")
    time.sleep(1.1)  # S3 says times in whole seconds: the new one is in a later second than the file that was archived
    glaciate.upload({f"{prefix}b.txt": b"written since"})
    source = glaciate.place.bucket("source")

    first = glaciate.restore(prefix=prefix, to="original")

    there = {key: glaciate.content(f"s3://{source}/{key}")[0] for key in files}
    assert first["state"] == "PARTIAL"
    assert there == files | {f"{prefix}b.txt": b"written since"}
    reasons = {file["key"]: file["reason"] for file in first["files"]}
    assert {key for key, reason in reasons.items() if reason} == {f"{prefix}b.txt"}
    assert "a newer object is there" in reasons[f"{prefix}b.txt"]
    assert {file["location"] for file in first["files"]} == {
        f"s3://{source}/{prefix}a.txt", f"s3://{source}/{prefix}c/d.txt", None
    }  # fmt: skip
    assert "a newer object is there" in glaciate.mail(first["request_id"], "Restored in part")["Message"]

    second = glaciate.restore(prefix=prefix, to="original", overwrite=True)

    assert second["state"] == "COMPLETED"
    assert {key: glaciate.content(f"s3://{source}/{key}")[0] for key in files} == files
    assert second["available_until"] is None


def test_people_are_told_once_that_restored_files_expire(glaciate: LocalGlaciate, prefix: str) -> None:
    glaciate.upload({f"{prefix}a.txt": b"a"})
    glaciate.archive(prefix)
    request = glaciate.restore(filename=f"{prefix}a.txt")
    request_id = RequestId(request["request_id"])
    due = due_order(datetime.now(UTC) - timedelta(minutes=1), ArchiveId(""), request_id)
    with glaciate.client("dynamodb") as dynamodb:  # time passes
        dynamodb.update_item(
            TableName=glaciate.place.local["tables"]["jobs"],
            Key={"id": {"S": request_id}, "item": {"S": "expiring"}},
            UpdateExpression="SET list_order = :due",
            ConditionExpression="attribute_exists(id)",
            ExpressionAttributeValues={":due": {"S": due}},
        )

    for _ in range(2):
        with glaciate.client("lambda") as functions:
            answer = functions.invoke(FunctionName="glaciate-restore-intake-sweep", Payload=b"{}")
            assert "FunctionError" not in answer, json.loads(answer["Payload"].read())

    mail = glaciate.mail(request_id, "expire soon")
    assert request["location"] in mail["Message"]
    told = [mail for mail in glaciate.mails if request_id in mail["Message"] and "expire soon" in mail["Subject"]]
    assert len(told) == 1
