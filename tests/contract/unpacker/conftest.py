"""S3 over HTTP, because obstore speaks to it by itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from fakes import aws, ministack
from fakes.unpacking import VAULT_BUCKET

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="package")
def endpoint() -> Iterator[str]:
    with ministack.running() as address:
        yield address


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> "S3Client":
    """An empty S3 with a vault and a restore bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client: S3Client = aws.client("s3")
    for bucket in (VAULT_BUCKET, "restored"):
        if bucket in {found["Name"] for found in client.list_buckets()["Buckets"]}:
            for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
                client.delete_object(Bucket=bucket, Key=found["Key"])
            for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            continue
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture
def moto_s3(monkeypatch: pytest.MonkeyPatch) -> "Iterator[S3Client]":
    """S3 as moto plays it: it refuses to copy what is archived, and keeps the tags of a multipart upload; MiniStack does neither."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client: S3Client = aws.client("s3")
        for bucket in (VAULT_BUCKET, "restored"):
            client.create_bucket(Bucket=bucket)
        yield client
