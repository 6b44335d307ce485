"""S3 as strict about archived objects as AWS is, with time travel. It stands where a boto3 S3 client stands.

What it does comes from the S3 User Guide and API reference, and tests/contract/test_strict_thaw.py proves it line by line:
a first RestoreObject is 202 and the copy is there when the tier's time is over, not before; while it is under way another is 409
RestoreAlreadyInProgress, unless it asks for a faster tier with the same days; when the copy is there it is 200 and renews the period
from now; Expedited is refused by DEEP_ARCHIVE and, without capacity, 503 by GLACIER; a period ends at the midnight (UTC) after the
days counted from the request; an archived object without a copy answers GET and copy with 403 InvalidObjectState, and HEAD always;
more than 1,000 restore requests a second are 503; `Object Restore Initiated`, `Completed` and `Expired` are told as EventBridge
tells them. docs/test-kit.md shows how to use it.
"""

# ruff: noqa: N803 - the arguments are boto3's

import hashlib
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import ClientError

START: Final = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
_TIMES: Final = {
    "DEEP_ARCHIVE": {"Standard": timedelta(hours=12), "Bulk": timedelta(hours=48)},
    "GLACIER": {"Expedited": timedelta(minutes=5), "Standard": timedelta(hours=5), "Bulk": timedelta(hours=12)},
}
_RESTORES_A_SECOND: Final = 1_000
_PAGE_KEYS: Final = 1_000
_SPEED: Final = {"Bulk": 0, "Standard": 1, "Expedited": 2}


@dataclass
class _Restore:
    tier: str
    days: int
    ready_at: datetime
    expires_at: datetime


@dataclass
class _Object:
    body: bytes
    storage_class: str
    version_id: str | None
    restore: _Restore | None = None


@dataclass
class StrictS3:
    """Buckets need not be made. `asked` lists every call; `told` every event, in EventBridge's envelope; `before_call` may raise."""

    now: datetime = START
    expedited_capacity: bool = True
    versioned: bool = False
    each_call_takes: timedelta = timedelta()
    before_call: Callable[[str], None] = lambda _operation: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    _objects: dict[tuple[str, str], _Object] = field(default_factory=dict)
    _throttled: int = 0
    _restored_at: deque[datetime] = field(default_factory=lambda: deque(maxlen=_RESTORES_A_SECOND + 1))
    _refused: dict[str, str] = field(default_factory=dict)
    _failing_heads: deque[int] = field(default_factory=deque)

    def clock(self) -> datetime:
        """The time it is here."""
        return self.now

    def advance(self, **time: float) -> None:
        """Lets time pass; what is due on the way happens, in its order."""
        until = self.now + timedelta(**time)
        while (due := self._next_due()) is not None and due[0] <= until:
            self.now = max(self.now, due[0])
            self._happen(*due[1])
        self.now = until

    def throttle(self, requests: int) -> None:
        """Refuses that many of the next RestoreObject requests with 503 SlowDown."""
        self._throttled = requests

    def refuse(self, key: str, code: str) -> None:
        """Answers every HEAD of an object with 403 and this code, from now on."""
        self._refused[key] = code

    def fail_heads(self, *statuses: int) -> None:
        """Answers the next HEADs with these, one each; HEAD has no body to name the error, and boto3 calls it by its number."""
        self._failing_heads.extend(statuses)

    def completions(self) -> list[dict[str, Any]]:
        """The events that tell of readable copies."""
        return [event for event in self.told if event["detail-type"] == "Object Restore Completed"]

    # What a boto3 client offers; names and arguments are boto3's.

    def put_object(
        self, *, Bucket: str, Key: str, Body: bytes, StorageClass: str = "STANDARD", **_more: Any
    ) -> dict[str, Any]:
        self._note("PutObject", Key)
        self._objects[Bucket, Key] = self._object(bytes(Body), StorageClass)
        return _answer(200, ETag=_etag(Body))

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._note("DeleteObject", Key)
        self._objects.pop((Bucket, Key), None)
        return _answer(204)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._note("HeadObject", Key)
        if self._failing_heads:
            status = self._failing_heads.popleft()
            raise _error(status, str(status), HTTPStatus(status).phrase, "HeadObject")
        if Key in self._refused:
            raise _error(403, self._refused[Key], "refused", "HeadObject")
        found = self._objects.get((Bucket, Key))
        if found is None:
            raise _error(404, "404", "Not Found", "HeadObject")
        said: dict[str, Any] = {"ContentLength": len(found.body), "ETag": _etag(found.body)}
        if found.storage_class != "STANDARD":  # S3 leaves it out for Standard
            said["StorageClass"] = found.storage_class
        if found.restore is not None:
            said["Restore"] = self._header(found.restore)
        return _answer(200, **said)

    def get_object(self, *, Bucket: str, Key: str, Range: str | None = None, **_more: Any) -> dict[str, Any]:
        self._note("GetObject", Key)
        found = self._readable(Bucket, Key, "GetObject")
        body = found.body
        if Range is not None:
            start, _dash, end = Range.removeprefix("bytes=").partition("-")
            if int(start) >= len(body):
                raise _error(416, "InvalidRange", "The requested range is not satisfiable", "GetObject")
            body = body[int(start) : int(end) + 1 if end else None]
        return _answer(206 if Range else 200, Body=io.BytesIO(body), ContentLength=len(body), ETag=_etag(found.body))

    def copy_object(self, *, Bucket: str, Key: str, CopySource: dict[str, str], **_more: Any) -> dict[str, Any]:
        self._note("CopyObject", Key)
        found = self._readable(CopySource["Bucket"], CopySource["Key"], "CopyObject")
        self._objects[Bucket, Key] = self._object(found.body, "STANDARD")
        return _answer(200, CopyObjectResult={"ETag": _etag(found.body)})

    def upload_part_copy(self, *, Bucket: str, Key: str, CopySource: dict[str, str], **_more: Any) -> dict[str, Any]:
        self._note("UploadPartCopy", Key)
        found = self._readable(CopySource["Bucket"], CopySource["Key"], "UploadPartCopy")
        return _answer(200, CopyPartResult={"ETag": _etag(found.body)})

    def get_object_attributes(self, *, Bucket: str, Key: str, ObjectAttributes: list[str]) -> dict[str, Any]:
        self._note("GetObjectAttributes", Key)
        found = self._objects.get((Bucket, Key))
        if found is None:
            raise _error(404, "NoSuchKey", "The specified key does not exist.", "GetObjectAttributes")
        said = {
            "ETag": _etag(found.body).strip('"'),
            "ObjectSize": len(found.body),
            "StorageClass": found.storage_class,
        }
        return _answer(200, **{name: value for name, value in said.items() if name in ObjectAttributes})

    def restore_object(self, *, Bucket: str, Key: str, RestoreRequest: dict[str, Any]) -> dict[str, Any]:
        self._note("RestoreObject", Key)
        found = self._objects.get((Bucket, Key))
        if self._throttled:
            self._throttled -= 1
            raise _error(503, "SlowDown", "Please reduce your request rate.", "RestoreObject")
        self._restored_at.append(self.now)
        if len(self._restored_at) > _RESTORES_A_SECOND and self.now - self._restored_at[0] < timedelta(seconds=1):
            raise _error(503, "SlowDown", "Please reduce your request rate.", "RestoreObject")
        if found is None:
            raise _error(404, "NoSuchKey", "The specified key does not exist.", "RestoreObject")
        tier, days = RestoreRequest.get("GlacierJobParameters", {}).get("Tier", "Standard"), RestoreRequest["Days"]
        self._refuse_impossible(found, tier)
        if found.restore is None:
            self._begin(Bucket, Key, found, tier, days)
            return _answer(202)
        if found.restore.ready_at <= self.now:
            found.restore.expires_at = _expiry(self.now, days)
            return _answer(200)
        if _SPEED[tier] <= _SPEED[found.restore.tier] or days != found.restore.days:
            message = "Object restore is already in progress"
            raise _error(409, "RestoreAlreadyInProgress", message, "RestoreObject")
        found.restore.tier = tier
        found.restore.ready_at = min(found.restore.ready_at, self.now + _TIMES[found.storage_class][tier])
        return _answer(202)

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        ContinuationToken: str | None = None,
        OptionalObjectAttributes: list[str] | None = None,
    ) -> dict[str, Any]:
        self._note("ListObjectsV2", Prefix)
        contents: list[dict[str, Any]] = []
        for (bucket, key), found in sorted(self._objects.items(), key=lambda item: item[0][1].encode()):
            if bucket != Bucket or not key.startswith(Prefix) or key.encode() <= (ContinuationToken or "").encode():
                continue
            if len(contents) == _PAGE_KEYS:
                last: str = contents[-1]["Key"]
                return _answer(
                    200, Contents=contents, KeyCount=_PAGE_KEYS, IsTruncated=True, NextContinuationToken=last
                )
            entry: dict[str, Any] = {"Key": key, "Size": len(found.body), "StorageClass": found.storage_class}
            if found.restore is not None and "RestoreStatus" in (OptionalObjectAttributes or ()):
                running = found.restore.ready_at > self.now
                entry["RestoreStatus"] = {"IsRestoreInProgress": running}
                if not running:
                    entry["RestoreStatus"]["RestoreExpiryDate"] = found.restore.expires_at
            contents.append(entry)
        return _answer(200, Contents=contents, KeyCount=len(contents), IsTruncated=False)

    def _object(self, body: bytes, storage_class: str) -> _Object:
        return _Object(body, storage_class, f"v{len(self.asked)}" if self.versioned else None)

    def _note(self, operation: str, key: str) -> None:
        if self.each_call_takes:
            self.advance(seconds=self.each_call_takes.total_seconds())
        self.before_call(operation)
        self.asked.append((operation, key))

    def _refuse_impossible(self, found: _Object, tier: str) -> None:
        if found.storage_class == "INTELLIGENT_TIERING":
            message = "This action is not allowed against this storage tier."
            raise _error(403, "ObjectAlreadyInActiveTierError", message, "RestoreObject")
        if found.storage_class not in _TIMES:
            message = "Restore is not allowed for the object's current storage class"
            raise _error(403, "InvalidObjectState", message, "RestoreObject")
        if tier not in _TIMES[found.storage_class]:
            message = "Retrieval option is not supported by this storage class"
            raise _error(400, "InvalidArgument", message, "RestoreObject")
        if tier == "Expedited" and not self.expedited_capacity:
            message = "Glacier expedited retrievals are currently not available, please try again later"
            raise _error(503, "GlacierExpeditedRetrievalNotAvailable", message, "RestoreObject")

    def _begin(self, bucket: str, key: str, found: _Object, tier: str, days: int) -> None:
        ready_at = self.now + _TIMES[found.storage_class][tier]
        found.restore = _Restore(tier, days, ready_at, _expiry(self.now, days))
        self._tell("Object Restore Initiated", bucket, key, {"source-storage-class": found.storage_class})

    def _next_due(self) -> tuple[datetime, tuple[str, str]] | None:
        due = [
            (found.restore.ready_at if found.restore.ready_at > self.now else found.restore.expires_at, place)
            for place, found in self._objects.items()
            if found.restore is not None
        ]
        return min(due) if due else None

    def _happen(self, bucket: str, key: str) -> None:
        found = self._objects[bucket, key]
        restore = found.restore
        if restore is None:
            return
        if restore.expires_at <= self.now:
            if restore.ready_at == self.now:  # it lapses as it completes
                self._tell_completed(bucket, key, found, restore)
            found.restore = None
            self._tell("Object Restore Expired", bucket, key, {})
            return
        self._tell_completed(bucket, key, found, restore)

    def _tell_completed(self, bucket: str, key: str, found: _Object, restore: _Restore) -> None:
        expiry = restore.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        more = {"restore-expiry-time": expiry, "source-storage-class": found.storage_class}
        self._tell("Object Restore Completed", bucket, key, more)

    def _tell(self, name: str, bucket: str, key: str, more: dict[str, Any]) -> None:
        found = self._objects[bucket, key]
        self.told.append(
            {
                "version": "0",
                "id": f"00000000-0000-0000-0000-{len(self.told):012}",
                "detail-type": name,
                "source": "aws.s3",
                "account": "123456789012",
                "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": "us-east-1",
                "resources": [f"arn:aws:s3:::{bucket}"],
                "detail": {
                    "version": "0",
                    "bucket": {"name": bucket},
                    "object": {
                        "key": key,
                        "size": len(found.body),
                        "etag": _etag(found.body).strip('"'),
                        **({"version-id": found.version_id} if found.version_id else {}),
                    },
                    "request-id": "ABCD1234",
                    "requester": "s3.amazonaws.com" if name != "Object Restore Initiated" else "123456789012",
                    **more,
                },
            }
        )

    def _readable(self, bucket: str, key: str, operation: str) -> _Object:
        found = self._objects.get((bucket, key))
        if found is None:
            raise _error(404, "NoSuchKey", "The specified key does not exist.", operation)
        copied = found.restore is not None and found.restore.ready_at <= self.now < found.restore.expires_at
        if found.storage_class in _TIMES and not copied:
            message = "The operation is not valid for the object's storage class"
            raise _error(403, "InvalidObjectState", message, operation)
        return found

    def _header(self, restore: _Restore) -> str:
        if restore.ready_at > self.now:
            return 'ongoing-request="true"'
        return f'ongoing-request="false", expiry-date="{format_datetime(restore.expires_at, usegmt=True)}"'


def _expiry(asked_at: datetime, days: int) -> datetime:
    """ "adds the number of days to the time that you request to restore, and then rounds to the next day at midnight UTC"."""
    lapse = asked_at + timedelta(days=days)
    return lapse.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _answer(status: int, **said: Any) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": status}, **said}


def _error(status: int, code: str, message: str, operation: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)
