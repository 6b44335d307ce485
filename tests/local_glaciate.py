"""Glaciate on the local cloud, as its users see it."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from glaciate_cli.api import Document
from glaciate_local.place import Place
from waiting import until

ENDED = {"COMPLETED", "PARTIAL", "FAILED", "CANCELLED"}
# A worker that is just leaving counts as one, so that work which comes then waits for the schedule, up to a minute.
IMPATIENCE_SECONDS = 8


@dataclass
class LocalGlaciate:
    """What a test does and looks at."""

    place: Place
    mails: list[Mapping[str, Any]] = field(default_factory=list)

    def upload(self, files: Mapping[str, bytes]) -> None:
        for key, content in files.items():
            self.place.s3.put_object(
                Bucket=self.place.bucket("source"), Key=key, Body=content, ContentType="text/x-story"
            )

    def archive(self, prefix: str, **fields: Any) -> Document:
        body = {"project_name": "demo", "bucket_name": self.place.bucket("source"), "prefix": prefix, **fields}
        accepted = self.place.api.archive(body, idempotency_key=str(uuid.uuid4()))
        return self._ended(accepted["job_id"])

    def restore(self, **fields: Any) -> Document:
        accepted = self.place.api.restore({"project_name": "demo", **fields}, idempotency_key=str(uuid.uuid4()))
        return self._ended(accepted["request_id"])

    def found(self, **query: str) -> list[Document]:
        pages = self.place.api.listing("files", {"project_name": "demo", **query}, page_size=100)
        return [file for page in pages for file in page["files"]]

    def keys(self, role: str, prefix: str) -> set[str]:
        return {key for key, _size in self.place.listing(role, prefix)}

    def content(self, location: str) -> tuple[bytes, str]:
        """Bytes and content type of a restored file."""
        bucket, _, key = location.removeprefix("s3://").partition("/")
        found = self.place.s3.get_object(Bucket=bucket, Key=key)
        return found["Body"].read(), found["ContentType"]

    @contextmanager
    def client(self, service: str) -> Iterator[Any]:
        """A client of boto3's for the local cloud."""
        made = self.place.client(service)
        with closing(made):
            yield made

    def launch_workers(self) -> None:
        """What the schedule does every minute: has the launchers look for work."""
        with self.client("lambda") as functions:
            for name in ("glaciate-packer-launch", "glaciate-unpacker-launch"):
                assert "FunctionError" not in functions.invoke(FunctionName=name, Payload=b"{}")

    def mail(self, *words: str) -> Mapping[str, Any]:
        """The notification that holds all these words."""

        def look() -> Mapping[str, Any] | None:
            url = str(self.place.local["notifications_url"])
            answer = self.place.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                self.place.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                self.mails.append(json.loads(message["Body"]))
            return next(
                (mail for mail in self.mails if all(word in f"{mail['Subject']}\n{mail['Message']}" for word in words)),
                None,
            )

        return until(f"a notification with {words}", look)

    def _ended(self, identifier: str) -> Document:
        launched = time.monotonic()

        def look() -> Document | None:
            nonlocal launched
            document = self.place.api.status(identifier)
            if document["state"] in ENDED:
                return document
            if time.monotonic() - launched > IMPATIENCE_SECONDS:
                self.launch_workers()
                launched = time.monotonic()
            return None

        until(f"the end of {identifier}", look, seconds=120)
        return self.place.api.whole_status(identifier)


@pytest.fixture(scope="session")
def place(cloud: dict[str, Any]) -> Iterator[Place]:
    """The session's local cloud, with clients for it."""
    found = Place.of(cloud)
    yield found
    found.close()


@pytest.fixture(scope="session")
def glaciate(place: Place) -> LocalGlaciate:
    """Glaciate on the session's local cloud."""
    return LocalGlaciate(place)
