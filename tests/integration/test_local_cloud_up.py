"""`up` and `down`: start, deploy, say where, stop exactly that."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clouds import settings_in
from glaciate_local import cloud
from glaciate_local.cloud import CloudFailed
from glaciate_local.processes import is_running, members_of_session, start_time_of
from glaciate_local.settings import LocalSettings, SettingIsWrong
from glaciate_local.up import contract, up, write
from integration.probes import batch_definition, batch_queue, receive, until

pytestmark = pytest.mark.cloud

HANDLER = """
import json

def handler(event, context):
    return {"statusCode": 404, "body": json.dumps({"error": {"code": "NoSuchJob"}})}
"""
BUCKETS = ("VaultBucket", "WorkBucket", "RestoreBucket")
QUEUES = ("Pack", "Thaw", "Unpack", "Notify")
PARAMETERS = (
    *(
        "ProjectsDocument",
        "SourceResources",
        "OriginalResources",
        "PublicApiUrl",
        "Tracing",
        "MaxPackers",
        "MaxUnpackers",
        "IdleSeconds",
    ),
)
FUNCTIONS = ("ArchiveIntakeSchedule", "PackerLaunch", "RestoreIntakeSweep", "UnpackerLaunch")
TABLES = ("FilesTable", "ArchivesTable", "JobsTable")


def write_small_glaciate(root: Path, *, visibility: int = 30) -> Path:
    """A template with Glaciate's outputs, the API in a nested template, and next to nothing behind it."""
    (root / "infra" / "services").mkdir(parents=True, exist_ok=True)
    (root / "build" / "lambda" / "api").mkdir(parents=True, exist_ok=True)
    (root / "build" / "lambda" / "api" / "main.py").write_text(HANDLER)
    api = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Api": {
                "Type": "AWS::Serverless::Api",
                "Properties": {"StageName": "live", "Auth": {"DefaultAuthorizer": "AWS_IAM"}},
            },
            "Function": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": "../../build/lambda/api",
                    "Handler": "main.handler",
                    "Runtime": "python3.13",
                    "Events": {
                        "Job": {
                            "Type": "Api",
                            "Properties": {"Path": "/archive/{id}", "Method": "get", "RestApiId": {"Ref": "Api"}},
                        }
                    },
                },
            },
        },
        "Outputs": {"ApiId": {"Value": {"Ref": "Api"}}},
    }
    (root / "infra" / "services" / "api.yaml").write_text(json.dumps(api))
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        },
    }
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": visibility}}
    resources: dict[str, Any] = {
        "Api": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "services/api.yaml"}},
        "Topic": {"Type": "AWS::SNS::Topic"},
        **{name: {"Type": "AWS::S3::Bucket"} for name in BUCKETS},
        **dict.fromkeys(TABLES, table),
        **{f"{name}{kind}": queue for name in QUEUES for kind in ("Queue", "DeadLetters")},
        **{f"{name}DeadLetters": queue for name in FUNCTIONS},
    }
    outputs = {
        "ApiId": {"Value": {"Fn::GetAtt": ["Api", "Outputs.ApiId"]}},
        "TopicArn": {"Value": {"Ref": "Topic"}},
        **{name: {"Value": {"Ref": name}} for name in (*BUCKETS, *TABLES)},
        **{
            f"{name}{kind}Url": {"Value": {"Ref": f"{name}{kind}"}}
            for name in QUEUES
            for kind in ("Queue", "DeadLetters")
        },
        **{f"{name}DeadLettersUrl": {"Value": {"Ref": f"{name}DeadLetters"}} for name in FUNCTIONS},
        **{f"{name}Function": {"Value": name} for name in FUNCTIONS},
    }
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {name: {"Type": "String"} for name in PARAMETERS},
        "Resources": resources,
        "Outputs": outputs,
    }
    path = root / "infra" / "template.yaml"
    path.write_text(json.dumps(template))
    return path


def get(local: dict[str, Any], *, secret: str | None = None) -> int:
    """Ask the API for a job with the key of `local.json`, or another secret; answers the status."""
    url = f"{local['api_url']}/archive/1"
    request = AWSRequest("GET", url)
    credentials = Credentials(local["access_key_id"], secret or local["secret_access_key"])
    if secret != "":
        SigV4Auth(credentials, "execute-api", local["region"]).add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers))) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def settings(folder: Path) -> LocalSettings:
    return settings_in(folder)


@pytest.fixture(scope="module")
def local(folder: Path, settings: LocalSettings) -> Iterator[dict[str, Any]]:
    yield up(settings, template=write_small_glaciate(folder), root=folder)
    cloud.stop(settings, keep=True)


def test_local_json_says_where_everything_is(local: dict[str, Any], settings: LocalSettings) -> None:
    written = json.loads(settings.local_json.read_text())

    assert written == local
    assert set(local) == {
        *("api_url", "aws_endpoint_url", "region", "access_key_id", "secret_access_key", "buckets", "queues"),
        *("functions", "tables", "topic_arn", "notifications_url", "project"),
    }
    assert set(local["buckets"]) == {"source", "vault", "work", "restore"}
    assert set(local["queues"]) == {
        f"{name}{end}" for name in ("pack", "thaw", "unpack", "notify") for end in ("", "_dlq")
    }
    assert set(local["functions"]) == {
        *("archive-intake-schedule", "packer-launch", "restore-intake-sweep", "unpacker-launch")
    }
    assert {key for function in local["functions"].values() for key in function} == {"name", "dlq"}
    assert set(local["tables"]) == {"files", "archives", "jobs"}
    assert settings.local_json.stat().st_mode & 0o777 == 0o600


def test_the_api_takes_the_key_and_nothing_else(local: dict[str, Any]) -> None:
    assert get(local) == 404
    assert get(local, secret="wrong") == 403
    assert get(local, secret="") == 403


def test_every_notification_can_be_read(local: dict[str, Any], settings: LocalSettings) -> None:
    server = cloud.running_server(settings)
    assert server is not None

    server.client("sns").publish(TopicArn=local["topic_arn"], Subject="Done", Message="Everything is there.")

    envelope = json.loads(receive(server, local["notifications_url"])["Body"])
    assert (envelope["Subject"], envelope["Message"]) == ("Done", "Everything is there.")


def test_doing_it_again_changes_nothing(
    local: dict[str, Any], folder: Path, settings: LocalSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    again = up(settings, template=write_small_glaciate(folder), root=folder)

    assert again == local
    assert "is already up" in capsys.readouterr().out


def test_a_changed_template_is_deployed(local: dict[str, Any], folder: Path, settings: LocalSettings) -> None:
    again = up(settings, template=write_small_glaciate(folder, visibility=77), root=folder)

    assert again == local
    server = cloud.running_server(settings)
    assert server is not None
    attributes = server.client("sqs").get_queue_attributes(
        QueueUrl=local["queues"]["pack"], AttributeNames=["VisibilityTimeout"]
    )["Attributes"]
    assert attributes["VisibilityTimeout"] == "77"


def test_a_template_that_fails_says_which_resource_and_why(
    folder: Path, settings: LocalSettings, local: dict[str, Any]
) -> None:
    template = json.loads(write_small_glaciate(folder).read_text())
    bad = {"Type": "AWS::Nothing::AtAll"}
    (folder / "infra" / "services" / "bad.yaml").write_text(json.dumps({"Resources": {"Bad": bad}}))
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "services/bad.yaml"}}
    template["Resources"]["Nested"] = nested
    (folder / "infra" / "bad.yaml").write_text(json.dumps(template))

    with pytest.raises(
        CloudFailed, match=r"(?s)Nested \(AWS::CloudFormation::Stack\).*Bad failed: Unsupported resource type"
    ):
        up(settings, template=folder / "infra" / "bad.yaml", root=folder)

    assert up(settings, template=write_small_glaciate(folder), root=folder) == local


def test_a_bundle_that_was_not_built_is_named(
    folder: Path, settings: LocalSettings, local: dict[str, Any], tmp_path: Path
) -> None:
    template = write_small_glaciate(tmp_path)
    (tmp_path / "build" / "lambda" / "api" / "main.py").unlink()
    (tmp_path / "build" / "lambda" / "api").rmdir()

    with pytest.raises(CloudFailed, match="make build"):
        up(settings, template=template, root=tmp_path)


def test_a_missing_output_is_named(settings: LocalSettings, local: dict[str, Any]) -> None:
    server = cloud.running_server(settings)
    assert server is not None

    with pytest.raises(CloudFailed, match="ApiId"):
        contract(settings, server, {})


def test_two_clouds_run_side_by_side_and_down_stops_one_with_all_it_started(tmp_path: Path) -> None:
    one, other = settings_in(tmp_path / "one"), settings_in(tmp_path / "other")
    first, second = cloud.start(one), cloud.start(other)
    try:
        job_id = first.client("batch").submit_job(
            jobName="job", jobQueue=batch_queue(first), jobDefinition=batch_definition(first, "refuse_to_stop")
        )["jobId"]
        log = one.jobs / job_id / "attempt-1.log"
        until(10, "the job", lambda: log.exists() and "waiting" in log.read_text())
        members = members_of_session(first.process_id)
        assert len(members) == 2

        said = cloud.stop(one, keep=False)

        assert str(first.process_id) in said
        assert members_of_session(first.process_id) == ()
        assert not one.directory.exists()
        assert cloud.healthy(second)
    finally:
        cloud.stop(one, keep=False)
        cloud.stop(other, keep=False)


def test_what_a_killed_server_left_behind_is_stopped(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    server = cloud.start(settings)
    job_id = server.client("batch").submit_job(
        jobName="job", jobQueue=batch_queue(server), jobDefinition=batch_definition(server, "wait")
    )["jobId"]
    log = settings.jobs / job_id / "attempt-1.log"
    until(10, "the job", lambda: log.exists() and "waiting" in log.read_text())
    os.kill(server.process_id, signal.SIGKILL)
    until(5, "the end of the server", lambda: not server.runs)
    assert len(members_of_session(server.process_id)) == 1

    cloud.stop(settings, keep=False)

    assert members_of_session(server.process_id) == ()


def test_a_process_that_got_the_number_later_is_left_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.directory.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        told = {"process_id": stranger.pid, "started": "long ago", "token": "t", "endpoint": "http://127.0.0.1:1"}
        write(settings.server_json, told | {"root_access_key_id": "a", "root_secret_access_key": "b"})

        cloud.stop(settings, keep=False)

        assert is_running(stranger.pid, start_time_of(stranger.pid))
        stranger.kill()


def test_it_stops_by_itself_when_nobody_asks(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, GLACIATE_LOCAL_IDLE_SECONDS="1")
    server = cloud.start(settings)

    until(10, "the end of the server", lambda: not server.runs)

    assert "stopping" in settings.server_log.read_text()
    cloud.stop(settings, keep=False)


def test_it_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    program = "from glaciate_local.cloud import start; from glaciate_local.settings import LocalSettings as S; start(S.from_environment())"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **settings.to_environment()})

    server = cloud.running_server(settings)

    assert server is not None
    assert cloud.healthy(server)
    cloud.stop(settings, keep=False)


def test_a_start_takes_seconds(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    began = time.monotonic()

    cloud.start(settings)

    assert time.monotonic() - began < 15
    cloud.stop(settings, keep=False)


def test_a_folder_of_somebody_else_is_not_taken_and_not_removed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.directory.mkdir()
    (settings.directory / "thesis.txt").write_text("years of work")

    with pytest.raises(CloudFailed, match="holds something else"):
        cloud.start(settings)
    cloud.stop(settings, keep=False)

    assert (settings.directory / "thesis.txt").exists()


def test_down_on_nothing_says_so(tmp_path: Path) -> None:
    assert cloud.stop(settings_in(tmp_path), keep=False) == "the local cloud was not running"


@pytest.mark.parametrize(("name", "value"), [("GLACIATE_LOCAL_PORT", "http"), ("GLACIATE_LOCAL_THAW_SECONDS", "-1")])
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingIsWrong, match=name):
        LocalSettings.from_environment({name: value})
