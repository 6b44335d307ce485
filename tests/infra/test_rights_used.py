"""Roles allow the calls that the code makes, and no others. DynamoDB's are seen in the flow tests: its calls hide behind models."""

import re
from functools import cache

import pytest

from stack import ROOT, SERVICES, as_list, resources, statements

# What a right lets the code write: names of boto3 calls and paginators, or of arguments.
CALLS_OF: dict[str, tuple[str, ...]] = {
    "s3:GetObject": ("get_object", "head_object", "copy_object", "upload_part_copy"),
    "s3:PutObject": ("put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"),
    "s3:GetObjectTagging": ("copy_object", "get_object_tagging"),  # a copy takes the tags along
    "s3:GetObjectVersionTagging": ("get_object_tagging",),
    "s3:PutObjectTagging": ("copy_object", "put_object", "create_multipart_upload"),
    "s3:DeleteObject": ("delete_object", "delete_objects"),
    "s3:AbortMultipartUpload": ("abort_multipart_upload",),
    "s3:ListBucket": ("list_objects_v2", "get_object", "head_object"),  # what is not there answers 404
    "s3:ListBucketMultipartUploads": ("list_multipart_uploads",),
    "s3:RestoreObject": ("restore_object",),
    "sqs:SendMessage": ("send_message", "send_message_batch"),
    "sqs:ReceiveMessage": ("receive_message",),
    "sqs:DeleteMessage": ("delete_message",),
    "sqs:ChangeMessageVisibility": ("change_message_visibility",),
    "sqs:GetQueueAttributes": ("get_queue_attributes",),
    "events:PutEvents": ("put_events",),
    "batch:SubmitJob": ("submit_job",),
    "batch:DescribeJobs": ("describe_jobs",),
    "batch:ListJobs": ("list_jobs",),
    "sns:Publish": ("publish",),
    "ssm:GetParameter": ("get_parameter",),
}
UNSEEN = ("dynamodb:", "logs:", "xray:", "kms:", "lambda:", "ecr:")  # Lambda's, Batch's and PynamoDB's own calls
OWN_CALLS = sorted({call for calls in CALLS_OF.values() for call in calls} - {"publish", "list_jobs"})


@cache
def source_of(folder: str) -> str:
    """All Python of a folder."""
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*.py")))


def makes(source: str, call: str) -> bool:
    """Whether the source calls, or pages through, that."""
    return re.search(rf'(\.{call}\(|get_paginator\("{call}"\))', source) is not None


def granted(service: str) -> set[str]:
    """Everything that the roles of a service may do."""
    return {
        action
        for role in resources("AWS::IAM::Role")
        if role.template == service
        for statement in statements(role)
        for action in as_list(statement["Action"])
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_nothing_that_its_code_does_not_do(service: str) -> None:
    source = source_of(f"services/{service}/src") + source_of("shared/src")

    for action in granted(service):
        if not action.startswith(UNSEEN):
            assert any(makes(source, call) for call in CALLS_OF[action]), action


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_what_its_code_does(service: str) -> None:
    may, source = granted(service), source_of(f"services/{service}/src")

    for call in OWN_CALLS:
        if makes(source, call):
            assert {action for action, calls in CALLS_OF.items() if call in calls} & may, call
