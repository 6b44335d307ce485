"""The archive half of the API from the gateway's event to DynamoDB, SQS and the bus, over moto."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from archive_intake import bootstrap, handler
from archive_intake.adapters.dynamo import DynamoJobs
from archive_intake.adapters.s3 import S3Sources
from archive_intake.domain.estimates import SourceSample
from fakes.archive_jobs import DEMO, SOURCE, a_job
from fakes.aws import make_tables
from fakes.gateway import STAGE_URL, Answer, call
from fakes.lambda_context import FakeLambdaContext
from glaciate import api, aws
from glaciate.holds import DynamoHolds
from glaciate.names import JobId, archive_id, is_job_id, skipped_prefix, vault_key_of_object, vault_key_of_zip
from glaciate.tables import JOB_ITEM, JobRow, UnsentRow, bind

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ACCOUNT: Final = "123456789012"
TOPIC: Final = f"arn:aws:sns:us-east-1:{ACCOUNT}:glaciate"
SAMPLE: Final[dict[str, Any]] = {
    "project_name": "demo",
    "bucket_name": "source-bucket",
    "prefix": "logs/2026/",
    "file_count": 500,
    "archive_size": 100,
    "account": ACCOUNT,
    "region": "us-east-1",
    "storage_class": "DEEP_ARCHIVE",
    "output_prefix": "kept/here",
}
PROJECTS: Final = {
    "projects": [
        {
            "name": "demo",
            "source_buckets": ["source-bucket", "second-bucket"],
            "fallback": [{"bucket": "second-bucket", "prefix": "in/{date:%Y%m%d}/"}],
        },
        {"name": "other", "source_buckets": ["other-bucket"]},
        {"name": "greedy", "source_buckets": ["source-bucket"], "defaults": {"direct_threshold": 2_000_000_000}},
    ]
}


@dataclass(frozen=True)
class Stack:
    """What the intake talks to."""

    sqs: "SQSClient"
    dynamodb: "DynamoDBClient"
    s3: "S3Client"
    pack_queue_url: str
    told_queue_url: str

    def clear(self) -> None:
        while self.commands() or self.events():
            pass
        for table, names in (("jobs", ("id", "item")), ("idempotency", ("id",))):
            for item in self.dynamodb.scan(TableName=table)["Items"]:
                self.dynamodb.delete_item(TableName=table, Key={name: item[name] for name in names})

    def post(self, body: Any, **options: Any) -> Answer:
        return call(handler.api, "POST", "/archive", body=body, **options)

    def get(self, path: str, **query: str) -> Answer:
        return call(handler.api, "GET", path, query=query)

    def commands(self) -> list[dict[str, Any]]:
        return self._take(self.pack_queue_url)

    def events(self) -> list[dict[str, Any]]:
        return self._take(self.told_queue_url)

    def _take(self, url: str) -> list[dict[str, Any]]:
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]


def forget() -> None:
    for made_once in vars(bootstrap).values():
        if hasattr(made_once, "cache_clear"):
            made_once.cache_clear()
    for client in (aws.s3, aws.sqs, aws.events, aws.dynamodb):
        client.cache_clear()
    parameters.clear_caches()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Stack]:
    """Clients and tables take a second of a processor: they are made once."""
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        forget()
        sqs, events = boto3.client("sqs"), boto3.client("events")
        pack = sqs.create_queue(QueueName="pack")["QueueUrl"]
        told = sqs.create_queue(QueueName="told")["QueueUrl"]
        events.create_event_bus(Name="glaciate")
        events.put_rule(Name="all", EventBusName="glaciate", EventPattern='{"source": ["glaciate"]}')
        told_arn = sqs.get_queue_attributes(QueueUrl=told, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_targets(Rule="all", EventBusName="glaciate", Targets=[{"Id": "told", "Arn": told_arn}])
        boto3.client("ssm").put_parameter(Name="/glaciate/projects", Value=json.dumps(PROJECTS), Type="String")
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="work")
        s3.create_bucket(Bucket="vault")
        s3.create_bucket(Bucket="source-bucket")
        boto3.client("dynamodb").create_table(
            TableName="idempotency",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        bind(jobs="jobs")
        make_tables(JobRow)
        for name, value in {
            "AWS_REGION": "us-east-1",
            "ACCOUNT_ID": ACCOUNT,
            "PROJECTS_PARAMETER": "/glaciate/projects",
            "JOBS_TABLE": "jobs",
            "IDEMPOTENCY_TABLE": "idempotency",
            "VAULT_BUCKET": "vault",
            "WORK_BUCKET": "work",
            "PACK_QUEUE_URL": pack,
            "EVENT_BUS_NAME": "glaciate",
            "TOPIC_ARN": TOPIC,
        }.items():
            environment.setenv(name, value)
        yield Stack(sqs, boto3.client("dynamodb"), s3, pack, told)
    forget()


@pytest.fixture
def stack(cloud: Stack) -> Stack:
    cloud.clear()
    return cloud


def test_the_original_sample_is_accepted_as_it_stands(stack: Stack) -> None:
    answer = stack.post(SAMPLE)

    job_id = answer.body["job_id"]
    assert answer == Answer(202, {"job_id": job_id, "state": "ACCEPTED", "status_url": f"{STAGE_URL}/archive/{job_id}"})
    assert is_job_id(job_id)
    assert stack.commands() == [{"type": "PlanArchives.v1", "correlation_id": "request-1", "job_id": job_id}]
    assert [event["detail-type"] for event in stack.events()] == ["ArchiveJobAccepted.v1"]
    row = JobRow.get(job_id, JOB_ITEM)
    assert (row.state, row.correlation_id, row.topic_arn) == ("ACCEPTED", "request-1", TOPIC)
    assert row.request["max_files"] == 500
    assert row.request["max_bytes"] == 100_000_000
    assert row.request["output_prefix"] == "kept/here/"
    assert list(UnsentRow.query("unsent")) == []


def test_the_correlation_id_of_the_caller_travels(stack: Stack) -> None:
    stack.post(SAMPLE, headers={"X-Correlation-Id": "ticket-4711"})

    assert [command["correlation_id"] for command in stack.commands()] == ["ticket-4711"]
    assert [event["detail"]["correlation_id"] for event in stack.events()] == ["ticket-4711"]


def test_the_same_call_twice_is_one_job(stack: Stack) -> None:
    first, again = stack.post(SAMPLE), stack.post(SAMPLE, request_id="request-2")

    assert first == again
    assert len(stack.commands()) == 1


def test_a_key_makes_calls_the_same_or_another(stack: Stack) -> None:
    first = stack.post(SAMPLE, headers={"Idempotency-Key": "one"})
    same = stack.post(SAMPLE, headers={"Idempotency-Key": "one"})
    reused = stack.post(SAMPLE | {"prefix": "else/"}, headers={"Idempotency-Key": "one"})
    overlapping = stack.post(SAMPLE, headers={"Idempotency-Key": "two"})

    assert same == first
    assert (reused.status, reused.code) == (422, "IdempotencyKeyReused")
    assert (overlapping.status, overlapping.code) == (409, "Overlap")
    assert overlapping.body["error"]["details"]["job_id"] == first.body["job_id"]
    assert overlapping.body["error"]["details"]["status_url"] == first.body["status_url"]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in SAMPLE.items() if key != name}


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (without("project_name"), 400, "InvalidRequest", "project_name"),
        (without("bucket_name"), 400, "InvalidRequest", "bucket_name"),
        (SAMPLE | {"file_count": "many"}, 400, "InvalidRequest", "file_count"),
        (SAMPLE | {"prefix": ["a"]}, 400, "InvalidRequest", "prefix"),
        (SAMPLE | {"colour": "red"}, 400, "InvalidRequest", "colour"),
        ('{"project_name": ', 400, "InvalidRequest", "not JSON"),
        (None, 400, "InvalidRequest", "not JSON"),
        (SAMPLE | {"prefix": "x" * api.MAX_BODY_BYTES}, 413, "BodyTooLarge", str(api.MAX_BODY_BYTES)),
        (SAMPLE | {"project_name": "nobody"}, 404, "ProjectNotFound", "nobody"),
        (SAMPLE | {"bucket_name": "other-bucket"}, 403, "BucketNotAllowed", "source-bucket, second-bucket"),
        (SAMPLE | {"region": "eu-west-1"}, 422, "WrongDeployment", "us-east-1"),
        (SAMPLE | {"account": "999999999999"}, 422, "WrongDeployment", ACCOUNT),
        (SAMPLE | {"manifest": {"uri": "s3://other-bucket/list.csv"}}, 403, "BucketNotAllowed", "other-bucket"),
        (SAMPLE | {"include": ["x" * 1025]}, 400, "InvalidRequest", "include.0"),
    ],
)
def test_a_bad_request_is_refused_with_help_and_leaves_nothing(
    stack: Stack, body: Any, status: int, code: str, says: str
) -> None:
    answer = stack.post(body)

    assert (answer.status, answer.code) == (status, code)
    assert says in answer.body["error"]["message"]
    assert stack.commands() == []
    assert list(JobRow.scan()) == []


def test_a_refused_call_may_be_mended_and_sent_again(stack: Stack) -> None:
    key = {"Idempotency-Key": "one"}
    refused = stack.post(SAMPLE | {"bucket_name": "other-bucket"}, headers=key)
    mended = stack.post(SAMPLE, headers=key)

    assert (refused.status, mended.status) == (403, 202)


def test_an_unknown_call_is_404(stack: Stack) -> None:
    assert call(handler.api, "DELETE", "/archive/x").code == "NoSuchCall"


def test_a_job_tells_how_it_stands(stack: Stack) -> None:
    job_id = stack.post(SAMPLE).body["job_id"]
    JobRow(job_id, JOB_ITEM).update(
        actions=[
            JobRow.state.set("PACKING"),
            JobRow.listed.set(100_000),
            JobRow.planned.set(100_000),
            JobRow.archived.set(90_000),
            JobRow.archives.set(9),
            JobRow.bytes_in.set(900_000_000),
            JobRow.bytes_out.set(200_000_000),
        ]
    )

    answer = stack.get(f"/archive/{job_id}")

    assert answer.status == 200
    status = answer.body
    assert status["job_id"] == job_id
    assert status["state"] == "PACKING"
    assert (status["project"], status["bucket"], status["prefix"]) == ("demo", "source-bucket", "logs/2026/")
    assert status["counts"] == {
        "listed": 100_000,
        "planned": 100_000,
        "archived": 90_000,
        "skipped": 0,
        "failed": 0,
        "archives": 9,
        "bytes_in": 900_000_000,
        "bytes_out": 200_000_000,
        "already_archived": 0,
    }
    assert status["skipped"] == []
    assert status["next_token"] is None
    assert status["finished_at"] is None
    assert status["status_url"] == f"{STAGE_URL}/archive/{job_id}"
    assert status["cost"]["prices"]["date"]
    assert status["cost"]["packed"]["once_usd"] < status["cost"]["lifecycle_rule"]["once_usd"] / 20
    assert status["cost"]["lifecycle_rule"]["once_usd"] == pytest.approx(4.5)


def test_skipped_files_are_listed_page_by_page(stack: Stack) -> None:
    job_id = JobId(stack.post(SAMPLE).body["job_id"])
    for page in range(3):
        lines = [json.dumps({"key": f"logs/{page}/{line} ü", "reason": "changed"}) for line in range(3)]
        body = ("\n".join(lines) + "\n").encode()
        stack.s3.put_object(Bucket="work", Key=f"{skipped_prefix(job_id)}{page}.jsonl", Body=body)

    found, pages = [], 0
    query = {"limit": "2"}
    while True:
        answer = stack.get(f"/archive/{job_id}", **query)
        assert len(answer.body["skipped"]) <= 2
        found += answer.body["skipped"]
        pages += 1
        if answer.body["next_token"] is None:
            break
        query["next_token"] = answer.body["next_token"]

    assert found == [{"key": f"logs/{page}/{line} ü", "reason": "changed"} for page in range(3) for line in range(3)]
    assert pages == 5


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("/archive/000000000000", {}, 404, "no archive job 000000000000"),
        ("/archive/short", {}, 400, "not a job's id"),
        ("/archive/iiiiiiiiiiii", {}, 400, "not a job's id"),
        ("/archive/r-000000000000", {}, 400, "GET /restore/r-000000000000"),
        ("/archive", {}, 400, "project_name"),
        ("/archive", {"project_name": "nobody"}, 404, "nobody"),
        ("/archive", {"project_name": "demo", "limit": "0"}, 400, "limit"),
        ("/archive", {"project_name": "demo", "limit": "x"}, 400, "limit"),
        ("/archive", {"project_name": "demo", "next_token": "nonsense"}, 400, "next_token"),
        ("/archive", {"project_name": "demo", "colour": "red"}, 400, "colour"),
    ],
)
def test_a_bad_question_is_refused_with_help(
    stack: Stack, path: str, query: dict[str, str], status: int, says: str
) -> None:
    answer = stack.get(path, **query)

    assert answer.status == status
    assert says in answer.body["error"]["message"]


@pytest.mark.parametrize("token", ["x", "1:", ":a", "-1:a", "²:a", "1:never-was", "99999999999:a"])
def test_a_token_that_was_never_given_is_400(stack: Stack, token: str) -> None:
    job_id = stack.post(SAMPLE).body["job_id"]

    answer = stack.get(f"/archive/{job_id}", next_token=token)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_the_jobs_of_a_project_are_listed(stack: Stack) -> None:
    posted = [stack.post(SAMPLE | {"prefix": f"{number}/"}).body["job_id"] for number in range(3)]

    first = stack.get("/archive", project_name="demo", limit="2")
    rest = stack.get("/archive", project_name="demo", limit="2", next_token=first.body["next_token"])
    others = stack.get("/archive", project_name="other")

    listed = [job["job_id"] for answer in (first, rest) for job in answer.body["jobs"]]
    assert listed == sorted(posted, reverse=True)
    assert rest.body["next_token"] is None
    assert {job["prefix"] for job in first.body["jobs"] + rest.body["jobs"]} == {"0/", "1/", "2/"}
    assert others.body == {"project_name": "other", "jobs": [], "fallback": [], "next_token": None}


def test_the_schedule_starts_a_job_and_shows_its_decision(stack: Stack) -> None:
    run = {"scheduled_time": "2026-07-01T02:00:00Z"}

    first = handler.schedule(run, FakeLambdaContext())
    again = handler.schedule(run, FakeLambdaContext())

    [job] = stack.get("/archive", project_name="demo").body["jobs"]
    [shown] = stack.get("/archive", project_name="demo").body["fallback"]
    assert (job["bucket"], job["prefix"], job["scheduled_for"]) == ("second-bucket", "in/20260630/", "2026-06-30")
    assert shown == {
        "day": "2026-06-30",
        "bucket": "second-bucket",
        "prefix": "in/20260630/",
        "outcome": "STARTED",
        "decided_at": job["accepted_at"],
        "job_id": job["job_id"],
        "reason": None,
    }
    assert first == again == json.loads(json.dumps(first)) == {"sent_again": 0, "due": 0, "decisions": [shown]}
    assert len(stack.commands()) == 1


def test_the_schedule_shows_what_it_skipped_and_why(stack: Stack) -> None:
    now = datetime.now(UTC)
    prefix = f"in/{now - timedelta(days=1):%Y%m%d}/"
    job_id = stack.post(SAMPLE | {"bucket_name": "second-bucket", "prefix": prefix}).body["job_id"]

    handler.schedule({"scheduled_time": now.isoformat()}, FakeLambdaContext())

    [shown] = stack.get("/archive", project_name="demo").body["fallback"]
    assert (shown["outcome"], shown["prefix"], shown["job_id"]) == ("SKIPPED", prefix, job_id)
    assert job_id in shown["reason"]


def test_the_schedule_sends_again_what_a_crash_has_left(stack: Stack) -> None:
    young = stack.post(SAMPLE).body["job_id"]
    stack.commands()
    UnsentRow("unsent", young).save()  # its call may still be at it
    UnsentRow("unsent", "0" * 12).save()  # its job is gone
    old = a_job("old/")
    seen = DynamoJobs().running(DEMO, SOURCE)
    assert DynamoJobs().accept(old, fingerprint="old", running=seen, ended=(), decision=None)

    report = handler.schedule({"task": "resend"}, FakeLambdaContext())

    assert report == {"sent_again": 1, "due": 0, "decisions": []}
    assert [command["job_id"] for command in stack.commands()] == [old.job_id]
    assert [row.item for row in UnsentRow.query("unsent")] == [young]


def test_a_dry_run_says_what_would_be_done_and_records_nothing(stack: Stack) -> None:
    for number in range(1_003):
        stack.s3.put_object(Bucket="source-bucket", Key=f"logs/2026/{number}", Body=b"x" * 10)
    stack.s3.put_object(Bucket="source-bucket", Key="elsewhere", Body=b"y")

    answers = [stack.post(SAMPLE | {"dry_run": True}) for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[0].status == 200
    body = answers[0].body
    assert body["dry_run"] is True
    assert body["sources"] == {"files": 1_003, "bytes": 10_030, "complete": True, "unreadable": None}
    assert body["estimate"]["archives"] == 3
    assert body["estimate"]["cost"]["lifecycle_rule"]["once_usd"] == pytest.approx(0.05015)
    assert (body["order"]["max_files"], body["order"]["output_prefix"]) == (500, "kept/here/")
    assert list(JobRow.scan()) == []
    assert stack.commands() == []


def test_a_dry_run_lists_no_further_than_it_must(stack: Stack) -> None:
    for number in range(5):
        stack.s3.put_object(Bucket="source-bucket", Key=f"five/{number}", Body=b"x")
    sources = S3Sources(stack.s3)

    assert sources.sample("source-bucket", "five/", limit=5) == SourceSample((1,) * 5, complete=True)
    assert sources.sample("source-bucket", "five/", limit=4) == SourceSample((1,) * 4, complete=False)
    assert sources.sample("source-bucket", "nothing/", limit=4) == SourceSample((), complete=True)
    assert sources.sample("no-such-bucket-here", "", limit=4) == SourceSample(
        (), complete=False, unreadable="NoSuchBucket"
    )


def test_a_dry_run_over_a_bucket_that_is_not_there_says_so(stack: Stack) -> None:
    answer = stack.post(SAMPLE | {"bucket_name": "second-bucket", "dry_run": True})

    assert (answer.status, answer.body["sources"]["unreadable"]) == (200, "NoSuchBucket")


def test_the_archives_of_a_job_are_listed_page_by_page(stack: Stack) -> None:
    job_id = JobId(stack.post(SAMPLE).body["job_id"])
    keys = [vault_key_of_zip("kept/here/", archive_id(job_id, number)) for number in range(3)]
    keys.append(vault_key_of_object("kept/here/", archive_id(job_id, 3)))
    others = vault_key_of_zip("kept/here/", archive_id(JobId("z" * 12), 0))
    for key in (*keys, others):
        stack.s3.put_object(Bucket="vault", Key=key, Body=b"zip", StorageClass="DEEP_ARCHIVE")

    first = stack.get(f"/archive/{job_id}", limit="3").body
    rest = stack.get(f"/archive/{job_id}", limit="3", archives_token=first["archives_next_token"]).body

    listed = first["archives"] + rest["archives"]
    assert [archive["location"] for archive in listed] == [f"s3://vault/{key}" for key in keys]
    assert listed[0] == {
        "archive_id": f"{job_id}0000",
        "location": f"s3://vault/{keys[0]}",
        "size_bytes": 3,
        "storage_class": "DEEP_ARCHIVE",
    }
    assert rest["archives_next_token"] is None


@pytest.mark.parametrize("token", ["x", "../elsewhere/", "zzzzzzzzzzzz0000.zip"])
def test_an_archives_token_that_was_never_given_is_400(stack: Stack, token: str) -> None:
    job_id = stack.post(SAMPLE).body["job_id"]

    answer = stack.get(f"/archive/{job_id}", archives_token=token)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


HOLDING: Final = SAMPLE | {"disposition": {"delete_after_days": 30}}


def keep(job_id: str) -> Answer:
    return call(handler.api, "POST", f"/archive/{job_id}/keep", body={})


def run_schedule() -> dict[str, Any]:
    return handler.schedule({"task": "resend"}, FakeLambdaContext())  # type: ignore[arg-type]


def test_held_sources_are_shown_kept_once_and_for_all_and_never_deleted(stack: Stack) -> None:
    job_id = stack.post(HOLDING).body["job_id"]
    running = stack.get(f"/archive/{job_id}").body
    DynamoHolds().hold(JobId(job_id), due_at=datetime(2026, 7, 1, tzinfo=UTC))

    held = stack.get(f"/archive/{job_id}").body["sources"]
    kept = [keep(job_id) for _ in range(2)]
    stack.commands()
    report = run_schedule()

    assert running["disposition"] == {"delete_after_days": 30}
    assert (running["sources"]["state"], running["sources"]["due_at"]) == ("HELD", None)
    assert (held["state"], held["delete_after_days"], held["due_at"][:10]) == ("HELD", 30, "2026-07-01")
    assert [answer.status for answer in kept] == [200, 200]
    assert kept[0].body == kept[1].body
    assert kept[0].body["sources"]["state"] == "KEPT"
    assert report["due"] == 0
    assert stack.commands() == []
    assert stack.get(f"/archive/{job_id}").body["sources"]["state"] == "KEPT"


def test_due_sources_get_their_command_and_cannot_be_kept_any_more(stack: Stack) -> None:
    job_id = stack.post(HOLDING).body["job_id"]
    DynamoHolds().hold(JobId(job_id), due_at=datetime(2026, 7, 1, tzinfo=UTC))
    stack.commands()

    reports = [run_schedule()["due"] for _ in range(2)]
    refused = keep(job_id)

    assert reports == [1, 0]
    (command,) = stack.commands()
    assert (command["type"], command["job_id"]) == ("DeleteHeldSources.v1", job_id)
    assert (refused.status, refused.code) == (409, "DeletionBegan")
    assert stack.get(f"/archive/{job_id}").body["sources"]["state"] == "DELETING"


@pytest.mark.parametrize("disposition", ["keep", "delete"])
def test_a_job_that_holds_nothing_cannot_be_kept(stack: Stack, disposition: str) -> None:
    job_id = stack.post(SAMPLE | {"disposition": disposition}).body["job_id"]

    refused = keep(job_id)

    assert (refused.status, refused.code) == (409, "NothingHeld")
    assert stack.get(f"/archive/{job_id}").body["sources"] is None
    assert keep("01zzzzz00001").status == 404
    assert keep("r-01zzzzz00001").status == 400


@pytest.mark.parametrize(
    "disposition",
    ["burn", {"delete_after_days": 0}, {"delete_after_days": -1}, {"delete_after_days": 3651}, {"delete_after_days": "soon"},
     {"delete_after_days": True}, {}, {"delete_after_days": 3, "really": True}, 30, None],
)  # fmt: skip
def test_a_disposition_that_is_none_is_refused(stack: Stack, disposition: Any) -> None:
    answer = stack.post(SAMPLE | {"disposition": disposition})

    if disposition is None:
        assert answer.status == 202
        return
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "disposition" in answer.body["error"]["message"]
    assert stack.commands() == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_threshold_that_the_workers_have_no_memory_for_is_refused(stack: Stack, dry_run: bool) -> None:
    refused = stack.post(SAMPLE | {"project_name": "greedy", "dry_run": dry_run})

    assert (refused.status, refused.code) == (422, "ThresholdTooLarge")
    assert "WorkerMemoryMib" in refused.body["error"]["message"]
    assert refused.body["error"]["details"] == {"direct_threshold": 2_000_000_000}
    assert stack.commands() == []
