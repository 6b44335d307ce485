"""`python -m glaciate_local.up`: start the local cloud, deploy the template, wait until it is healthy."""

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from glaciate.projects import Project, ProjectsDocument
from glaciate_cli.deployment import FUNCTIONS, QUEUES, function_outputs, queue_outputs
from glaciate_local.cloud import CloudFailed, Server, one_at_a_time, running_server, start
from glaciate_local.deploy import STACK, deploy
from glaciate_local.settings import REGION, ROOT, LocalSettings, SettingIsWrong

PROJECT = "demo"
SOURCE_BUCKET = "glaciate-local-source"
USER = "glaciate-local"
NOTIFICATIONS = "glaciate-local-notifications"
TEMPLATE = ROOT / "infra" / "template.yaml"
HEALTHY_SECONDS = 90.0
TABLES = {"files": "FilesTable", "archives": "ArchivesTable", "jobs": "JobsTable"}
BUCKETS = {"vault": "VaultBucket", "work": "WorkBucket", "restore": "RestoreBucket"}


def up(settings: LocalSettings, *, template: Path = TEMPLATE, root: Path = ROOT) -> dict[str, Any]:
    """Bring the local cloud of this folder up to date with the template and answer its `local.json`.

    Doing it again is harmless: it deploys what changed and leaves the rest.
    """
    with one_at_a_time(settings):
        began = time.monotonic()
        server = running_server(settings)
        already = server is not None
        if server is None:
            server = start(settings)
        server.client("s3").create_bucket(Bucket=SOURCE_BUCKET)
        deployed = deploy(server, template, stack_parameters(server), root=root)
        local = contract(settings, server, deployed.outputs)
        wait_until_healthy(local)
        write(settings.local_json, local)
        what = "is already up" if already and not deployed.changed else "is up"
        print(f"The local cloud {what} at {server.endpoint} ({time.monotonic() - began:.1f} s).")
        print(f"Its addresses and keys are in {settings.local_json}; `make down` stops it.")
        return local


def stack_parameters(server: Server) -> dict[str, str]:
    """What the local deployment sets; everything else is the template's default, as on AWS."""
    project = Project(name=PROJECT, source_buckets=(SOURCE_BUCKET,), original_buckets=(SOURCE_BUCKET,))
    source = f"arn:aws:s3:::{SOURCE_BUCKET}"
    return {
        "ProjectsDocument": ProjectsDocument(projects=(project,)).model_dump_json(exclude_defaults=True),
        "SourceResources": f"{source},{source}/*",
        "OriginalResources": f"{source},{source}/*",
        "PublicApiUrl": api_url(server, STACK),
        "Tracing": "PassThrough",  # MiniStack refuses X-Ray segments
        "WorkerVcpu": "1",  # a worker is one process: a laptop has better uses for its memory
        "MaxPackers": "2",
        "MaxUnpackers": "2",
        "IdleSeconds": "10",
    }


def api_url(server: Server, api_id: str) -> str:
    """Where the API answers; on AWS it is `https://<id>.execute-api.<region>.amazonaws.com/live`."""
    return f"{server.endpoint}/_aws/execute-api/{api_id}/live"


def contract(settings: LocalSettings, server: Server, outputs: Mapping[str, str]) -> dict[str, Any]:
    """The content of `local.json`; raises CloudFailed naming the outputs that the stack lacks."""
    queues = {name: queue_outputs(name) for name in QUEUES}
    functions = {name: function_outputs(name) for name in FUNCTIONS}
    wanted = {"ApiId", "TopicArn", *BUCKETS.values(), *TABLES.values()}
    wanted.update(*queues.values(), *functions.values())
    if missing := sorted(wanted - set(outputs)):
        raise CloudFailed(f"the stack has no output {', '.join(missing)}")
    access_key_id, secret_access_key = user_key(settings, server)
    return {
        "api_url": api_url(server, outputs["ApiId"]),
        "aws_endpoint_url": server.endpoint,
        "region": REGION,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "buckets": {"source": SOURCE_BUCKET} | {name: outputs[output] for name, output in BUCKETS.items()},
        "queues": {
            key: outputs[output]
            for name, (url, dead_letters) in queues.items()
            for key, output in ((name, url), (f"{name}_dlq", dead_letters))
        },
        "functions": {
            name: {"name": outputs[function], "dlq": outputs[dead_letters]}
            for name, (function, dead_letters) in functions.items()
        },
        "tables": {name: outputs[output] for name, output in TABLES.items()},
        "topic_arn": outputs["TopicArn"],
        "notifications_url": notifications_of(server, outputs["TopicArn"]),
        "project": PROJECT,
    }


def user_key(settings: LocalSettings, server: Server) -> tuple[str, str]:
    """The key of a user with all rights, whose signatures are checked; the same one as long as the server runs."""
    iam = server.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=USER)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=USER, PolicyName="everything", PolicyDocument=json.dumps(everything))
    known = {key["AccessKeyId"] for key in iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]}
    if settings.local_json.exists():
        local = json.loads(settings.local_json.read_text())
        if local["access_key_id"] in known:
            return local["access_key_id"], local["secret_access_key"]
    for key in known:
        iam.delete_access_key(UserName=USER, AccessKeyId=key)
    made = iam.create_access_key(UserName=USER)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def notifications_of(server: Server, topic_arn: str) -> str:
    """A queue that gets everything the topic sends, because nobody reads e-mail here; answers its URL."""
    sqs, sns = server.client("sqs"), server.client("sns")
    queue_url: str = sqs.create_queue(QueueName=NOTIFICATIONS)["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_send]})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
    return queue_url


def wait_until_healthy(local: Mapping[str, Any]) -> None:
    """Ask the API for a job that does not exist until it says so itself."""
    url = f"{local['api_url']}/archive/000000000000"
    credentials = Credentials(local["access_key_id"], local["secret_access_key"])
    deadline = time.monotonic() + HEALTHY_SECONDS
    while True:
        request = AWSRequest("GET", url)
        SigV4Auth(credentials, "execute-api", local["region"]).add_auth(request)
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=dict(request.headers)), timeout=30
            ) as answer:
                said = f"{answer.status}"
        except urllib.error.HTTPError as error:
            said = f"{error.code}: {error.read(2000).decode(errors='replace')}"
            if error.code == 404:
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            said = str(error)
        if time.monotonic() > deadline:
            raise CloudFailed(f"the API is not healthy: GET {url} says {said}")
        time.sleep(0.2)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON at once, so that nobody reads half of it; it holds a key, so only its owner may read it."""
    half = path.with_suffix(".new")
    half.touch(mode=0o600)
    half.write_text(json.dumps(content, indent=2) + "\n")
    half.replace(path)


def main() -> int:
    """The command."""
    try:
        settings = LocalSettings.from_environment()
        up(settings)
    except (CloudFailed, SettingIsWrong) as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
