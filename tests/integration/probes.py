"""One probe per gap: it passes where AWS's behaviour is there and fails where it is not."""

import base64
import dataclasses
import datetime as dt
import io
import json
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from glaciate_local.cloud import Server
from glaciate_local.gaps.s3_checksums import checksum_of

ACCOUNT = "000000000000"
Probe = Callable[[Server], None]
PROBES: dict[str, Probe] = {}


def probes(gap: str) -> Callable[[Probe], Probe]:
    """Say which gap the function probes."""

    def remember(probe: Probe) -> Probe:
        PROBES[gap] = probe
        return probe

    return remember


def until(seconds: float, awaited: str, look: Callable[[], Any]) -> Any:
    """Look until there is something; fails naming what was awaited."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{awaited} did not happen within {seconds} s"
        time.sleep(0.05)
    return seen


def unique(name: str) -> str:
    """A name nobody used before."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def batch_queue(server: Server) -> str:
    """A job queue of its own; answers its ARN."""
    batch = server.client("batch")
    name = unique("queue")
    environment = batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        computeResources={"type": "FARGATE", "maxvCpus": 4, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]},
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    arn: str = batch.create_job_queue(jobQueueName=name, priority=1, computeEnvironmentOrder=order)["jobQueueArn"]
    return arn


def batch_definition(server: Server, *command: str, **more: Any) -> str:
    """A job definition that runs the tests' worker; answers its ARN."""
    container = {
        "image": f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/glaciate-tester:1",
        "command": ["python", "-m", "tester", *command],
        "environment": [{"name": "GREETING", "value": "hello"}, {"name": "KEPT", "value": "yes"}],
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
        **more.pop("container", {}),
    }
    arn: str = server.client("batch").register_job_definition(
        jobDefinitionName=unique("definition"),
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties=container,
        **more,
    )["jobDefinitionArn"]
    return arn


def job(server: Server, job_id: str) -> dict[str, Any]:
    """The job as Batch describes it."""
    described: dict[str, Any] = server.client("batch").describe_jobs(jobs=[job_id])["jobs"][0]
    return described


def finished(server: Server, job_id: str, seconds: float = 15) -> dict[str, Any]:
    """The job when it is over."""

    def look() -> dict[str, Any] | None:
        now = job(server, job_id)
        return now if now["status"] in ("SUCCEEDED", "FAILED") else None

    over: dict[str, Any] = until(seconds, f"the end of job {job_id}", look)
    return over


def output(server: Server, job_id: str) -> list[str]:
    """What the job's last attempt printed, from CloudWatch Logs."""
    stream = job(server, job_id)["container"]["logStreamName"]
    events = server.client("logs").get_log_events(logGroupName="/aws/batch/job", logStreamName=stream)["events"]
    return [event["message"] for event in events]


def queue_open_to(server: Server, *services: str) -> tuple[str, str]:
    """A queue these services may send to; answers its URL and ARN."""
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    if services:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(server: Server, url: str, seconds: float = 5) -> dict[str, Any]:
    """The next message of the queue, with all its attributes."""
    sqs = server.client("sqs")

    def look() -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=1
        ).get("Messages", [])
        return taken

    message: dict[str, Any] = until(seconds, f"a message on {url}", look)[0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message


def send_rule_to(server: Server, pattern: dict[str, Any], **target: Any) -> None:
    """A rule on the default bus with one target."""
    events = server.client("events")
    name = unique("rule")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])


def bucket_of(server: Server) -> str:
    """A bucket whose events go to EventBridge."""
    s3 = server.client("s3")
    name = unique("bucket")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}})
    return name


def archived(server: Server, bucket: str, key: str = "archive.zip", body: bytes = b"zip", **more: Any) -> None:
    """Put an object into Deep Archive."""
    server.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **{"StorageClass": "DEEP_ARCHIVE", **more})


def thaw(server: Server, bucket: str, key: str = "archive.zip", *, tier: str = "Standard", days: int = 3) -> int:
    """Ask for a thaw; answers the status."""
    answer = server.client("s3").restore_object(
        Bucket=bucket, Key=key, RestoreRequest={"Days": days, "GlacierJobParameters": {"Tier": tier}}
    )
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


def thawed(server: Server, bucket: str, key: str = "archive.zip") -> bool:
    """Whether a readable copy is there."""
    return 'ongoing-request="false"' in server.client("s3").head_object(Bucket=bucket, Key=key).get("Restore", "")


def deploy(server: Server, name: str, template: dict[str, Any], **nested: dict[str, Any]) -> dict[str, str]:
    """Create or update a stack whose nested templates are given by name (`{TEMPLATES}` is where they are)."""
    s3, cloudformation = server.client("s3"), server.client("cloudformation")
    s3.create_bucket(Bucket="templates")
    folder = unique("t")
    for one, content in nested.items():
        s3.put_object(Bucket="templates", Key=f"{folder}/{one}", Body=json.dumps(content))
    body = json.dumps(template).replace("{TEMPLATES}", f"{server.endpoint}/templates/{folder}")
    request = {
        "StackName": name,
        "TemplateBody": body,
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "CAPABILITY_NAMED_IAM"],
    }
    exists = any(one["StackName"] == name for one in cloudformation.list_stacks()["StackSummaries"])
    (cloudformation.update_stack if exists else cloudformation.create_stack)(**request)

    def look() -> dict[str, Any] | None:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = until(20, f"the end of the deployment of {name}", look)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def role_for(server: Server, service: str, *statements: dict[str, Any]) -> str:
    """A role the service may assume, with these rights; answers its ARN."""
    iam = server.client("iam")
    name = unique("role")
    ours = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}, "Condition": ours}
    arn: str = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=policy)
    return arn


def client_of_user(server: Server, service: str, *statements: dict[str, Any]) -> Any:
    """A client of a new user who has these rights only."""
    iam = server.client("iam")
    name = unique("user")
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    made = {"root_access_key_id": key["AccessKeyId"], "root_secret_access_key": key["SecretAccessKey"]}
    return dataclasses.replace(server, **made).client(service)


ECHO = """
import json, os

def handler(event, context):
    __import__(event.get("module", "json"))
    return {"statusCode": 200, "body": json.dumps({"file": os.path.realpath(__file__)})}
"""


def echo_function(server: Server) -> str:
    """A function that imports what it is told to; answers its ARN."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as bundle:
        bundle.writestr(zipfile.ZipInfo("main.py"), ECHO)
    arn: str = server.client("lambda").create_function(
        FunctionName=unique("function"),
        Runtime="python3.13",
        Handler="main.handler",
        Role=role_for(server, "lambda.amazonaws.com"),
        Code={"ZipFile": code.getvalue()},
    )["FunctionArn"]
    return arn


NESTED = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "{TEMPLATES}/child"}}
VERSION = "2010-09-09"


@probes("batch runs jobs")
def batch_runs_jobs(server: Server) -> None:
    submitted = server.client("batch").submit_job(
        jobName="probe",
        jobQueue=batch_queue(server),
        jobDefinition=batch_definition(server, "tell", "Ref::who", parameters={"who": "nobody"}),
        parameters={"who": "world"},
    )

    assert finished(server, submitted["jobId"])["status"] == "SUCCEEDED"
    assert json.loads(output(server, submitted["jobId"])[0])["arguments"] == ["world"]


@probes("batch resources in policies")
def batch_resources_in_policies(server: Server) -> None:
    allowed, forbidden = batch_queue(server), batch_queue(server)
    definition = batch_definition(server, "exit", "0")
    rights = {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": [allowed, definition]}
    batch = client_of_user(server, "batch", rights)

    batch.submit_job(jobName="probe", jobQueue=allowed, jobDefinition=definition)
    with pytest.raises(ClientError, match="AccessDenied"):
        batch.submit_job(jobName="probe", jobQueue=forbidden, jobDefinition=definition)


@probes("batch resources in templates")
def batch_resources_in_templates(server: Server) -> None:
    compute = {"Type": "FARGATE", "MaxvCpus": 4, "Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    container = {"Image": "glaciate-tester:1", "Command": ["python", "-m", "tester", "exit", "0"]}
    order = [{"Order": 1, "ComputeEnvironment": {"Ref": "Compute"}}]
    as_templates_say = {"Timeout": {"AttemptDurationSeconds": "60"}, "PropagateTags": "true"}
    template = {
        "AWSTemplateFormatVersion": VERSION,
        "Resources": {
            "Compute": {
                "Type": "AWS::Batch::ComputeEnvironment",
                "Properties": {"Type": "MANAGED", "ComputeResources": compute},
            },
            "Queue": {"Type": "AWS::Batch::JobQueue", "Properties": {"Priority": 1, "ComputeEnvironmentOrder": order}},
            "Definition": {
                "Type": "AWS::Batch::JobDefinition",
                "Properties": {"Type": "container", "ContainerProperties": container, **as_templates_say},
            },
        },
        "Outputs": {
            "Queue": {"Value": {"Ref": "Queue"}},
            "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "JobQueueArn"]}},
            "Definition": {"Value": {"Ref": "Definition"}},
            "Compute": {"Value": {"Fn::GetAtt": ["Compute", "ComputeEnvironmentArn"]}},
        },
    }

    outputs = deploy(server, unique("batch"), template)

    assert outputs["Queue"] == outputs["QueueArn"]
    submitted = server.client("batch").submit_job(
        jobName="probe", jobQueue=outputs["Queue"], jobDefinition=outputs["Definition"]
    )
    over = finished(server, submitted["jobId"])
    assert (over["status"], over["timeout"]) == ("SUCCEEDED", {"attemptDurationSeconds": 60})


@probes("sam in nested stacks")
def sam_in_nested_stacks(server: Server) -> None:
    child = {
        "AWSTemplateFormatVersion": VERSION,
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"Table": {"Type": "AWS::Serverless::SimpleTable"}},
        "Outputs": {"Name": {"Value": {"Ref": "Table"}}},
    }
    parent = {
        "AWSTemplateFormatVersion": VERSION,
        "Resources": {"Child": NESTED},
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Child", "Outputs.Name"]}}},
    }

    outputs = deploy(server, unique("sam"), parent, child=child)

    assert server.client("dynamodb").describe_table(TableName=outputs["Name"])["Table"]["TableStatus"] == "ACTIVE"


@probes("failed nested stacks are undone")
def failed_nested_stacks_are_undone(server: Server) -> None:
    queue = unique("left-behind")
    child = {
        "AWSTemplateFormatVersion": VERSION,
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": queue}},
            "Impossible": {"Type": "AWS::Nothing::AtAll", "DependsOn": "Queue"},
        },
    }

    with pytest.raises(AssertionError, match="ROLLBACK_COMPLETE"):
        deploy(
            server,
            unique("failing"),
            {"AWSTemplateFormatVersion": VERSION, "Resources": {"Child": NESTED}},
            child=child,
        )

    assert not server.client("sqs").list_queues(QueueNamePrefix=queue).get("QueueUrls")


@probes("updates of nested stacks")
def updates_of_nested_stacks(server: Server) -> None:
    def child(seconds: int) -> dict[str, Any]:
        return {
            "AWSTemplateFormatVersion": VERSION,
            "Resources": {
                "Same": {"Type": "AWS::SQS::Queue"},
                "Changing": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": seconds}},
            },
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Same", "Arn"]}}},
        }

    parent = {
        "AWSTemplateFormatVersion": VERSION,
        "Resources": {"Child": NESTED},
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Child", "Outputs.Arn"]}}},
    }
    name = unique("updating")
    created = deploy(server, name, parent, child=child(30))

    updated = deploy(server, name, parent, child=child(60))

    assert updated == created
    assert created["Arn"].startswith("arn:aws:sqs:")


@probes("dead letters of rule targets")
def dead_letters_of_rule_targets(server: Server) -> None:
    url, arn = queue_open_to(server, "events.amazonaws.com")
    source = unique("source")
    gone = f"arn:aws:sqs:us-east-1:{ACCOUNT}:gone"
    send_rule_to(server, {"source": [source]}, Arn=gone, DeadLetterConfig={"Arn": arn})

    server.client("events").put_events(Entries=[{"Source": source, "DetailType": "Probe", "Detail": '{"a": 1}'}])

    message = receive(server, url)
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == gone
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "RESOURCE_NOT_FOUND"
    undelivered_for_want_of_rights(server)
    undelivered_by_a_schedule(server)


def api_with(server: Server, *, may_call: bool = True, **api: Any) -> str:
    """An API whose `POST /things` would be answered by a function; answers its URL."""
    function = echo_function(server)
    integration = {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
    }
    operation = {"x-amazon-apigateway-integration": integration, "responses": {}, **api.pop("operation", {})}
    body = {"swagger": "2.0", "info": {"title": "t", "version": "1"}, "paths": {"/things": {"post": operation}}, **api}
    template = {
        "AWSTemplateFormatVersion": VERSION,
        "Resources": {
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": body}},
            "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "DeploymentId": {"Ref": "Deployment"},
                    "StageName": "live",
                },
            },
        },
        "Outputs": {"Api": {"Value": {"Ref": "Api"}}},
    }
    api_id = deploy(server, unique("api"), template)["Api"]
    if may_call:
        server.client("lambda").add_permission(
            FunctionName=function,
            StatementId="api",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api_id}/*/POST/things",
        )
    return f"{server.endpoint}/_aws/execute-api/{api_id}/live/things"


def post(url: str, body: bytes) -> tuple[int, Any]:
    """Post JSON without a signature; answers status and body."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@probes("OpenAPI body")
def openapi_body(server: Server) -> None:
    url = api_with(
        server,
        operation={
            "x-amazon-apigateway-request-validator": "body-only",
            "parameters": [{"in": "body", "name": "thing", "schema": {"$ref": "#/definitions/thing"}}],
        },
        definitions={
            "thing": {"type": "object", "required": ["name"], "properties": {"name": {"$ref": "#/definitions/name"}}},
            "name": {"type": "string"},
        },
        **{
            "x-amazon-apigateway-request-validators": {
                "body-only": {"validateRequestBody": True, "validateRequestParameters": False}
            },
            "x-amazon-apigateway-gateway-responses": {
                "BAD_REQUEST_BODY": {
                    "statusCode": 400,
                    "responseTemplates": {
                        "application/json": '{"error": {"code": "InvalidBody", "message": "$context.error.validationErrorString"}}'
                    },
                }
            },
        },
    )

    assert post(url, b'{"name": "right"}')[0] == 200
    for wrong in (b'{"name": 7}', b"{}", b"{not json"):
        status, answer = post(url, wrong)
        assert (status, answer["error"]["code"]) == (400, "InvalidBody")


@probes("requests too long")
def requests_too_long(server: Server) -> None:
    assert post(api_with(server), json.dumps("x" * 11_000_000).encode())[0] == 413


@probes("functions called by APIs")
def functions_called_by_apis(server: Server) -> None:
    assert post(api_with(server), b"{}")[0] == 200
    assert post(api_with(server, may_call=False), b"{}")[0] == 500


def undelivered_for_want_of_rights(server: Server) -> None:
    """A rule whose target's policy does not name EventBridge."""
    dead_url, dead_arn = queue_open_to(server, "events.amazonaws.com")
    _, closed = queue_open_to(server)
    source = unique("source")
    send_rule_to(server, {"source": [source]}, Arn=closed, DeadLetterConfig={"Arn": dead_arn})

    server.client("events").put_events(Entries=[{"Source": source, "DetailType": "Probe", "Detail": "{}"}])

    told = receive(server, dead_url)["MessageAttributes"]
    assert told["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"


def schedule_once(server: Server, arn: str, *, seconds: float = 1, role: str, zone: str = "UTC", **target: Any) -> None:
    """A schedule that tells a queue once, a second from now, when it was scheduled."""
    then = dt.datetime.now(ZoneInfo(zone)) + dt.timedelta(seconds=seconds)
    server.client("scheduler").create_schedule(
        Name=unique("schedule"),
        ScheduleExpression=then.strftime("at(%Y-%m-%dT%H:%M:%S)"),
        ScheduleExpressionTimezone=zone,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": role, "Input": '{"at": "<aws.scheduler.scheduled-time>"}', **target},
    )


def undelivered_by_a_schedule(server: Server) -> None:
    """A schedule whose role may send to the dead letters only: they keep its input."""
    url, arn = queue_open_to(server)

    schedule_once(
        server,
        f"arn:aws:sqs:us-east-1:{ACCOUNT}:gone",
        role=role_that_sends_to(server, arn),
        DeadLetterConfig={"Arn": arn},
    )

    message = receive(server, url, seconds=15)
    assert set(json.loads(message["Body"])) == {"at"}
    assert {"SCHEDULE_ARN", "SCHEDULED_TIME", "TARGET_ARN", "ERROR_CODE"} <= set(message["MessageAttributes"])


def role_that_sends_to(server: Server, arn: str) -> str:
    """A role of the Scheduler's that may send to the queue."""
    return role_for(
        server, "scheduler.amazonaws.com", {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    )


@probes("time zones of schedules")
def time_zones_of_schedules(server: Server) -> None:
    url, arn = queue_open_to(server)

    schedule_once(server, arn, role=role_that_sends_to(server, arn), zone="Asia/Tokyo")  # nine hours before UTC

    receive(server, url, seconds=15)


@probes("words in scheduled input")
def words_in_scheduled_input(server: Server) -> None:
    url, arn = queue_open_to(server)

    schedule_once(server, arn, role=role_that_sends_to(server, arn))

    message = receive(server, url, seconds=15)

    assert "<" not in message["Body"]
    assert time.strptime(json.loads(message["Body"])["at"], "%Y-%m-%dT%H:%M:%SZ").tm_year >= 2026


@probes("dead letters of functions")
def dead_letters_of_functions(server: Server) -> None:
    url, arn = queue_open_to(server)
    may_bury = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    lambdas, name = server.client("lambda"), echo_function(server)
    lambdas.update_function_configuration(
        FunctionName=name,
        Role=role_for(server, "lambda.amazonaws.com", may_bury),
        DeadLetterConfig={"TargetArn": arn},
    )
    event = {"module": "no_such_module"}

    lambdas.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))

    message = receive(server, url, seconds=20)  # two more tries first
    assert json.loads(message["Body"]) == event
    assert "no_such_module" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]


@probes("dead letters of functions in templates")
def dead_letters_of_functions_in_templates(server: Server) -> None:
    def template(seconds: int) -> dict[str, Any]:
        function = {
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": role_for(server, "lambda.amazonaws.com"),
            "Timeout": seconds,
            "Code": {"ZipFile": "def handler(event, context): pass"},
            "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
        }
        return {
            "AWSTemplateFormatVersion": VERSION,
            "Resources": {
                "DeadLetters": {"Type": "AWS::SQS::Queue"},
                "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            },
            "Outputs": {
                "Name": {"Value": {"Ref": "Function"}},
                "Arn": {"Value": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
            },
        }

    name = unique("function")
    for seconds in (3, 4):  # made, then changed
        outputs = deploy(server, name, template(seconds))

        found = server.client("lambda").get_function_configuration(FunctionName=outputs["Name"])
        assert found["DeadLetterConfig"] == {"TargetArn": outputs["Arn"]}


@probes("functions import their bundle")
def functions_import_their_bundle(server: Server) -> None:
    lambdas, name = server.client("lambda"), echo_function(server)

    def called(module: str) -> dict[str, Any]:
        answer: dict[str, Any] = lambdas.invoke(FunctionName=name, Payload=json.dumps({"module": module}))
        return answer

    assert json.loads(called("json")["Payload"].read())["statusCode"] == 200
    assert "FunctionError" in called("ministack")


@probes("aws:SecureTransport")
def secure_transport(server: Server) -> None:
    bucket = bucket_of(server)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    only_tls = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": resources,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [only_tls]})
    server.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    user = client_of_user(server, "s3", {"Effect": "Allow", "Action": "s3:PutObject", "Resource": resources})

    user.put_object(Bucket=bucket, Key="key", Body=b"body")

    with pytest.raises(ClientError, match="AccessDenied"):
        user.get_object(Bucket=bucket, Key="key")


@probes("well-known keys")
def well_known_keys(server: Server) -> None:
    stranger = dataclasses.replace(server, root_access_key_id="test", root_secret_access_key="test")

    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        stranger.client("dynamodb").list_tables()


@probes("rights to batches")
def rights_to_batches(server: Server) -> None:
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName=f"batches-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    user = client_of_user(server, "sqs", {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn})

    answer = user.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "body"}])

    assert len(answer["Successful"]) == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        user.delete_message_batch(QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "any"}])


@probes("fast cold starts")
def fast_cold_starts(server: Server) -> None:
    def unpacked_at(function: str) -> str:
        answer = json.loads(server.client("lambda").invoke(FunctionName=function)["Payload"].read())
        return str(json.loads(answer["body"])["file"])

    assert unpacked_at(echo_function(server)) == unpacked_at(echo_function(server))


@probes("fast checksums")
def fast_checksums(server: Server) -> None:
    bucket = bucket_of(server)
    body = bytes(8 * 1024 * 1024)
    s3, value = server.client("s3"), checksum_of("CRC64NVME", [body])

    def seconds(**checksum: str) -> float:
        began = time.monotonic()
        s3.put_object(Bucket=bucket, Key="k", Body=body, **checksum)
        return time.monotonic() - began

    quick = min(seconds(ChecksumAlgorithm="CRC32") for _ in range(2))
    assert min(seconds(ChecksumCRC64NVME=value) for _ in range(2)) < 3 * quick + 0.2


@probes("full-object checksums")
def full_object_checksums(server: Server) -> None:
    s3, bucket = server.client("s3"), bucket_of(server)
    parts = [b"a" * (5 * 1024 * 1024), b"end"]
    value = checksum_of("CRC64NVME", parts)

    def upload(key: str) -> dict[str, Any]:
        made = s3.create_multipart_upload(
            Bucket=bucket, Key=key, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
        )
        at = {"Bucket": bucket, "Key": key, "UploadId": made["UploadId"]}
        etags = [
            s3.upload_part(**at, PartNumber=number, Body=body, ChecksumAlgorithm="CRC64NVME")["ETag"]
            for number, body in enumerate(parts, 1)
        ]
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        return {**at, "MultipartUpload": {"Parts": listed}, "ChecksumType": "FULL_OBJECT"}

    right = upload("right")
    wrong_value = base64.b64encode(bytes(8)).decode()
    with pytest.raises(ClientError, match="BadDigest"):
        s3.complete_multipart_upload(**right, ChecksumCRC64NVME=wrong_value)
    with pytest.raises(ClientError, match="InvalidRequest"):
        s3.complete_multipart_upload(**right, ChecksumCRC64NVME=value, MpuObjectSize=1)
    size = sum(map(len, parts))
    completed = s3.complete_multipart_upload(**right, ChecksumCRC64NVME=value, MpuObjectSize=size)
    head = s3.head_object(Bucket=bucket, Key="right", ChecksumMode="ENABLED")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="right", ObjectAttributes=["Checksum"])["Checksum"]

    for told in (completed, head, attributes):
        assert (told["ChecksumCRC64NVME"], told["ChecksumType"]) == (value, "FULL_OBJECT")


@probes("thaw delay")
def thaw_delay(server: Server) -> None:
    bucket = bucket_of(server)
    archived(server, bucket)
    began = time.monotonic()
    assert thaw(server, bucket) == 202

    until(5, "the thaw", lambda: thawed(server, bucket))

    assert time.monotonic() - began < 1.6  # it is set to 0.5 s; MiniStack's own takes 2


@probes("no thread per restore")
def no_thread_per_restore(server: Server) -> None:
    bucket = bucket_of(server)
    for number in range(30):
        archived(server, bucket, f"{number}.zip")

    def threads() -> int:
        return len(list(Path(f"/proc/{server.process_id}/task").iterdir()))

    before = threads()
    for number in range(30):
        assert thaw(server, bucket, f"{number}.zip") == 202
    until(10, "the last thaw", lambda: thawed(server, bucket, "29.zip"))

    assert threads() < before + 20, "each restore keeps a thread"


@probes("restore tiers")
def restore_tiers(server: Server) -> None:
    bucket = bucket_of(server)
    archived(server, bucket)

    with pytest.raises(ClientError, match="InvalidArgument"):
        thaw(server, bucket, tier="Expedited")
    assert thaw(server, bucket, tier="Bulk") == 202
    assert thaw(server, bucket, tier="Standard") == 202
    with pytest.raises(ClientError, match="RestoreAlreadyInProgress"):
        thaw(server, bucket, tier="Standard")


@probes("restore event detail")
def restore_event_detail(server: Server) -> None:
    url, arn = queue_open_to(server, "events.amazonaws.com")
    bucket = bucket_of(server)
    pattern = {"detail-type": ["Object Restore Completed"], "detail": {"bucket": {"name": [bucket]}}}
    send_rule_to(server, pattern, Arn=arn)
    archived(server, bucket, "a ü/b.zip")

    thaw(server, bucket, "a ü/b.zip")

    detail = json.loads(receive(server, url)["Body"])["detail"]
    assert (detail["object"]["key"], detail["object"]["size"]) == ("a ü/b.zip", 3)
    assert detail["source-storage-class"] == "DEEP_ARCHIVE"
    assert time.strptime(detail["restore-expiry-time"], "%Y-%m-%dT%H:%M:%SZ")


@probes("copies of archived objects")
def copies_of_archived_objects(server: Server) -> None:
    s3, bucket = server.client("s3"), bucket_of(server)
    archived(server, bucket)
    source = {"Bucket": bucket, "Key": "archive.zip"}

    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    thaw(server, bucket)
    until(5, "the thaw", lambda: thawed(server, bucket))
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)

    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="copy") or (
        s3.head_object(Bucket=bucket, Key="copy")["StorageClass"] == "STANDARD"
    )


@probes("restore status in listings")
def restore_status_in_listings(server: Server) -> None:
    s3, bucket = server.client("s3"), bucket_of(server)
    archived(server, bucket, "a b+ü.zip")
    archived(server, bucket, "frozen.zip")

    def listed() -> dict[str, dict[str, Any]]:
        answer = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])
        return {one["Key"]: one for one in answer["Contents"]}

    thaw(server, bucket, "a b+ü.zip")
    assert listed()["a b+ü.zip"]["RestoreStatus"] == {"IsRestoreInProgress": True}
    until(5, "the thaw", lambda: thawed(server, bucket, "a b+ü.zip"))

    assert "RestoreExpiryDate" in listed()["a b+ü.zip"]["RestoreStatus"]
    assert "RestoreStatus" not in listed()["frozen.zip"]
    assert "RestoreStatus" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


@probes("message move tasks")
def message_move_tasks(server: Server) -> None:
    sqs = server.client("sqs")
    dead_url, dead_arn = queue_open_to(server)
    url, _ = queue_open_to(server)
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
    sqs.send_message(QueueUrl=url, MessageBody="again")
    sqs.receive_message(QueueUrl=url)
    sqs.receive_message(QueueUrl=url)

    assert sqs.list_dead_letter_source_queues(QueueUrl=dead_url)["queueUrls"] == [url]
    sqs.start_message_move_task(SourceArn=dead_arn)

    def over() -> dict[str, Any] | None:
        task: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"][0]
        return task if task["Status"] != "RUNNING" else None

    task = until(5, "the end of the move", over)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert receive(server, url)["Body"] == "again"
    with pytest.raises(ClientError, match="Dead Letter Queue"):
        sqs.start_message_move_task(SourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:{url.rsplit('/', 1)[1]}")
