"""Deploy the SAM template that goes to AWS to the local cloud, by CloudFormation over HTTP."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from glaciate_local.cloud import CloudFailed, Server
from glaciate_local.package import NothingToPackage, Package
from glaciate_local.settings import ROOT

STACK = "glaciate"
ARTIFACTS = "glaciate-local-artifacts"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
DEPLOY_SECONDS = 300.0
NOT_THERE = ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
HALF_MADE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack that is up, and whether this deployment changed it."""

    outputs: Mapping[str, str]
    changed: bool


def put_new(s3: Any, bucket: str) -> Callable[[str, Callable[[], bytes]], None]:
    """Store under keys that carry a digest: what is there already is the same."""

    def put(key: str, content: Callable[[], bytes]) -> None:
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            s3.put_object(Bucket=bucket, Key=key, Body=content())

    return put


def deploy(
    server: Server, template: Path, parameters: Mapping[str, str], *, stack: str = STACK, root: Path = ROOT
) -> Deployed:
    """Create or update the stack and wait for it; raises CloudFailed naming each resource that failed and why.

    Doing it again with nothing changed changes nothing.
    """
    s3 = server.client("s3")
    cloudformation = server.client("cloudformation")
    s3.create_bucket(Bucket=ARTIFACTS)
    package = Package(root=root, bucket=ARTIFACTS, endpoint=server.endpoint, put=put_new(s3, ARTIFACTS))
    try:
        url = package.template(template)
    except NothingToPackage as missing:
        raise CloudFailed(str(missing)) from missing
    request = {
        "StackName": stack,
        "TemplateURL": url,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": CAPABILITIES,
        "Tags": [{"Key": "ms-custom-id", "Value": stack}],  # MiniStack gives the stack's API this id
    }
    changed = _apply(cloudformation, request)
    description = _wait(cloudformation, stack, GOOD if changed else (*GOOD, ROLLED_BACK))
    outputs = {one["OutputKey"]: one["OutputValue"] for one in description.get("Outputs", [])}
    return Deployed(outputs=outputs, changed=changed)


def _apply(cloudformation: Any, request: dict[str, Any]) -> bool:
    """Start what is needed; False when the stack is already as asked."""
    stack = request["StackName"]
    status = _status(cloudformation, stack)
    try:
        if status in HALF_MADE:
            cloudformation.delete_stack(StackName=stack)
            _until(cloudformation, stack, lambda now: now in NOT_THERE)
            status = None
        if status is None:
            cloudformation.create_stack(**request)
        else:
            cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return False
        raise CloudFailed(f"CloudFormation refuses the template: {error.response['Error']['Message']}") from error
    return True


def _status(cloudformation: Any, stack: str) -> str | None:
    try:
        status: str = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return None if status in NOT_THERE else status


def _until(cloudformation: Any, stack: str, good: Callable[[str], bool]) -> str:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while True:
        status = _status(cloudformation, stack) or "DELETE_COMPLETE"
        if good(status):
            return status
        if time.monotonic() > deadline:
            raise CloudFailed(f"stack {stack} is {status} after {DEPLOY_SECONDS:.0f} s")
        time.sleep(0.1)


def _wait(cloudformation: Any, stack: str, good: tuple[str, ...]) -> dict[str, Any]:
    status = _until(cloudformation, stack, lambda now: not now.endswith("_IN_PROGRESS"))
    description: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    if status in good:
        return description
    reasons = "\n".join(f"  {reason}" for reason in failures(cloudformation, stack)) or "  no reason given"
    raise CloudFailed(f"stack {stack} is {status}:\n{reasons}")


def failures(cloudformation: Any, stack: str) -> Iterator[str]:
    """Each resource that failed in the last operation, nested stacks' first, in words."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    for event in events:
        if event.get("PhysicalResourceId") == event["StackId"] or event["LogicalResourceId"] == stack:
            if event["ResourceStatus"] in BEGINNINGS:
                return
            continue
        if not event["ResourceStatus"].endswith("_FAILED"):
            continue
        if event["ResourceType"] == "AWS::CloudFormation::Stack" and event.get("PhysicalResourceId"):
            yield from failures(cloudformation, event["PhysicalResourceId"])
        yield f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
