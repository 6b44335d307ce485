"""The index: a row a member, written in batches of 25, several at once.

botocore's way of writing an item takes as much time as reading the file it stands for; here a batch is JSON that is put
together at once and sent as one request.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from http.client import INTERNAL_SERVER_ERROR, OK
from itertools import islice
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic_core import from_json, to_json

from glaciate.errors import Transient
from glaciate.tables import (
    file_hash_key,
    file_numbers_room,
    file_range_prefix,
    file_stamp,
    number_bytes,
    split_key,
)
from glaciate.telemetry import logger
from packer.adapters.aws_requests import AwsRequests
from packer.adapters.transfers import Answer, Pause, Task, TransferFailed, Transfers
from packer.domain.archives import Archive, CatalogEntry

Send = Callable[[bytes], Task[bytes | bytearray]]

_BATCH: Final = 25  # BatchWriteItem's limit
_HEADERS: Final = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.BatchWriteItem")]
_SMALL_KEYS: Final = (
    900  # bytes of a row's two keys that leave it one kilobyte, which is one write unit, whatever else is in it
)
_LONGEST_PAUSE_SECONDS: Final = 20.0
_THROTTLED: Final = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError"}
)
_NOTHING_LEFT: Final = b'{"UnprocessedItems":{}}'


class Refused(Exception):
    """DynamoDB did not take a batch now, and may later."""


@dataclass(frozen=True, slots=True)
class BatchWriter:
    """BatchWriteItem as one signed request: JSON in, JSON out."""

    endpoint_url: str
    requests: AwsRequests

    def __call__(self, body: bytes) -> Task[bytes | bytearray]:
        """The answer's body.

        Raises:
            Refused: throttled, a fault of the service, or no whole answer.
            ClientError: anything else, which trying again does not mend.
        """
        try:
            answer: Answer = yield self.requests.post(f"{self.endpoint_url}/", _HEADERS, body)
        except (TransferFailed, BotoCoreError) as error:  # the latter where credentials are not renewed now
            raise Refused(str(error)) from error
        if answer.status == OK:
            return answer.body
        if answer.status >= INTERNAL_SERVER_ERROR:
            msg = f"{answer.status}"
            raise Refused(msg)
        told = from_json(answer.body)
        code = str(told.get("__type", "")).rpartition("#")[2]
        if code in _THROTTLED:
            raise Refused(code)
        raise ClientError({"Error": {"Code": code, "Message": str(told)}}, "BatchWriteItem")


def file_items(archive: Archive, files: Iterable[CatalogEntry], *, sealed_at: datetime) -> Iterator[bytes]:
    """What `glaciate.tables.FileRow` stores, as DynamoDB's own JSON; the page where it has room."""
    stamp = file_stamp(sealed_at, archive.archive_id)
    room = file_numbers_room(archive.project, archive.bucket)
    last_head: str | None = None
    last_page: int | None = None
    range_json = cut = page_json = b""
    page_bytes = 0
    for key, size, _etag, page in files:
        head, base = split_key(key)
        if head != last_head:
            start, is_cut = file_range_prefix(archive.bucket, head)
            range_json, last_head = to_json(start + stamp), head
            cut = b',"c":{"BOOL":true}' if is_cut else b""
        if page != last_page and page is not None:
            page_json, page_bytes, last_page = b',"p":{"N":"%d"}' % page, 1 + number_bytes(page), page
        hash_json = to_json(file_hash_key(archive.project, base))
        fits = page is not None and page_bytes + number_bytes(size) <= room
        is_small = len(hash_json) + len(range_json) <= _SMALL_KEYS
        more = page_json if fits and is_small else cut
        yield b'{"n":{"S":%b},"d":{"S":%b},"s":{"N":"%d"}%b}' % (hash_json, range_json, size, more)


@dataclass(frozen=True, slots=True)
class DynamoFileIndex:
    """The files table. Unprocessed items and throttling are answered with patience: one hot name takes 1,000 rows a second."""

    send: Send
    transfers: Transfers
    table_name: str
    patience_seconds: float = 900.0

    def add(self, archive: Archive, files: Iterable[CatalogEntry], *, sealed_at: datetime) -> None:
        """Returns when every row is written; raises `Transient` when DynamoDB refuses for too long."""
        items = file_items(archive, files, sealed_at=sealed_at)
        tasks = ((sum(map(len, batch)), self._writing(batch)) for batch in _batches(items))
        with closing(self.transfers.in_order(tasks)) as written:
            for _batch in written:
                pass

    def _writing(self, items: list[bytes]) -> Task[None]:
        table = to_json(self.table_name)
        puts = b",".join([b'{"PutRequest":{"Item":%b}}' % item for item in items])
        body = b'{"RequestItems":{%b:[%b]}}' % (table, puts)
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.05
        while True:
            try:
                answer = yield from self.send(body)
            except Refused as refused:
                logger().warning("index rows refused for now", extra={"reason": str(refused)})
            else:
                left: Any = {} if answer == _NOTHING_LEFT else from_json(answer).get("UnprocessedItems")
                if not left:
                    return
                body = to_json({"RequestItems": left})
            if time.monotonic() > deadline:
                raise Transient(f"DynamoDB did not take index rows for {self.patience_seconds} seconds")
            yield Pause(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret depends on it
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _batches(items: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(islice(items, _BATCH)):
        yield batch
