"""Archived objects that behave as on S3: who may thaw them how, what is said when they are, and what is refused."""

import contextlib
import datetime as dt
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast
from urllib.parse import unquote

from ministack.services import eventbridge, s3

from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.on_loop import on_loop, server_loop
from glaciate_local.gaps.s3_answer import Answer, current_object, refuse
from glaciate_local.settings import LocalSettings

FASTER = {"Bulk": 0, "Standard": 1, "Expedited": 2}
DAY_SECONDS = 24 * 60 * 60
wanted_attributes: ContextVar[str] = ContextVar("wanted_attributes", default="")


def iso(moment: float) -> str:
    """S3's times."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_the_clock(settings: LocalSettings) -> None:
    """Thaw in the time that was set, and let a copy's days be shorter, so that tests see it expire."""
    s3._RESTORE_DELAY_SECONDS = settings.thaw_seconds
    expiry_alone = s3._restore_expiry_epoch

    def expiry(start: float, days: int) -> float:
        if settings.day_seconds == DAY_SECONDS:
            midnight: float = expiry_alone(start, days)
            return midnight
        return start + days * settings.day_seconds

    s3._restore_expiry_epoch = expiry


def wait_without_threads(_: LocalSettings) -> None:
    """Wait for thaws and expiries on the server's loop: MiniStack keeps two threads per restore, one for days."""

    def later(moment: float, act: Callable[[], None]) -> None:
        server_loop().call_later(max(0.0, moment - time.time()), act)

    def restore_of(bucket_name: str, key: str) -> tuple[Any, Any]:
        thing = current_object(bucket_name, key)
        return thing, (thing or {}).get("restore") or {}

    def completed(bucket_name: str, key: str, requested_at: float) -> None:
        def fire() -> None:
            thing, restore = restore_of(bucket_name, key)
            if restore.get("requested_at") != requested_at or restore.get("completed_fired"):
                return
            if restore["available_at"] > time.time():
                later(restore["available_at"], fire)
                return
            restore["completed_fired"] = True
            data = {
                "lifecycleRestorationExpiryTime": s3._restore_expiry_iso(restore["expires_at"]),
                "lifecycleRestoreStorageClass": thing["storage_class"],
            }
            s3._fire_s3_event(
                *(bucket_name, key, "s3:ObjectRestore:Completed"),
                size=thing["size"],
                etag=thing["etag"],
                restore_event_data=data,
            )

        _, restore = restore_of(bucket_name, key)
        later(restore["available_at"], fire)

    def expiry(bucket_name: str, key: str, expires_at: float) -> None:
        def lapse() -> None:
            thing, restore = restore_of(bucket_name, key)
            if restore.get("expires_at") == expires_at:
                s3._sync_restore(bucket_name, key, thing)

        later(expires_at, lapse)

    s3._schedule_restore_completed = on_loop(completed)
    s3._schedule_restore_expiry = on_loop(expiry)


def restore_as_s3_does(_: LocalSettings) -> None:
    """Refuse Expedited for DEEP_ARCHIVE and what is no tier at all; let a faster tier overtake a slower one."""
    restore_alone = s3._restore_object

    def restore_object(bucket_name: str, key: str, body: bytes) -> Answer:
        thing = current_object(bucket_name, key)
        days, tier = _asked(body)
        if thing is None or tier is None:
            return cast(Answer, restore_alone(bucket_name, key, body))
        at = f"/{bucket_name}/{key}"
        if tier not in FASTER or (days is not None and days < 1):
            return refuse("MalformedXML", "The XML you provided was not well-formed", at=at)
        if tier == "Expedited" and thing.get("storage_class") == "DEEP_ARCHIVE":
            return refuse("InvalidArgument", "Retrieval option is not supported by this storage class", at=at)
        running = thing.get("restore") or {"tier": tier}
        faster = FASTER[tier] > FASTER[running["tier"]] and days == running["days"]
        if faster and s3._sync_restore(bucket_name, key, thing) == "in_progress":
            running["tier"] = tier
            return 202, {}, b""
        return cast(Answer, restore_alone(bucket_name, key, body))

    s3._restore_object = restore_object


def _asked(body: bytes) -> tuple[int | None, str | None]:
    """Days and tier of a restore request; the original answers what is malformed."""
    days, tier = None, "Standard"
    with contextlib.suppress(ET.ParseError, ValueError):
        for element in ET.fromstring(body).iter():
            name, text = element.tag.rpartition("}")[2], (element.text or "").strip()
            if name == "Days":
                days = int(text)
            if name == "Tier":
                tier = text
        return days, tier
    return None, None


def tell_all_about_a_thaw(_: LocalSettings) -> None:
    """Give `Object Restore Completed` the detail the S3 User Guide shows."""
    dispatch_alone = eventbridge._dispatch_event

    def dispatch(event: Any, view: Any = None) -> None:
        if event.get("Source") == "aws.s3" and event.get("DetailType") == "Object Restore Completed":
            given = json.loads(event["Detail"])
            bucket, about = given["bucket"]["name"], given["object"]
            thing = s3._buckets[bucket]["objects"][about["key"]]
            version = {"version-id": thing["version_id"]} if thing.get("version_id") else {}
            detail = {
                "version": "0",
                "bucket": {"name": bucket},
                "object": {"key": about["key"], "size": about["size"], "etag": about["etag"], **version},
                "request-id": given["request-id"],
                "requester": "s3.amazonaws.com",
                "restore-expiry-time": iso(thing["restore"]["expires_at"]),
                "source-storage-class": thing["storage_class"],
            }
            event, view = {**event, "Detail": json.dumps(detail)}, None
        dispatch_alone(event, view)

    eventbridge._dispatch_event = dispatch


def copy_as_s3_does(_: LocalSettings) -> None:
    """Refuse to copy what is archived, and store a copy as STANDARD unless told otherwise."""
    copy_alone, part_alone = s3._copy_object, s3._upload_part_copy

    def unreadable(headers: dict[str, str]) -> Answer | None:
        path = unquote(headers.get("x-amz-copy-source", "").lstrip("/").partition("?")[0])
        bucket_name, _, key = path.partition("/")
        thing = current_object(bucket_name, key)
        if thing is None or thing.get("storage_class") not in s3._ARCHIVE_STORAGE_CLASSES:
            return None
        if s3._sync_restore(bucket_name, key, thing) == "restored":
            return None
        return cast(Answer, s3._invalid_object_state(bucket_name, key, thing["storage_class"]))

    def copy_object(bucket_name: str, key: str, headers: dict[str, str]) -> Answer:
        headers = {"x-amz-storage-class": "STANDARD", **headers}
        return unreadable(headers) or copy_alone(bucket_name, key, headers)

    def upload_part_copy(bucket_name: str, key: str, params: Any, headers: dict[str, str]) -> Answer:
        return unreadable(headers) or part_alone(bucket_name, key, params, headers)

    s3._copy_object = copy_object
    s3._upload_part_copy = upload_part_copy


def list_restore_status(_: LocalSettings) -> None:
    """ListObjectsV2 tells RestoreStatus to who asks by OptionalObjectAttributes."""
    handle_alone, list_alone = s3.handle_request, s3._list_objects_v2

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, params: Any, *rest: Any, **more: Any
    ) -> Any:
        token = wanted_attributes.set(headers.get("x-amz-optional-object-attributes", ""))
        try:
            return await handle_alone(method, path, headers, body, params, *rest, **more)
        finally:
            wanted_attributes.reset(token)

    def list_objects_v2(bucket_name: str, params: Any) -> Answer:
        status, headers, body = list_alone(bucket_name, params)
        if status != 200 or "RestoreStatus" not in wanted_attributes.get():
            return status, headers, body
        space = f"{{{s3.S3_NS}}}"
        ET.register_namespace("", s3.S3_NS)
        root = ET.fromstring(body)
        encoded = root.findtext(f"{space}EncodingType") == "url"
        for content in root.iter(f"{space}Contents"):
            key = content.findtext(f"{space}Key") or ""
            key = unquote(key) if encoded else key
            thing = s3._buckets[bucket_name]["objects"][key]
            phase = s3._sync_restore(bucket_name, key, thing)
            if phase is None:
                continue
            told = ET.SubElement(content, f"{space}RestoreStatus")
            ET.SubElement(told, f"{space}IsRestoreInProgress").text = str(phase == "in_progress").lower()
            if phase == "restored":
                expires = iso(thing["restore"]["expires_at"])
                ET.SubElement(told, f"{space}RestoreExpiryDate").text = expires
        return status, headers, ET.tostring(root, encoding="utf-8", xml_declaration=True)

    s3.handle_request = handle_request
    s3._list_objects_v2 = list_objects_v2


GAPS = (
    Gap("thaw delay", "thaws in hours; here in the seconds that were set", set_the_clock),
    Gap("no thread per restore", "can thaw thousands of objects at once", wait_without_threads),
    Gap("restore tiers", "refuses Expedited for DEEP_ARCHIVE, lets a faster tier overtake", restore_as_s3_does),
    Gap("restore event detail", "tells until when the copy lives and its storage class", tell_all_about_a_thaw),
    Gap("copies of archived objects", "refuses them with 403 InvalidObjectState", copy_as_s3_does),
    Gap("restore status in listings", "lists RestoreStatus when asked", list_restore_status),
)
