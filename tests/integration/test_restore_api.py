"""The restore half of the HTTP API, handler and all: what it accepts, and each thing it refuses, with a helpful body."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from described import require_described
from fakes.gateway import Answer, call
from fakes.lambda_context import FakeLambdaContext
from fakes.vault import SOURCE, VAULT, VaultKit, make_all_tables
from glaciate import aws
from restore_intake import bootstrap, handler

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:glaciate"
SAMPLE = {
    "project_name": "demo",
    "filename": "report.csv",
    "account": ACCOUNT,
    "region": "us-east-1",
    "retrieval_tier": "Standard",
    "sns_topic_arn": TOPIC,
}
PROJECTS = {"projects": [{"name": "demo", "source_buckets": [SOURCE, "other-bucket"], "topics": [f"{TOPIC}-two"]}]}


def forget_clients() -> None:
    """Every client and use case is made again, by what AWS and the environment are now."""
    for module in (aws, bootstrap):
        for made in vars(module).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()
    parameters.clear_caches()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        forget_clients()
        make_all_tables()
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        for bucket in (VAULT, "work"):
            s3.create_bucket(Bucket=bucket)
        boto3.client("dynamodb").create_table(
            TableName="idempotency",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("events").create_event_bus(Name="bus")
        boto3.client("ssm").put_parameter(Name="/projects", Value=json.dumps(PROJECTS), Type="String")
        queue_url = sqs.create_queue(QueueName="thaw")["QueueUrl"]
        for name, value in {
            "AWS_REGION": "us-east-1",
            "ACCOUNT_ID": ACCOUNT,
            "API_URL": "https://api.example.com/live",
            "PROJECTS_PARAMETER": "/projects",
            "FILES_TABLE": "files",
            "ARCHIVES_TABLE": "archives",
            "JOBS_TABLE": "jobs",
            "IDEMPOTENCY_TABLE": "idempotency",
            "VAULT_BUCKET": VAULT,
            "WORK_BUCKET": "work",
            "RESTORE_BUCKET": "restored",
            "THAW_QUEUE_URL": queue_url,
            "THAW_DEAD_LETTERS_URL": queue_url,
            "EVENT_BUS_NAME": "bus",
            "TOPIC_ARN": TOPIC,
        }.items():
            environment.setenv(name, value)
        kit = VaultKit(s3)
        kit.put(0, ["2026/report.csv", "2026/a/part.csv", "2026/b/part.csv", "with,comma.csv"])
        kit.put(1, ["fast/now.csv"], storage_class="GLACIER")
        kit.put(2, ["both.csv"])
        kit.put(3, ["both.csv"], bucket="other-bucket")
        yield queue_url
    forget_clients()


def post(body: Any, path: str = "/restore", **headers: str) -> Answer:
    answer = call(handler.api, "POST", path, body=body, headers=headers)
    require_described("POST", path, answer.status, answer.body)
    return answer


def get(path: str, **query: str) -> Answer:
    answer = call(handler.api, "GET", path, query=query or None)
    require_described("GET", path, answer.status, answer.body)
    return answer


def restore(**changes: Any) -> Answer:
    """The sample's call, changed; a value of None leaves a field out."""
    return post({name: value for name, value in {**SAMPLE, **changes}.items() if value is not None})


pytestmark = pytest.mark.usefixtures("cloud")


def test_the_samples_body_works_as_it_stands() -> None:
    answer = restore()

    assert answer.status == 202
    assert answer.body["request_id"].startswith("r-")
    assert answer.body["state"] == "ACCEPTED"
    assert answer.body["status_url"] == f"https://api.example.com/live/restore/{answer.body['request_id']}"
    assert answer.body["estimate"]["archives"] == 1
    assert answer.body["estimate"]["hours"] == 12
    assert answer.body["expected_by"] is not None


def test_the_status_tells_what_was_asked_and_how_each_file_stands() -> None:
    request_id = restore(filename="2026/report.csv").body["request_id"]

    answer = get(f"/restore/{request_id}")

    assert answer.status == 200
    assert answer.body["state"] == "ACCEPTED"
    assert answer.body["counts"] == {"files": 1, "restored": 0, "failed": 0, "missing": 0}
    [file] = answer.body["files"]
    assert (file["key"], file["state"], file["location"]) == ("2026/report.csv", "PENDING", None)
    [part] = answer.body["parts"]
    assert (part["state"], part["files"], part["storage_class"]) == ("PENDING", 1, "DEEP_ARCHIVE")
    assert answer.body["estimate"]["total_usd"] > 0
    assert answer.body["next_token"] is None


def test_the_same_body_again_is_the_same_request() -> None:
    first = restore(days=9)
    second = restore(days=9)

    assert first.body == second.body


def test_an_idempotency_key_with_another_body_is_422() -> None:
    restore_with_key = {"Idempotency-Key": "one"}
    first = call(handler.api, "POST", "/restore", body=SAMPLE, headers=restore_with_key)
    second = call(handler.api, "POST", "/restore", body={**SAMPLE, "days": 8}, headers=restore_with_key)

    assert first.status == 202
    assert (second.status, second.code) == (422, "IdempotencyKeyReused")


@pytest.mark.parametrize(
    "names",
    [
        "2026/a/part.csv,2026/b/part.csv",
        " 2026/a/part.csv , 2026/b/part.csv ",
        ["2026/a/part.csv", "2026/b/part.csv"],
        ["2026/a/part.csv", "2026/b/part.csv", "2026/b/part.csv"],
    ],
)
def test_names_are_one_a_list_with_commas_or_an_array(names: Any) -> None:
    answer = restore(filename=names, dry_run=True)

    assert answer.body["counts"]["files"] == 2


def test_a_key_with_a_comma_is_restored_from_the_array_form() -> None:
    answer = restore(filename=["with,comma.csv"], dry_run=True)

    assert answer.body["counts"] == {"files": 1, "missing": 0}


def test_a_dry_run_says_what_it_would_cost_and_records_nothing() -> None:
    before = get("/restore", project_name="demo", limit="100").body["requests"]

    answer = restore(dry_run=True)

    assert answer.status == 200
    assert answer.body["estimate"]["total_usd"] > 0
    assert answer.body["estimate"]["at_most"] is False
    assert get("/restore", project_name="demo", limit="100").body["requests"] == before


def test_a_prefix_restores_what_is_under_it() -> None:
    answer = restore(filename=None, prefix="2026/", dry_run=True)

    assert answer.body["counts"]["files"] == 3


def test_expedited_is_accepted_where_the_class_has_it() -> None:
    answer = restore(filename="now.csv", retrieval_tier="Expedited", dry_run=True)

    assert answer.status == 200
    assert answer.body["estimate"]["hours"] == pytest.approx(0.1)


def test_what_is_missing_may_be_allowed_and_is_reported() -> None:
    answer = restore(filename="report.csv,nowhere.csv", allow_missing=True)

    status = get(f"/restore/{answer.body['request_id']}").body
    assert answer.status == 202
    assert status["missing"] == ["nowhere.csv"]
    assert status["counts"] == {"files": 1, "restored": 0, "failed": 0, "missing": 1}


def test_an_ambiguous_name_may_mean_all_its_matches() -> None:
    answer = restore(filename="part.csv", all_matches=True, dry_run=True)

    assert answer.body["counts"]["files"] == 2


# What is refused.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filename": "a"}, "project_name"),
        ({"project_name": "demo"}, "body"),
        ({"project_name": "demo", "filename": ""}, "body"),
        ({"project_name": "demo", "filename": []}, "body"),
        ({"project_name": "demo", "filename": "a", "prefix": "b"}, "body"),
        ({"project_name": "demo", "filename": 7}, "filename"),
        ({"project_name": "demo", "filename": ["a", 7]}, "filename.1"),
        ({"project_name": "demo", "filename": [f"{n}" for n in range(1001)]}, "filename"),
        ({"project_name": "demo", "filename": "a", "retrieval_tier": "Fast"}, "retrieval_tier"),
        ({"project_name": "demo", "filename": "a", "days": 0}, "days"),
        ({"project_name": "demo", "filename": "a", "days": "soon"}, "days"),
        ({"project_name": "demo", "filename": "a", "max_cost_usd": -1}, "max_cost_usd"),
        ({"project_name": "demo", "filename": "a", "as_of": "yesterday"}, "as_of"),
        ({"project_name": "demo", "filename": "a", "destination_prefix": "../up"}, "destination_prefix"),
        ({"project_name": "demo", "filename": "a", "account": "12"}, "account"),
        ({"project_name": "demo", "filename": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_body_that_does_not_fit_is_400_and_names_the_field(body: dict[str, Any], field: str) -> None:
    answer = post(body)

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert field in {entry["field"] for entry in answer.body["error"]["details"]}


@pytest.mark.parametrize("body", ["{", "", "[]", '"text"', "null"])
def test_a_body_that_is_no_json_object_is_400(body: str) -> None:
    answer = post(body)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_a_body_of_11_mb_is_413() -> None:
    answer = post(json.dumps({**SAMPLE, "filename": "x" * 11_000_000}))

    assert (answer.status, answer.code) == (413, "BodyTooLarge")


def test_another_region_is_422() -> None:
    answer = restore(region="eu-west-1")

    assert (answer.status, answer.code) == (422, "WrongDeployment")
    assert answer.body["error"]["details"] == {"region": "us-east-1"}


def test_another_account_is_422() -> None:
    assert restore(account="999999999999").code == "WrongDeployment"


def test_an_unknown_project_is_404() -> None:
    answer = restore(project_name="nobody")

    assert (answer.status, answer.code) == (404, "ProjectNotFound")


def test_a_foreign_topic_is_403() -> None:
    answer = restore(sns_topic_arn=f"arn:aws:sns:us-east-1:{ACCOUNT}:somebody-elses")

    assert (answer.status, answer.code) == (403, "TopicNotAllowed")


def test_a_topic_on_the_projects_list_is_accepted() -> None:
    assert restore(sns_topic_arn=f"{TOPIC}-two", dry_run=True).status == 200


def test_a_bucket_that_is_not_the_projects_is_403() -> None:
    answer = restore(bucket_name="somebody-elses")

    assert (answer.status, answer.code) == (403, "BucketNotAllowed")


def test_unknown_names_are_404_listing_each() -> None:
    answer = restore(filename="report.csv,nowhere.csv,2026/nowhere.csv")

    assert (answer.status, answer.code) == (404, "FilesNotFound")
    assert answer.body["error"]["details"] == {"missing": ["nowhere.csv", "2026/nowhere.csv"]}


def test_an_unknown_prefix_is_404_at_once() -> None:
    answer = restore(filename=None, prefix="nowhere/")

    assert (answer.status, answer.code) == (404, "FilesNotFound")


def test_a_bare_name_of_several_files_is_409_listing_them() -> None:
    answer = restore(filename="part.csv")

    assert (answer.status, answer.code) == (409, "AmbiguousName")
    [entry] = answer.body["error"]["details"]["ambiguous"]
    assert entry["name"] == "part.csv"
    assert [match["key"] for match in entry["matches"]] == ["2026/a/part.csv", "2026/b/part.csv"]


def test_the_same_key_from_two_buckets_is_409_until_a_bucket_is_named() -> None:
    ambiguous = restore(filename="both.csv")
    colliding = restore(filename="both.csv", all_matches=True)
    named = restore(filename="both.csv", bucket_name="other-bucket", dry_run=True)

    assert (ambiguous.status, ambiguous.code) == (409, "AmbiguousName")
    assert (colliding.status, colliding.code) == (409, "SameDestination")
    assert named.status == 200


def test_expedited_on_deep_archive_is_422_naming_what_works_and_records_nothing() -> None:
    before = get("/restore", project_name="demo", limit="100").body["requests"]

    answer = restore(retrieval_tier="Expedited", days=4)

    assert (answer.status, answer.code) == (422, "TierNotAvailable")
    assert "Standard (within 12 h)" in answer.body["error"]["message"]
    assert answer.body["error"]["details"] == {"hours_by_tier": {"DEEP_ARCHIVE": {"Standard": 12, "Bulk": 48}}}
    assert get("/restore", project_name="demo", limit="100").body["requests"] == before


def test_a_cost_above_the_limit_is_409_with_the_quote() -> None:
    answer = restore(max_cost_usd=0)

    assert (answer.status, answer.code) == (409, "CostAboveLimit")
    assert answer.body["error"]["details"]["estimate"]["total_usd"] > 0


def test_an_unknown_request_is_404() -> None:
    for answer in (get("/restore/r-000000000000"), get("/restore/nonsense"), post({}, "/restore/r-0000/cancel")):
        assert (answer.status, answer.code) == (404, "RequestNotFound")


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"next_token": "x"}, {"colour": "red"}])
def test_a_query_that_does_not_fit_is_400(query: dict[str, str]) -> None:
    request_id = restore().body["request_id"]

    answer = get(f"/restore/{request_id}", **query)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"project_name": "demo"},
        {"project_name": "demo", "key": "a", "name": "b"},
        {"project_name": "demo", "key": ""},
        {"project_name": "demo", "prefix": "2026/", "next_token": "!"},
        {"project_name": "demo", "key": "a", "next_token": "!"},
        {"project_name": "demo", "prefix": "a", "limit": "1001"},
    ],
)
def test_a_search_that_does_not_fit_is_400(query: dict[str, str]) -> None:
    answer = get("/files", **query)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_a_search_in_an_unknown_project_is_404() -> None:
    assert get("/files", project_name="nobody", key="a").code == "ProjectNotFound"


def test_a_search_answers_where_a_file_is() -> None:
    answer = get("/files", project_name="demo", name="report.csv")

    [file] = answer.body["files"]
    assert (file["key"], file["bucket"], file["size"]) == ("2026/report.csv", SOURCE, 10)
    assert file["archive"].startswith("archives/demo/")
    assert (file["storage_class"], file["readable"]) == ("DEEP_ARCHIVE", "COLD")


def test_requests_are_listed_newest_first_in_pages() -> None:
    ids = [restore(days=days).body["request_id"] for days in (21, 22, 23)]

    first = get("/restore", project_name="demo", limit="2").body
    second = get("/restore", project_name="demo", limit="2", next_token=first["next_token"]).body

    listed = [entry["request_id"] for entry in first["requests"] + second["requests"]]
    assert len(listed) == 4
    assert set(ids) <= {*listed, *ids}
    assert listed == sorted(listed, reverse=True)


def test_a_request_is_cancelled_through_the_api() -> None:
    request_id = restore(days=30).body["request_id"]

    answer = post(None, f"/restore/{request_id}/cancel")

    assert (answer.status, answer.body["state"]) == (200, "CANCELLED")
    assert get(f"/restore/{request_id}").body["files"][0]["state"] == "CANCELLED"


def test_asking_again_for_what_was_cancelled_is_a_new_request() -> None:
    first = restore(days=31).body["request_id"]
    post(None, f"/restore/{first}/cancel")

    second = restore(days=31).body["request_id"]
    third = restore(days=31).body["request_id"]

    assert first != second == third


def test_asking_again_with_the_same_key_is_the_same_request_even_if_cancelled() -> None:
    keyed = {"Idempotency-Key": "mine"}
    first = call(handler.api, "POST", "/restore", body=SAMPLE, headers=keyed).body["request_id"]
    post(None, f"/restore/{first}/cancel")

    assert call(handler.api, "POST", "/restore", body=SAMPLE, headers=keyed).body["request_id"] == first


def test_of_an_ended_request_whose_lists_have_expired_the_counts_are_still_told() -> None:
    request_id = restore(days=32).body["request_id"]
    post(None, f"/restore/{request_id}/cancel")
    s3 = boto3.client("s3")
    for entry in s3.list_objects_v2(Bucket="work", Prefix=f"restores/{request_id}/")["Contents"]:
        s3.delete_object(Bucket="work", Key=entry["Key"])

    answer = get(f"/restore/{request_id}")

    assert (answer.status, answer.body["files"]) == (200, [])
    assert answer.body["counts"]["files"] == 1


def test_the_thaw_queue_keeps_what_nobody_understands_and_handles_the_rest(cloud: str) -> None:
    request_id = restore(days=40).body["request_id"]
    message = {"type": "ThawFiles.v1", "request_id": request_id, "correlation_id": "c"}
    records = [
        {"messageId": "1", "body": "not JSON", "receiptHandle": "1", "eventSource": "aws:sqs", "attributes": {}},
        {
            "messageId": "2",
            "body": json.dumps(message),
            "receiptHandle": "2",
            "eventSource": "aws:sqs",
            "attributes": {},
        },
    ]

    answer = handler.thaw({"Records": records}, FakeLambdaContext())

    assert answer == {"batchItemFailures": []}
    assert get(f"/restore/{request_id}").body["files"][0]["state"] == "THAWING"


def test_the_sweeper_runs() -> None:
    assert handler.sweep({}, FakeLambdaContext()) == {"looked_at": 0}
