"""The index: a row a member, written in batches of 25 by several threads."""

import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from glaciate.errors import Transient
from glaciate.tables import file_hash_key, file_range_prefix, file_stamp, split_key
from glaciate.telemetry import logger
from packer.adapters.objects import error_code
from packer.domain.archives import Archive

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH: Final = 25  # BatchWriteItem's limit
_LONGEST_PAUSE_SECONDS: Final = 20.0
_THROTTLED: Final = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError"}
)


def file_items(
    archive: Archive, files: Iterable[tuple[str, int]], *, sealed_at: datetime
) -> Iterator[dict[str, dict[str, Any]]]:
    """What `glaciate.tables.FileRow` stores, as DynamoDB's own JSON."""
    stamp = file_stamp(sealed_at, archive.archive_id)
    last_head: str | None = None
    range_key, is_cut = "", False
    for key, size in files:
        head, base = split_key(key)
        if head != last_head:
            start, is_cut = file_range_prefix(archive.bucket, head)
            range_key, last_head = start + stamp, head
        item: dict[str, dict[str, Any]] = {
            "n": {"S": file_hash_key(archive.project, base)},
            "d": {"S": range_key},
            "s": {"N": str(size)},
        }
        if is_cut:
            item["c"] = {"BOOL": True}
        yield item


@dataclass(frozen=True, slots=True)
class DynamoFileIndex:
    """The files table. Unprocessed items and throttling are answered with patience: one hot name takes 1,000 rows a second."""

    dynamodb: "DynamoDBClient"
    table_name: str
    threads: int = 4
    patience_seconds: float = 900.0

    def add(self, archive: Archive, files: Iterable[tuple[str, int]], *, sealed_at: datetime) -> None:
        """Returns when every row is written; raises `Transient` when DynamoDB refuses for too long."""
        items = file_items(archive, files, sealed_at=sealed_at)
        stop = threading.Event()
        in_flight: deque[Future[None]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="index") as threads:
            try:
                while batch := list(islice(items, _BATCH)):
                    if len(in_flight) >= 2 * self.threads:
                        in_flight.popleft().result()
                    in_flight.append(threads.submit(self._write, batch, stop))
                while in_flight:
                    in_flight.popleft().result()
            except BaseException:
                stop.set()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _write(self, items: list[dict[str, dict[str, Any]]], stop: threading.Event) -> None:
        pending: Any = {self.table_name: [{"PutRequest": {"Item": item}} for item in items]}
        deadline = time.monotonic() + self.patience_seconds
        pause = 0.05
        while True:
            try:
                pending = self.dynamodb.batch_write_item(RequestItems=pending).get("UnprocessedItems")
            except ClientError as error:
                if error_code(error) not in _THROTTLED:
                    raise
                logger().warning("index throttled", extra={"reason": error_code(error)})
            if not pending:
                return
            if time.monotonic() > deadline:
                raise Transient(f"DynamoDB did not take index rows for {self.patience_seconds} seconds")
            if stop.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - no secret depends on it
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
