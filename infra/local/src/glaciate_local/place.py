"""The local cloud as its clients see it: what `local.json` names, with clients for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from obstore.store import S3Store

from glaciate_cli.api import GlaciateApi
from glaciate_local.settings import LocalSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """The local cloud, as a client sees it."""

    local: Mapping[str, Any]
    api: GlaciateApi
    s3: "S3Client"
    sqs: "SQSClient"

    @classmethod
    def of(cls, local: Mapping[str, Any]) -> "Place":
        """Clients for what `local.json` names."""
        keys = {"aws_access_key_id": local["access_key_id"], "aws_secret_access_key": local["secret_access_key"]}
        session = boto3.Session(region_name=local["region"], **keys)
        config = Config(max_pool_connections=_CONNECTIONS, s3={"addressing_style": "path"})
        address = local["aws_endpoint_url"]
        credentials = Credentials(local["access_key_id"], local["secret_access_key"])
        return cls(
            local=local,
            api=GlaciateApi(url=local["api_url"], region=local["region"], credentials=credentials),
            s3=session.client("s3", endpoint_url=address, config=config),
            sqs=session.client("sqs", endpoint_url=address, config=config),
        )

    def client(self, service: str) -> Any:
        """A client of boto3's for another service; whoever asks closes it."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.local["aws_endpoint_url"],
            region_name=self.local["region"],
            aws_access_key_id=self.local["access_key_id"],
            aws_secret_access_key=self.local["secret_access_key"],
        )

    @classmethod
    def here(cls, settings: LocalSettings) -> "Place":
        """The local cloud of this folder.

        Raises:
            OSError: it is not up.
        """
        return cls.of(json.loads(settings.local_json.read_text(encoding="utf-8")))

    def close(self) -> None:
        """Lets go of the connections."""
        self.api.http.close()
        self.s3.close()
        self.sqs.close()

    def bucket(self, role: str) -> str:
        """The name of the source, vault, work or restore bucket."""
        return cast(str, self.local["buckets"][role])

    def store(self, role: str) -> S3Store:
        """One of those buckets for many small objects: obstore takes a fraction of boto3's time for each."""
        return S3Store(
            self.bucket(role),
            endpoint=self.local["aws_endpoint_url"],
            region=self.local["region"],
            access_key_id=self.local["access_key_id"],
            secret_access_key=self.local["secret_access_key"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def listing(self, role: str, prefix: str) -> list[tuple[str, int]]:
        """Keys and sizes under a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket(role), Prefix=prefix)
        return [(found["Key"], found["Size"]) for page in pages for found in page.get("Contents", [])]
