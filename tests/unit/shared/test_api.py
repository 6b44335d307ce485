"""What both intake APIs promise before any of their own code runs: problems, bodies, idempotency."""

import base64
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from moto import mock_aws

from fakes.gateway import Answer, call, event
from fakes.lambda_context import FakeLambdaContext
from glaciate import api, aws
from glaciate.errors import Transient, conflict
from glaciate.requests import ArchiveRequest

TABLE = "idempotency"
SAMPLE = {
    "project_name": "demo",
    "bucket_name": "source-bucket",
    "prefix": "logs/2026/",
    "file_count": 500,
    "archive_size": 100,
    "account": "123456789012",
    "region": "us-east-1",
    "storage_class": "DEEP_ARCHIVE",
    "output_prefix": "archives/",
}


def serving(method: str, path: str, route: Callable[[APIGatewayRestResolver], Any]) -> Callable[..., dict[str, Any]]:
    app = api.new_api()
    app.route(path, method=method)(lambda **_names: route(app))
    return lambda proxied, lambda_context: api.serve(app, proxied, lambda_context)


def reading() -> Callable[..., dict[str, Any]]:
    return serving("POST", "/archive", lambda app: api.read_json(app, ArchiveRequest).model_dump(mode="json"))


def test_a_problem_is_answered_as_it_says() -> None:
    def refuse(_app: APIGatewayRestResolver) -> None:
        raise conflict("AlreadyThere", "it is there", {"job_id": "x"})

    answer = call(serving("POST", "/archive", refuse), "POST", "/archive")

    assert answer == Answer(
        409, {"error": {"code": "AlreadyThere", "message": "it is there", "details": {"job_id": "x"}}}
    )


def test_an_unknown_path_is_404_and_says_which() -> None:
    answer = call(reading(), "GET", "/nowhere")

    assert (answer.status, answer.code) == (404, "NoSuchCall")
    assert "GET /nowhere" in answer.body["error"]["message"]


def test_a_bug_is_500_with_the_correlation_id_and_without_its_insides() -> None:
    def fail(_app: APIGatewayRestResolver) -> None:
        msg = "secret insides"
        raise KeyError(msg)

    answer = call(serving("POST", "/archive", fail), "POST", "/archive", request_id="trail-7")

    assert (answer.status, answer.code) == (500, "InternalError")
    assert answer.body["error"]["details"] == {"correlation_id": "trail-7", "error": "KeyError"}
    assert "secret" not in json.dumps(answer.body)


def test_what_may_work_later_is_503() -> None:
    def fail(_app: APIGatewayRestResolver) -> None:
        msg = "queue is full"
        raise Transient(msg)

    answer = call(serving("POST", "/archive", fail), "POST", "/archive")

    assert (answer.status, answer.code) == (503, "TryAgain")


def test_the_sample_body_fits_as_it_stands_and_with_numbers_as_texts() -> None:
    as_texts = SAMPLE | {"file_count": "500", "archive_size": "100", "account": 123456789012}

    answers = [call(reading(), "POST", "/archive", body=body) for body in (SAMPLE, as_texts)]

    assert answers[0] == answers[1]
    assert {name: answers[0].body[name] for name in SAMPLE} == SAMPLE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bucket_name": None}, "bucket_name"),
        ({"bucket_name": "Not A Bucket"}, "bucket_name"),
        ({"prefix": 5}, "prefix"),
        ({"prefix": "é" * 513}, "prefix"),
        ({"file_count": "many"}, "file_count"),
        ({"file_count": 0}, "file_count"),
        ({"file_count": True}, "file_count"),
        ({"file_count": 1.5}, "file_count"),
        ({"archive_size": -1}, "archive_size"),
        ({"storage_class": "COLD"}, "storage_class"),
        ({"output_prefix": "../elsewhere"}, "output_prefix"),
        ({"output_prefix": "/absolute"}, "output_prefix"),
        ({"output_prefix": "catalogs/"}, "output_prefix"),
        ({"account": "12"}, "account"),
        ({"older_than": "yesterday"}, "older_than"),
        ({"manifest": {"files": 3}}, "manifest.files"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_field_that_does_not_fit_is_400_and_named(change: dict[str, Any], field: str) -> None:
    answer = call(reading(), "POST", "/archive", body=SAMPLE | change)

    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert [found["field"] for found in answer.body["error"]["details"]] == [field]
    assert field in answer.body["error"]["message"]


def test_every_field_that_does_not_fit_is_listed() -> None:
    answer = call(reading(), "POST", "/archive", body={"prefix": 1, "file_count": "x"})

    assert {found["field"] for found in answer.body["error"]["details"]} == {
        "project_name",
        "bucket_name",
        "prefix",
        "file_count",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "null", "{'a': 1}", '{"a": "\\ud800"}', "[" * 100_000])
def test_a_body_that_is_no_json_object_is_400(text: str) -> None:
    answer = call(reading(), "POST", "/archive", body=text)

    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_a_body_that_is_not_utf8_is_400() -> None:
    proxied = event("POST", "/archive", body=base64.b64encode(b"\xff\xfe{}").decode()) | {"isBase64Encoded": True}

    answer = reading()(proxied, FakeLambdaContext())

    assert answer["statusCode"] == 400


def test_a_body_above_a_mebibyte_is_413() -> None:
    answer = call(reading(), "POST", "/archive", body=SAMPLE | {"prefix": "x" * api.MAX_BODY_BYTES})

    assert (answer.status, answer.code) == (413, "BodyTooLarge")


def test_a_moment_without_offset_is_utc() -> None:
    plain, shifted = (
        call(reading(), "POST", "/archive", body=SAMPLE | {"older_than": moment})
        for moment in ("2026-01-01T12:00:00", "2026-01-01T14:00:00+02:00")
    )

    assert plain.body["older_than"] == shifted.body["older_than"] == "2026-01-01T12:00:00Z"


def test_another_region_or_account_than_the_deployments_is_422() -> None:
    def require(app: APIGatewayRestResolver) -> dict[str, Any]:
        body = api.read_json(app, ArchiveRequest)
        api.require_deployment(body, region="us-east-1", account="123456789012")
        return {}

    function = serving("POST", "/archive", require)

    assert call(function, "POST", "/archive", body=SAMPLE).status == 200
    for change in ({"region": "eu-west-1"}, {"account": "999999999999"}):
        answer = call(function, "POST", "/archive", body=SAMPLE | change)
        assert (answer.status, answer.code) == (422, "WrongDeployment")
        assert set(answer.body["error"]["details"]) == set(change)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "request-1"),
        ({"x-correlation-id": "ticket-4711"}, "ticket-4711"),
        ({"X-Correlation-Id": "two words\n"}, "request-1"),
        ({"X-Correlation-Id": "x" * 129}, "request-1"),
    ],
)
def test_the_correlation_id_is_the_callers_where_it_is_sound(headers: dict[str, str], expected: str) -> None:
    assert api.correlation_id(event("GET", "/", headers=headers)) == expected


def test_addresses_hang_from_the_setting_or_else_from_the_call() -> None:
    function = serving(
        "GET", "/archive", lambda app: {"urls": [api.stage_url(app, ""), api.stage_url(app, "https://x.example/live/")]}
    )

    answer = call(function, "GET", "/archive")

    assert answer.body["urls"] == ["https://api.example.com/live", "https://x.example/live"]


class Counter:
    """A call that counts how often it was really made."""

    def __init__(self) -> None:
        self.made = 0
        self.failures: list[Exception] = []

    def __call__(self) -> dict[str, Any]:
        self.made += 1
        if self.failures:
            raise self.failures.pop()
        return {"job_id": f"job-{self.made}"}


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def accepting(counter: Counter) -> Iterator[Callable[..., dict[str, Any]]]:
    def accept(app: APIGatewayRestResolver) -> Response[str]:
        body = api.read_json(app, ArchiveRequest)
        answer = api.idempotently(app, body, table_name=TABLE, scope="archive", call=counter)
        return api.json_response(HTTPStatus.ACCEPTED, answer)

    with mock_aws():
        aws.dynamodb.cache_clear()
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield serving("POST", "/archive", accept)
    aws.dynamodb.cache_clear()


def test_the_same_body_gets_the_same_answer_and_is_done_once(
    accepting: Callable[..., dict[str, Any]], counter: Counter
) -> None:
    first = call(accepting, "POST", "/archive", body=SAMPLE)
    again = call(accepting, "POST", "/archive", body=dict(reversed(SAMPLE.items())), request_id="request-2")
    other = call(accepting, "POST", "/archive", body=SAMPLE | {"prefix": "other/"})

    assert first == again == Answer(202, {"job_id": "job-1"})
    assert other == Answer(202, {"job_id": "job-2"})
    assert counter.made == 2


def test_the_same_key_gets_the_same_answer_and_another_key_is_another_call(
    accepting: Callable[..., dict[str, Any]], counter: Counter
) -> None:
    answers = [
        call(accepting, "POST", "/archive", body=SAMPLE, headers={"idempotency-key": key})
        for key in ("one", "one", "two")
    ]

    assert [answer.body["job_id"] for answer in answers] == ["job-1", "job-1", "job-2"]
    assert counter.made == 2


def test_the_same_key_with_another_body_is_422(accepting: Callable[..., dict[str, Any]], counter: Counter) -> None:
    key = {"Idempotency-Key": "one"}
    call(accepting, "POST", "/archive", body=SAMPLE, headers=key)

    answer = call(accepting, "POST", "/archive", body=SAMPLE | {"prefix": "other/"}, headers=key)

    assert (answer.status, answer.code) == (422, "IdempotencyKeyReused")
    assert counter.made == 1


def test_a_key_of_unreasonable_length_is_400(accepting: Callable[..., dict[str, Any]]) -> None:
    answer = call(accepting, "POST", "/archive", body=SAMPLE, headers={"Idempotency-Key": "k" * 257})

    assert answer.status == 400


def test_a_call_that_is_being_answered_is_409(accepting: Callable[..., dict[str, Any]], counter: Counter) -> None:
    inner: list[Answer] = []

    class Reentrant(Counter):
        def __call__(self) -> dict[str, Any]:
            inner.append(call(accepting, "POST", "/archive", body=SAMPLE))
            return {"job_id": "job-1"}

    def accept(app: APIGatewayRestResolver) -> dict[str, Any]:
        body = api.read_json(app, ArchiveRequest)
        return api.idempotently(app, body, table_name=TABLE, scope="archive", call=Reentrant())

    outer = call(serving("POST", "/archive", accept), "POST", "/archive", body=SAMPLE)

    assert outer.body == {"job_id": "job-1"}
    assert [(answer.status, answer.code) for answer in inner] == [(409, "InProgress")]
    assert counter.made == 0


@pytest.mark.parametrize("failure", [conflict("Overlap", "it overlaps"), KeyError("a bug")])
def test_a_call_that_failed_is_made_again(
    accepting: Callable[..., dict[str, Any]], counter: Counter, failure: Exception
) -> None:
    counter.failures.append(failure)

    refused = call(accepting, "POST", "/archive", body=SAMPLE)
    again = call(accepting, "POST", "/archive", body=SAMPLE)

    assert refused.status in {409, 500}
    assert again == Answer(202, {"job_id": "job-2"})


def test_a_call_that_died_is_made_again_once_its_functions_time_is_over(
    accepting: Callable[..., dict[str, Any]], counter: Counter
) -> None:
    class Died(BaseException):
        pass

    def die(app: APIGatewayRestResolver) -> dict[str, Any]:
        def dying() -> dict[str, Any]:
            raise Died

        return api.idempotently(app, api.read_json(app, ArchiveRequest), table_name=TABLE, scope="archive", call=dying)

    with pytest.raises(Died):
        call(serving("POST", "/archive", die), "POST", "/archive", body=SAMPLE)

    held = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    assert [item["status"]["S"] for item in held] == ["INPROGRESS"]
    assert "in_progress_expiration" in held[0]  # without it the caller would be refused for an hour
    assert call(accepting, "POST", "/archive", body=SAMPLE).status == 409
    boto3.client("dynamodb").update_item(
        TableName=TABLE,
        Key={"id": held[0]["id"]},
        UpdateExpression="SET in_progress_expiration = :past",
        ExpressionAttributeValues={":past": {"N": "1"}},
    )
    assert call(accepting, "POST", "/archive", body=SAMPLE) == Answer(202, {"job_id": "job-1"})
