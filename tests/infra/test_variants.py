"""The template deploys with what its parameters allow, and what they say holds at once."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from glaciate_local.cloud import Server
from glaciate_local.deploy import deploy
from stack import INFRA

pytestmark = [pytest.mark.cloud, pytest.mark.slow]
QUIET = {"Tracing": "PassThrough", "IdleSeconds": "1"}
OTHERS = {
    "WorkerNetwork": "private",
    "WorkerCapacity": "FARGATE",
    "ManageGatewayAccount": "false",
    "FallbackState": "ENABLED",
    "VaultVersioning": "Suspended",
    "FilesTableClass": "STANDARD",
    "PointInTimeRecovery": "false",
    "NotificationEmail": "user@example.com",
    "AlarmEmail": "operator@example.com",
    "SourceKeys": "arn:aws:kms:us-east-1:000000000000:key/one,arn:aws:kms:us-east-1:000000000000:key/two",
    "OriginalKeys": "arn:aws:kms:us-east-1:000000000000:key/one",
    "ProjectTopics": "arn:aws:sns:us-east-1:000000000000:theirs",
}
POOL = {
    "Authorization": "cognito",
    "UserPoolArns": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_pool",
}


def deployed(server: Server, parameters: Mapping[str, str]) -> str:
    """The id of the API of a stack with these parameters."""
    outputs = deploy(server, INFRA / "template.yaml", {**QUIET, **parameters}, stack="variant").outputs
    return outputs["ApiId"]


def status(server: Server, api_id: str, headers: Mapping[str, str]) -> int:
    """What the API answers to a question about a job that does not exist."""
    url = f"{server.endpoint}/_aws/execute-api/{api_id}/live/archive/000000000000"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Iterator[None]:
    """The stack is deleted after each test."""
    yield
    cloudformation = server.client("cloudformation")
    cloudformation.delete_stack(StackName="variant")


def test_every_other_choice_deploys(server: Server) -> None:
    assert deployed(server, OTHERS)


def test_another_way_to_authorize_holds_as_soon_as_it_is_deployed(server: Server) -> None:
    gateway = server.client("apigateway")

    api_id = deployed(server, {"Authorization": "api-key"})
    key = next(one["value"] for one in gateway.get_api_keys(includeValues=True)["items"] if one["name"] == "variant")
    assert status(server, api_id, {"x-api-key": key}) == 404
    assert status(server, api_id, {}) == 403

    api_id = deployed(server, {"Authorization": "iam"})
    assert status(server, api_id, {"x-api-key": key}) == 403

    api_id = deployed(server, POOL)
    assert status(server, api_id, {"x-api-key": key}) == 401
