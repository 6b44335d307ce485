"""The vault's adapter over S3 as moto plays it and over the strict stand-in: what both must agree on."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from urllib3 import HTTPResponse

from fakes.strict_thaw import StrictS3
from glaciate.errors import Transient
from glaciate.requests import Tier
from restore_intake.adapters.vault import S3Vault
from restore_intake.domain.thawing import Answer


@pytest.fixture(params=["moto", "strict"])
def s3(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "strict":
        yield StrictS3()
        return
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="vault")
        yield client


def put(s3: Any, storage_class: str) -> S3Vault:
    s3.put_object(Bucket="vault", Key="a.zip", Body=b"12345", StorageClass=storage_class)
    return S3Vault(s3)


def test_a_cold_archive_says_its_class_and_size(s3: Any) -> None:
    head = put(s3, "DEEP_ARCHIVE").head("vault", "a.zip")

    assert head is not None
    assert (head.storage_class, head.size_bytes, head.ongoing, head.expires_at) == ("DEEP_ARCHIVE", 5, False, None)


def test_an_archive_in_standard_says_so_though_s3_leaves_it_out(s3: Any) -> None:
    head = put(s3, "STANDARD").head("vault", "a.zip")

    assert head is not None
    assert head.storage_class == "STANDARD"


def test_what_is_not_there_is_nothing(s3: Any) -> None:
    vault = put(s3, "STANDARD")

    assert vault.head("vault", "gone.zip") is None
    assert vault.thaw("vault", "gone.zip", tier=Tier.BULK, days=3) is Answer.GONE


def test_several_are_asked_about_at_once(s3: Any) -> None:
    vault = put(s3, "GLACIER")

    heads = vault.heads([("vault", "a.zip"), ("vault", "gone.zip")])

    there = heads["vault", "a.zip"]
    assert there is not None
    assert there.storage_class == "GLACIER"
    assert heads["vault", "gone.zip"] is None


def test_a_first_asking_begins_a_thaw(s3: Any) -> None:
    assert put(s3, "DEEP_ARCHIVE").thaw("vault", "a.zip", tier=Tier.BULK, days=3) is Answer.BEGUN


def test_what_is_read_at_once_needs_no_thaw(s3: Any) -> None:
    assert put(s3, "STANDARD").thaw("vault", "a.zip", tier=Tier.BULK, days=3) is Answer.READABLE


# What moto is kinder about than AWS is asked of the strict stand-in alone.


@pytest.fixture
def strict() -> StrictS3:
    return StrictS3()


def test_a_thaw_under_way_is_told_from_one_begun(strict: StrictS3) -> None:
    vault = put(strict, "DEEP_ARCHIVE")
    vault.thaw("vault", "a.zip", tier=Tier.BULK, days=3)

    assert vault.thaw("vault", "a.zip", tier=Tier.BULK, days=3) is Answer.RUNNING
    head = vault.head("vault", "a.zip")
    assert head is not None
    assert head.ongoing


def test_a_copy_that_is_there_is_renewed(strict: StrictS3) -> None:
    vault = put(strict, "DEEP_ARCHIVE")
    vault.thaw("vault", "a.zip", tier=Tier.STANDARD, days=3)
    strict.advance(hours=12)

    assert vault.thaw("vault", "a.zip", tier=Tier.STANDARD, days=3) is Answer.RENEWED


def test_an_active_tier_needs_no_thaw(strict: StrictS3) -> None:
    assert put(strict, "INTELLIGENT_TIERING").thaw("vault", "a.zip", tier=Tier.BULK, days=3) is Answer.READABLE


def test_no_capacity_and_too_many_requests_pass_by_themselves(strict: StrictS3) -> None:
    vault = put(strict, "GLACIER")
    strict.expedited_capacity = False

    with pytest.raises(Transient, match="GlacierExpeditedRetrievalNotAvailable") as no_capacity:
        vault.thaw("vault", "a.zip", tier=Tier.EXPEDITED, days=3)
    strict.throttle(1)
    with pytest.raises(Transient, match="SlowDown"):
        vault.thaw("vault", "a.zip", tier=Tier.STANDARD, days=3)

    assert no_capacity.value.retry_after_seconds == 300


@pytest.mark.parametrize("status", [503, 500])
def test_a_head_that_s3_cannot_answer_passes_by_itself(status: int) -> None:
    client = boto3.client("s3", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))

    def answer(request: Any, **_more: Any) -> AWSResponse:
        return AWSResponse(request.url, status, {}, HTTPResponse(BytesIO(), preload_content=False))  # no body: HEAD

    client.meta.events.register("before-send.s3.HeadObject", answer)
    strict = StrictS3()
    strict.fail_heads(status)

    s3: Any
    for s3 in (client, strict):
        with pytest.raises(Transient, match=f"S3 says {status}: ") as failure:
            S3Vault(s3).head("vault", "a.zip")
        assert failure.value.retry_after_seconds == 30


def test_what_does_not_pass_by_itself_rises(strict: StrictS3) -> None:
    vault = put(strict, "DEEP_ARCHIVE")

    with pytest.raises(ClientError, match="InvalidArgument"):
        vault.thaw("vault", "a.zip", tier=Tier.EXPEDITED, days=3)
