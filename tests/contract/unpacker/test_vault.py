"""Reading archives by ranges: the stand-in and the adapter promise the same."""

from typing import TYPE_CHECKING

import pytest

from fakes.unpacking import VAULT_BUCKET, FakeVault
from unpacker.adapters.stores import open_store
from unpacker.adapters.vault import RangedVault
from unpacker.ports import NotReadable, Vanished, Vault

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARCHIVE = b"0123456789"
# The second, third and fourth are keys that obstore would refuse, or take for others.
KEYS = ["archives/demo/a b ü.zip", "odd//a.zip", "/a.zip", "./a.zip"]


@pytest.fixture(params=["fake", "s3"])
def vault(request: pytest.FixtureRequest) -> Vault:
    cold = {f"cold/{key}" for key in KEYS}
    if request.param == "fake":
        return FakeVault(dict.fromkeys({*KEYS, *cold}, ARCHIVE), cold)
    s3: S3Client = request.getfixturevalue("s3")
    for key in KEYS:
        s3.put_object(Bucket=VAULT_BUCKET, Key=key, Body=ARCHIVE)
        s3.put_object(Bucket=VAULT_BUCKET, Key=f"cold/{key}", Body=ARCHIVE, StorageClass="DEEP_ARCHIVE")
    return RangedVault(s3, VAULT_BUCKET, open_store(VAULT_BUCKET))


@pytest.mark.parametrize("key", KEYS)
def test_a_range_is_read_from_its_start_to_before_its_end(vault: Vault, key: str) -> None:
    assert vault.read(key, start=2, end=5) == b"234"
    assert vault.read(key, start=0, end=10) == ARCHIVE


@pytest.mark.parametrize("key", KEYS)
def test_beyond_the_archives_end_there_is_nothing(vault: Vault, key: str) -> None:
    assert vault.read(key, start=8, end=20) == b"89"
    assert vault.read(key, start=10, end=20) == b""


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "ranges", [[], [(3, 4)], [(0, 1), (2, 5), (9, 10)], [(1, 1), (4, 6)], [(8, 20), (10, 20), (0, 2)]]
)
def test_several_ranges_are_each_as_if_read_alone(vault: Vault, key: str, ranges: list[tuple[int, int]]) -> None:
    found = vault.read_several(key, ranges)

    assert [bytes(data) for data in found] == [ARCHIVE[start:end] for start, end in ranges]


@pytest.mark.parametrize("key", KEYS)
def test_several_ranges_say_why_there_are_none(vault: Vault, key: str) -> None:
    with pytest.raises(NotReadable):
        vault.read_several(f"cold/{key}", [(0, 5), (6, 7)])
    with pytest.raises(Vanished):
        vault.read_several(f"gone/{key}", [(0, 5), (6, 7)])


@pytest.mark.parametrize("key", KEYS)
def test_an_archive_without_a_readable_copy_says_so(vault: Vault, key: str) -> None:
    with pytest.raises(NotReadable):
        vault.read(f"cold/{key}", start=0, end=5)


@pytest.mark.parametrize("key", KEYS)
def test_an_archive_that_is_gone_says_so(vault: Vault, key: str) -> None:
    with pytest.raises(Vanished):
        vault.read(f"gone/{key}", start=0, end=5)


def test_a_missing_bucket_is_no_missing_archive(s3: "S3Client") -> None:
    vault = RangedVault(s3, "nowhere", open_store("nowhere"))

    with pytest.raises(Exception, match="NoSuchBucket"):
        vault.read("a.zip", start=0, end=5)


@pytest.mark.parametrize("key", KEYS)
def test_the_end_of_an_archive_tells_its_size(vault: Vault, key: str) -> None:
    assert vault.tail(key) == (10, ARCHIVE)
    with pytest.raises(NotReadable):
        vault.tail(f"cold/{key}")
    with pytest.raises(Vanished):
        vault.tail(f"gone/{key}")
