"""The index: a row a member, written in batches of 25 by several threads.

botocore's way of writing an item takes as much time as reading the file it stands for; here a batch is JSON that is put
together at once and sent as one signed request.
"""

import random
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from pydantic_core import from_json, to_json

from glaciate.errors import Transient
from glaciate.tables import file_hash_key, file_range_prefix, file_stamp, split_key
from glaciate.telemetry import logger
from packer.adapters.lanes import Lanes, in_order
from packer.domain.archives import Archive

Send = Callable[[bytes], bytes]

_BATCH: Final = 25  # BatchWriteItem's limit
_LANES: Final = 4  # more where answers take their time
_WINDOW_BYTES: Final = 1024**2  # of rows on their way
_LONGEST_PAUSE_SECONDS: Final = 20.0
_THROTTLED: Final = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError"}
)
_NOTHING_LEFT: Final = b'{"UnprocessedItems":{}}'


class Refused(Exception):
    """DynamoDB did not take a batch now, and may later."""


class Connections:
    """Kept connections to one host, by `http.client`: an HTTP library costs as much as what it sends here."""

    def __init__(self, endpoint_url: str, *, ca_bundle: str | None, timeout_seconds: float = 60) -> None:
        url = urlsplit(endpoint_url)
        self._host, self._port = url.hostname or "", url.port
        self._tls = ssl.create_default_context(cafile=ca_bundle) if url.scheme == "https" else None
        self._timeout_seconds = timeout_seconds
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            OSError, HTTPException: the connection broke; the next request takes another.
        """
        try:
            connection = self._idle.popleft()
        except IndexError:
            connection = self._opened()
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer.status, content

    def _opened(self) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(self._host, self._port, timeout=self._timeout_seconds)
        return HTTPSConnection(self._host, self._port, timeout=self._timeout_seconds, context=self._tls)


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


@dataclass(frozen=True, slots=True)
class SignedBatchWriter:
    """BatchWriteItem as one signed request: JSON in, JSON out. Credentials are asked for each time, for they are renewed."""

    endpoint_url: str
    region: str
    credentials: Credentials
    connections: Connections

    def __call__(self, body: bytes) -> bytes:
        """The answer's body.

        Raises:
            Refused: throttled, a fault of the service, or a connection that broke.
            ClientError: anything else, which trying again does not mend.
        """
        request = AWSRequest(
            "POST",
            f"{self.endpoint_url}/",
            data=body,
            headers={
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
            },
        )
        SigV4Auth(self.credentials.get_frozen_credentials(), "dynamodb", self.region).add_auth(request)
        try:
            status, content = self.connections.post(body, dict(request.headers.items()))
        except (OSError, HTTPException) as error:
            raise Refused(repr(error)) from error
        if status == 200:
            return content
        if status >= 500:
            msg = f"{status}"
            raise Refused(msg)
        told = from_json(content)
        code = str(told.get("__type", "")).rpartition("#")[2]
        if code in _THROTTLED:
            raise Refused(code)
        raise ClientError({"Error": {"Code": code, "Message": str(told)}}, "BatchWriteItem")


def file_items(archive: Archive, files: Iterable[tuple[str, int]], *, sealed_at: datetime) -> Iterator[bytes]:
    """What `glaciate.tables.FileRow` stores, as DynamoDB's own JSON."""
    stamp = file_stamp(sealed_at, archive.archive_id)
    last_head: str | None = None
    range_json = cut = b""
    for key, size in files:
        head, base = split_key(key)
        if head != last_head:
            start, is_cut = file_range_prefix(archive.bucket, head)
            range_json, last_head = to_json(start + stamp), head
            cut = b',"c":{"BOOL":true}' if is_cut else b""
        hash_json = to_json(file_hash_key(archive.project, base))
        yield b'{"n":{"S":%b},"d":{"S":%b},"s":{"N":"%d"}%b}' % (hash_json, range_json, size, cut)


@dataclass(frozen=True, slots=True)
class DynamoFileIndex:
    """The files table. Unprocessed items and throttling are answered with patience: one hot name takes 1,000 rows a second."""

    send: Send
    table_name: str
    threads: int = 16
    patience_seconds: float = 900.0

    def add(self, archive: Archive, files: Iterable[tuple[str, int]], *, sealed_at: datetime) -> None:
        """Returns when every row is written; raises `Transient` when DynamoDB refuses for too long."""
        batches = _batches(file_items(archive, files, sealed_at=sealed_at))
        lanes = Lanes(most=self.threads, open=_LANES)
        with closing(in_order(batches, self._write, lanes=lanes, window_bytes=_WINDOW_BYTES)) as written:
            for _batch in written:
                pass

    def _write(self, batch: "_Batch", stop: threading.Event) -> None:
        table = to_json(self.table_name)
        puts = b",".join([b'{"PutRequest":{"Item":%b}}' % item for item in batch.items])
        body = b'{"RequestItems":{%b:[%b]}}' % (table, puts)
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.05
        while True:
            try:
                answer = self.send(body)
            except Refused as refused:
                logger().warning("index rows refused for now", extra={"reason": str(refused)})
            else:
                left: Any = {} if answer == _NOTHING_LEFT else from_json(answer).get("UnprocessedItems")
                if not left:
                    return
                body = to_json({"RequestItems": left})
            if time.monotonic() > deadline:
                raise Transient(f"DynamoDB did not take index rows for {self.patience_seconds} seconds")
            if stop.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - no secret depends on it
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one request takes."""

    items: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.items))


def _batches(items: Iterator[bytes]) -> Iterator[_Batch]:
    while batch := list(islice(items, _BATCH)):
        yield _Batch(batch)
