"""The strict fake against what is known of S3, line by line."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fakes.strict_thaw import START, StrictS3
from glaciate.events import ObjectRestoreCompleted

KEY = "archives/demo/01aaaaa000010000.zip"


@pytest.fixture
def s3() -> StrictS3:
    s3 = StrictS3()
    s3.put_object(Bucket="vault", Key=KEY, Body=b"zip", StorageClass="DEEP_ARCHIVE")
    return s3


def restore(s3: StrictS3, tier: str = "Standard", days: int = 3, key: str = KEY) -> int:
    request = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
    status: int = s3.restore_object(Bucket="vault", Key=key, RestoreRequest=request)["ResponseMetadata"][
        "HTTPStatusCode"
    ]
    return status


def refused(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def header(s3: StrictS3) -> str | None:
    said: str | None = s3.head_object(Bucket="vault", Key=KEY).get("Restore")
    return said


def test_an_archived_object_cannot_be_read_or_copied_but_head_works(s3: StrictS3) -> None:
    source = {"Bucket": "vault", "Key": KEY}

    assert refused(lambda: s3.get_object(Bucket="vault", Key=KEY)) == (403, "InvalidObjectState")
    assert refused(lambda: s3.copy_object(Bucket="x", Key="y", CopySource=source)) == (403, "InvalidObjectState")
    assert s3.head_object(Bucket="vault", Key=KEY)["StorageClass"] == "DEEP_ARCHIVE"
    assert header(s3) is None


def test_a_first_request_is_202_and_the_header_says_that_it_is_under_way(s3: StrictS3) -> None:
    assert restore(s3) == 202
    assert header(s3) == 'ongoing-request="true"'
    assert refused(lambda: s3.get_object(Bucket="vault", Key=KEY)) == (403, "InvalidObjectState")


@pytest.mark.parametrize(
    ("storage_class", "tier", "takes"),
    [
        ("DEEP_ARCHIVE", "Standard", timedelta(hours=12)),
        ("DEEP_ARCHIVE", "Bulk", timedelta(hours=48)),
        ("GLACIER", "Expedited", timedelta(minutes=5)),
        ("GLACIER", "Standard", timedelta(hours=5)),
        ("GLACIER", "Bulk", timedelta(hours=12)),
    ],
)
def test_the_copy_is_there_when_the_tiers_time_is_over(storage_class: str, tier: str, takes: timedelta) -> None:
    s3 = StrictS3()
    s3.put_object(Bucket="vault", Key=KEY, Body=b"zip", StorageClass=storage_class)
    restore(s3, tier, days=5)

    s3.advance(seconds=takes.total_seconds() - 1)
    before = header(s3)
    s3.advance(seconds=1)

    assert before == 'ongoing-request="true"'
    assert s3.get_object(Bucket="vault", Key=KEY)["Body"].read() == b"zip"


def test_a_second_request_while_one_is_under_way_is_409(s3: StrictS3) -> None:
    restore(s3)

    assert refused(lambda: restore(s3)) == (409, "RestoreAlreadyInProgress")


def test_a_faster_tier_with_the_same_days_speeds_it_up(s3: StrictS3) -> None:
    restore(s3, "Bulk", days=3)
    s3.advance(hours=1)

    assert restore(s3, "Standard", days=3) == 202
    s3.advance(hours=12)
    assert header(s3) == 'ongoing-request="false", expiry-date="Sun, 05 Jul 2026 00:00:00 GMT"'


def test_a_faster_tier_with_other_days_is_409(s3: StrictS3) -> None:
    restore(s3, "Bulk", days=3)

    assert refused(lambda: restore(s3, "Standard", days=4)) == (409, "RestoreAlreadyInProgress")


def test_a_slower_tier_is_409(s3: StrictS3) -> None:
    restore(s3, "Standard")

    assert refused(lambda: restore(s3, "Bulk")) == (409, "RestoreAlreadyInProgress")


def test_a_request_when_the_copy_is_there_is_200_and_renews_the_period_from_now(s3: StrictS3) -> None:
    restore(s3, days=3)
    s3.advance(days=2)

    assert restore(s3, days=3) == 200
    assert header(s3) == 'ongoing-request="false", expiry-date="Tue, 07 Jul 2026 00:00:00 GMT"'


def test_the_period_counts_from_the_request_and_ends_at_the_next_midnight(s3: StrictS3) -> None:
    restore(s3, "Standard", days=1)
    s3.advance(hours=12)

    assert datetime(2026, 7, 1, 10, 30, tzinfo=UTC) == START
    assert header(s3) == 'ongoing-request="false", expiry-date="Fri, 03 Jul 2026 00:00:00 GMT"'


def test_a_bulk_copy_asked_for_one_day_lapses_before_it_is_of_use(s3: StrictS3) -> None:
    restore(s3, "Bulk", days=1)

    s3.advance(hours=48)

    assert header(s3) is None
    assert refused(lambda: s3.get_object(Bucket="vault", Key=KEY)) == (403, "InvalidObjectState")


def test_a_copy_is_gone_when_its_period_is_over_and_can_be_asked_for_again(s3: StrictS3) -> None:
    restore(s3, days=3)
    s3.advance(days=5)

    assert refused(lambda: s3.get_object(Bucket="vault", Key=KEY)) == (403, "InvalidObjectState")
    assert s3.told[-1]["detail-type"] == "Object Restore Expired"
    assert restore(s3) == 202


def test_deep_archive_has_no_expedited(s3: StrictS3) -> None:
    assert refused(lambda: restore(s3, "Expedited")) == (400, "InvalidArgument")


def test_expedited_without_capacity_is_503() -> None:
    s3 = StrictS3(expedited_capacity=False)
    s3.put_object(Bucket="vault", Key=KEY, Body=b"zip", StorageClass="GLACIER")

    assert refused(lambda: restore(s3, "Expedited")) == (503, "GlacierExpeditedRetrievalNotAvailable")


def test_too_many_requests_are_503(s3: StrictS3) -> None:
    s3.throttle(1)

    assert refused(lambda: restore(s3)) == (503, "SlowDown")
    assert restore(s3) == 202


@pytest.mark.parametrize(
    ("storage_class", "code"),
    [
        ("STANDARD", "InvalidObjectState"),
        ("GLACIER_IR", "InvalidObjectState"),
        ("INTELLIGENT_TIERING", "ObjectAlreadyInActiveTierError"),
    ],
)
def test_what_is_readable_at_once_is_not_restored(storage_class: str, code: str) -> None:
    s3 = StrictS3()
    s3.put_object(Bucket="vault", Key=KEY, Body=b"zip", StorageClass=storage_class)

    assert refused(lambda: restore(s3)) == (403, code)
    assert s3.get_object(Bucket="vault", Key=KEY)["Body"].read() == b"zip"


def test_what_is_not_there_is_404(s3: StrictS3) -> None:
    assert refused(lambda: s3.head_object(Bucket="vault", Key="gone")) == (404, "404")
    assert refused(lambda: s3.get_object(Bucket="vault", Key="gone")) == (404, "NoSuchKey")
    assert refused(lambda: restore(s3, key="gone")) == (404, "NoSuchKey")


def test_the_completion_is_told_once_with_the_fields_that_s3_gives(s3: StrictS3) -> None:
    restore(s3)
    s3.advance(days=1)

    [told] = s3.completions()
    event = ObjectRestoreCompleted.from_envelope(told)
    assert (event.vault_bucket, event.vault_key) == ("vault", KEY)
    assert event.readable_until == datetime(2026, 7, 5, tzinfo=UTC)
    assert told["detail"]["source-storage-class"] == "DEEP_ARCHIVE"
    assert told["time"] == "2026-07-01T22:30:00Z"


def test_each_event_tells_who_asked_and_of_which_version_in_the_order_that_things_happen() -> None:
    s3 = StrictS3(versioned=True)
    s3.put_object(Bucket="vault", Key=KEY, Body=b"zip", StorageClass="DEEP_ARCHIVE")
    restore(s3)
    s3.advance(days=5)

    names = ["Object Restore Initiated", "Object Restore Completed", "Object Restore Expired"]
    assert [told["detail-type"] for told in s3.told] == names
    assert [told["detail"]["requester"] for told in s3.told] == ["123456789012", "s3.amazonaws.com", "s3.amazonaws.com"]
    assert {told["detail"]["object"]["version-id"] for told in s3.told} == {"v1"}
    assert {told["source"] for told in s3.told} == {"aws.s3"}


def test_without_versions_an_event_tells_of_none(s3: StrictS3) -> None:
    restore(s3)

    assert "version-id" not in s3.told[0]["detail"]["object"]


def test_a_listing_tells_the_restore_status_when_asked_to(s3: StrictS3) -> None:
    def entry(*attributes: str) -> dict[str, Any]:
        listing = s3.list_objects_v2(Bucket="vault", OptionalObjectAttributes=list(attributes))
        [found] = listing["Contents"]
        return dict(found)

    restore(s3)
    assert "RestoreStatus" not in entry()
    assert entry("RestoreStatus")["RestoreStatus"] == {"IsRestoreInProgress": True}
    s3.advance(hours=12)
    until = datetime(2026, 7, 5, tzinfo=UTC)
    assert entry("RestoreStatus")["RestoreStatus"] == {"IsRestoreInProgress": False, "RestoreExpiryDate": until}


def test_a_listing_has_pages_of_a_thousand_keys_in_the_order_of_their_bytes() -> None:
    s3 = StrictS3()
    keys = sorted([f"{number:04}" for number in range(1_500)] + ["\uffee", "\U0001f600"], key=str.encode)
    for key in reversed(keys):
        s3.put_object(Bucket="vault", Key=key, Body=b"")

    first = s3.list_objects_v2(Bucket="vault")
    second = s3.list_objects_v2(Bucket="vault", ContinuationToken=first["NextContinuationToken"])

    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)
    assert (first["KeyCount"], second["KeyCount"]) == (1_000, 502)
    assert [entry["Key"] for page in (first, second) for entry in page["Contents"]] == keys


def test_attributes_are_told_of_an_archived_object(s3: StrictS3) -> None:
    told = s3.get_object_attributes(Bucket="vault", Key=KEY, ObjectAttributes=["ObjectSize", "StorageClass"])

    assert (told["ObjectSize"], told["StorageClass"], "ETag" in told) == (3, "DEEP_ARCHIVE", False)


def test_no_part_is_copied_out_of_an_archived_object_before_its_copy_is_there(s3: StrictS3) -> None:
    source = {"Bucket": "vault", "Key": KEY}
    restore(s3)

    for copy in (s3.copy_object, s3.upload_part_copy):
        assert refused(partial(copy, Bucket="x", Key="y", CopySource=source)) == (403, "InvalidObjectState")
    s3.advance(hours=12)
    for copy in (s3.copy_object, s3.upload_part_copy):
        assert copy(Bucket="x", Key="y", CopySource=source)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_thousand_requests_a_second_are_taken_and_no_more(s3: StrictS3) -> None:
    for number in range(1_001):
        s3.put_object(Bucket="vault", Key=f"{number}", Body=b"", StorageClass="DEEP_ARCHIVE")

    for number in range(1_000):
        assert restore(s3, key=f"{number}") == 202
    assert refused(lambda: restore(s3, key="1000")) == (503, "SlowDown")
    s3.advance(seconds=1)
    assert restore(s3, key="1000") == 202


def test_time_may_pass_with_every_call(s3: StrictS3) -> None:
    s3.each_call_takes = timedelta(milliseconds=20)

    restore(s3)
    header(s3)

    assert s3.now == START + timedelta(milliseconds=40)


def test_each_line_of_the_page_about_it_names_tests_that_are_here() -> None:
    page = (Path(__file__).parents[2] / "docs" / "test-kit.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))

    assert named == {name for name in globals() if name.startswith("test_")}


def test_a_range_gives_those_bytes_only(s3: StrictS3) -> None:
    s3.put_object(Bucket="vault", Key="plain", Body=b"0123456789")

    assert s3.get_object(Bucket="vault", Key="plain", Range="bytes=2-4")["Body"].read() == b"234"
    assert refused(lambda: s3.get_object(Bucket="vault", Key="plain", Range="bytes=10-11")) == (416, "InvalidRange")
