"""The gateway in front of the services: its calls and models are the code's, and its refusals look like ours."""

import json
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from glaciate.openapi import CALLS, Call
from stack import NESTED, ROOT, resources, target_of

METHODS = {
    (one.properties["HttpMethod"], target_of(one.properties["ResourceId"])): one
    for one in resources("AWS::ApiGateway::Method")
}
MODELS = {one.properties["Name"]: one.properties["Schema"] for one in resources("AWS::ApiGateway::Model")}
SAMPLE_ARCHIVE = {
    "project_name": "demo",
    "bucket_name": "source-bucket",
    "prefix": "incoming/",
    "file_count": 1000,
    "archive_size": 500,
    "account": "123456789012",
    "region": "us-east-1",
    "storage_class": "DEEP_ARCHIVE",
    "output_prefix": "archives/demo",
}
SAMPLE_RESTORE = {
    "project_name": "demo",
    "filename": "a.txt, b.txt",
    "account": "123456789012",
    "region": "us-east-1",
    "retrieval_tier": "Bulk",
    "sns_topic_arn": "arn:aws:sns:us-east-1:123456789012:topic",
}


def path_of(logical_id: str | None) -> str:
    """A resource's full path, by its parents."""
    if logical_id is None or logical_id == "Api":
        return ""
    properties = NESTED["api"]["Resources"][logical_id]["Properties"]
    return f"{path_of(target_of(properties['ParentId']))}/{properties['PathPart']}"


def fits(model: str, body: Any) -> bool:
    """Whether the gateway lets a body through."""
    validator: Any = jsonschema.Draft4Validator(MODELS[model])
    return bool(validator.is_valid(body))


def test_the_generated_end_of_the_template_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "infra/build/gateway.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_it_has_just_the_calls_of_the_code() -> None:
    there = {(method, path_of(resource)) for method, resource in METHODS}

    assert there == {(call.method.upper(), call.path) for call in CALLS}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_call_goes_to_its_service_and_is_authorized_and_validated(call: Call) -> None:
    (method,) = (
        one.properties
        for (verb, resource), one in METHODS.items()
        if (verb, path_of(resource)) == (call.method.upper(), call.path)
    )

    assert method["Integration"]["Uri"]["Fn::Sub"].endswith(f":function:${{Prefix}}-{call.service}-api/invocations")
    assert method["Integration"]["Type"] == "AWS_PROXY"
    assert method["AuthorizationType"]["Fn::If"][:2] == ["ByIam", "AWS_IAM"]
    assert method["RequestValidatorId"] == {"Ref": "Validator"}
    if call.body:
        assert method["RequestModels"] == {"application/json": {"Ref": f"{call.body.__name__}Model"}}


def test_without_iam_a_key_or_a_token_is_needed() -> None:
    for one in METHODS.values():
        method = one.properties
        assert method["ApiKeyRequired"] == {"Fn::If": ["ByApiKey", True, False]}
        assert method["AuthorizerId"]["Fn::If"][:2] == ["ByCognito", {"Ref": "UserPoolAuthorizer"}]
    assert NESTED["api"]["Parameters"]["Authorization"]["AllowedValues"] == ["iam", "api-key", "cognito"]


def test_the_functions_behind_it_have_the_names_it_knows_and_let_it_call() -> None:
    for service in {call.service for call in CALLS}:
        function = NESTED[service]["Resources"]["Api"]["Properties"]
        permission = NESTED[service]["Resources"]["ApiPermission"]["Properties"]
        assert function["FunctionName"] == {"Fn::Sub": f"${{Prefix}}-{service}-api"}
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert "${ApiId}" in permission["SourceArn"]["Fn::Sub"]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_valid_json_schema_of_the_draft_the_gateway_knows(model: str) -> None:
    validator: Any = jsonschema.Draft4Validator

    validator.check_schema(MODELS[model])

    assert not set(re.findall(r'"(\$defs|const|prefixItems|title)"', json.dumps(MODELS[model])))


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("ArchiveRequest", SAMPLE_ARCHIVE),
        ("ArchiveRequest", {**SAMPLE_ARCHIVE, "account": 123456789012, "file_count": "1000"}),
        ("ArchiveRequest", {"project_name": "demo", "bucket_name": "source-bucket", "manifest": {"file_count": 3}}),
        ("RestoreRequest", SAMPLE_RESTORE),
        ("RestoreRequest", {"project_name": "demo", "filename": ["a.txt", "folder/b.txt"]}),
        ("RestoreRequest", {"project_name": "demo", "filenames": ["a.txt"]}),
        ("RestoreRequest", {"project_name": "demo", "prefix": "folder/", "days": 5, "max_cost_usd": 1}),
    ],
)
def test_a_good_body_passes_the_gateway_and_the_service(model: str, body: dict[str, Any]) -> None:
    (service_model,) = {call.body for call in CALLS if call.body and call.body.__name__ == model}

    assert fits(model, body)
    assert service_model.model_validate(body)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("ArchiveRequest", {}),
        ("ArchiveRequest", []),
        ("ArchiveRequest", {"project_name": "demo"}),
        ("ArchiveRequest", {**SAMPLE_ARCHIVE, "file_count": 0}),
        ("ArchiveRequest", {**SAMPLE_ARCHIVE, "file_count": "many"}),
        ("ArchiveRequest", {**SAMPLE_ARCHIVE, "storage_class": "DEEP"}),
        ("ArchiveRequest", {**SAMPLE_ARCHIVE, "no_such_field": 1}),
        ("RestoreRequest", {"filename": "a.txt"}),
        ("RestoreRequest", {**SAMPLE_RESTORE, "retrieval_tier": "Fast"}),
        ("RestoreRequest", {**SAMPLE_RESTORE, "filename": [1]}),
        ("RestoreRequest", {**SAMPLE_RESTORE, "days": 366}),
    ],
)
def test_a_bad_body_does_not_pass_the_gateway(model: str, body: Any) -> None:
    assert not fits(model, body)


def test_what_the_gateway_refuses_looks_like_our_problems() -> None:
    statuses = {}
    for response in resources("AWS::ApiGateway::GatewayResponse"):
        text = response.properties["ResponseTemplates"]["application/json"]
        filled = re.sub(r'"\$context\.[\w.]+"', '"x"', text)
        problem = json.loads(re.sub(r"\$context\.error\.messageString", '"x"', filled))
        assert set(problem) == {"error"}
        assert {"code", "message"} <= set(problem["error"]) <= {"code", "message", "details"}
        statuses[response.properties["ResponseType"]] = response.properties.get("StatusCode")

    assert statuses["REQUEST_TOO_LARGE"] == "413"
    assert statuses["BAD_REQUEST_BODY"] == statuses["BAD_REQUEST_PARAMETERS"] == "400"
    assert statuses["THROTTLED"] == "429"
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(statuses)


def test_a_deployment_copies_every_call_and_every_answer() -> None:
    copied = {one.name for kind in ("Method", "GatewayResponse") for one in resources(f"AWS::ApiGateway::{kind}")}

    for deployment in resources("AWS::ApiGateway::Deployment"):
        assert set(deployment.document["DependsOn"]) == copied


def test_the_stage_is_live_throttled_and_writes_who_called() -> None:
    (stage,) = (one.properties for one in resources("AWS::ApiGateway::Stage"))

    assert stage["StageName"] == "live"
    assert stage["MethodSettings"][0]["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert target_of(stage["AccessLogSetting"]["DestinationArn"]) == "AccessLog"
