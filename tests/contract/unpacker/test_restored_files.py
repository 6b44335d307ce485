"""Writing restored files: the stand-in and the adapter promise the same."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from fakes.unpacking import VAULT_BUCKET, FakeRestoredFiles, FakeVault, member
from unpacker.adapters.restored_files import S3RestoredFiles
from unpacker.adapters.stores import open_store
from unpacker.ports import NotReadable, NotWritten, RestoredFiles, Vanished

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MEBIBYTE = 1024**2
LARGE = os.urandom(5 * MEBIBYTE) + b"and a second part"


@dataclass
class Bench:
    """The restore bucket, and how to look into it and into the vault."""

    files: RestoredFiles
    content: Callable[[str], bytes | None]
    archive: Callable[[str, bytes], None]


@pytest.fixture(params=["fake", "s3"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "fake":
        fake = FakeRestoredFiles(FakeVault())
        return Bench(
            fake,
            content=lambda key: fake.files[key][0] if key in fake.files else None,
            archive=fake.vault.archives.__setitem__,
        )
    s3: S3Client = request.getfixturevalue("s3")

    def content(key: str) -> bytes | None:
        try:
            return s3.get_object(Bucket="restored", Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None

    def archive(key: str, data: bytes) -> None:
        s3.put_object(Bucket=VAULT_BUCKET, Key=key, Body=data)

    return Bench(adapter(s3), content, archive)


def adapter(s3: "S3Client") -> S3RestoredFiles:
    return S3RestoredFiles(
        s3,
        open_store("restored"),
        "restored",
        vault_bucket=VAULT_BUCKET,
        part_size_bytes=5 * MEBIBYTE,
        copy_part_bytes=5 * MEBIBYTE,
    )


KEYS = ["demo/r-1/a b ü.txt", "demo//./odd/", "/leading", "x" * 1024]


@pytest.mark.parametrize("key", KEYS)
def test_a_file_appears_under_exactly_its_key(bench: Bench, key: str) -> None:
    bench.files.put(key, member("a", b"hello"), b"hello")

    assert bench.content(key) == b"hello"


def test_an_empty_file_appears(bench: Bench) -> None:
    bench.files.put("k", member("a", b""), b"")

    assert bench.content("k") == b""


def test_writing_a_file_twice_is_as_writing_it_once(bench: Bench) -> None:
    for _ in range(2):
        bench.files.put("k", member("a", b"hello"), b"hello")

    assert bench.content("k") == b"hello"


def test_another_file_is_never_overwritten(bench: Bench) -> None:
    bench.files.put("k", member("a", b"first"), b"first")

    with pytest.raises(NotWritten, match="another file"):
        bench.files.put("k", member("b", b"other"), b"other")
    assert bench.content("k") == b"first"


def test_a_large_file_appears_when_it_is_complete(bench: Bench) -> None:
    upload = bench.files.begin("k", member("a", LARGE))
    for start in range(0, len(LARGE), MEBIBYTE):
        upload.write(LARGE[start : start + MEBIBYTE])

    before = bench.content("k")
    upload.complete()
    upload.abort()

    assert before is None
    assert bench.content("k") == LARGE


def test_an_aborted_large_file_does_not_appear(bench: Bench) -> None:
    upload = bench.files.begin("k", member("a", LARGE))
    upload.write(LARGE)
    upload.abort()

    assert bench.content("k") is None


def test_a_large_file_can_be_written_again(bench: Bench) -> None:
    for _ in range(2):
        upload = bench.files.begin("k", member("a", LARGE))
        upload.write(LARGE)
        upload.complete()

    assert bench.content("k") == LARGE


def test_a_large_file_never_overwrites_another(bench: Bench) -> None:
    bench.files.put("k", member("a", b"first"), b"first")

    with pytest.raises(NotWritten, match="another file"):
        bench.files.begin("k", member("a", LARGE))
    assert bench.content("k") == b"first"


def test_a_file_kept_as_it_is_is_copied(bench: Bench) -> None:
    bench.archive("archives/a.object", LARGE)

    for _ in range(2):
        bench.files.copy("archives/a.object", "k", member("a", LARGE))

    assert bench.content("k") == LARGE


def test_a_copy_never_overwrites_another_file(bench: Bench) -> None:
    bench.archive("archives/a.object", LARGE)
    bench.files.put("k", member("a", b"first"), b"first")

    with pytest.raises(NotWritten, match="another file"):
        bench.files.copy("archives/a.object", "k", member("a", LARGE))
    assert bench.content("k") == b"first"


def test_what_is_not_in_the_vault_is_not_copied(bench: Bench) -> None:
    with pytest.raises(Vanished):
        bench.files.copy("archives/gone.object", "k", member("a", LARGE))


def test_a_copy_of_the_wrong_size_does_not_stay(bench: Bench) -> None:
    bench.archive("archives/a.object", b"short")

    with pytest.raises(NotWritten, match="differs"):
        bench.files.copy("archives/a.object", "k", member("a", LARGE))
    assert bench.content("k") is None


@pytest.mark.parametrize("key", ["whole", "odd//key"])
def test_the_files_properties_come_back_with_it(s3: "S3Client", key: str) -> None:
    adapter(s3).put(key, TAGGED, b"hello")

    _it_is_known_for_what_it_was(s3, key)


def test_the_properties_of_large_and_copied_files_come_back_too(moto_s3: "S3Client") -> None:
    files = adapter(moto_s3)
    upload = files.begin("large", replace(TAGGED, size=len(LARGE), crc32=crc32(LARGE)))
    upload.write(LARGE)
    upload.complete()
    moto_s3.put_object(Bucket=VAULT_BUCKET, Key="archives/a.object", Body=b"hello", ContentType="application/x-other")
    files.copy("archives/a.object", "copied", TAGGED)

    for key in ("large", "copied"):
        _it_is_known_for_what_it_was(moto_s3, key)


TAGGED = member("a", b"hello", tags={"colour": "dark blue", "size": "1+1=2"})


def _it_is_known_for_what_it_was(s3: "S3Client", key: str) -> None:
    head = s3.head_object(Bucket="restored", Key=key)
    tags = s3.get_object_tagging(Bucket="restored", Key=key)["TagSet"]
    assert (head["ContentType"], head["ContentDisposition"]) == ("text/plain", "inline")
    assert (head["ContentLanguage"], head["CacheControl"]) == ("de", "no-cache")
    assert head["Metadata"] == {"owner": "somebody"}
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"colour": "dark blue", "size": "1+1=2"}


def test_a_file_above_the_copy_limit_is_copied_in_parts(s3: "S3Client") -> None:
    s3.put_object(Bucket=VAULT_BUCKET, Key="archives/a.object", Body=LARGE)
    files = adapter(s3)

    for _ in range(2):
        files.copy("archives/a.object", "k", member("a", LARGE))

    assert s3.get_object(Bucket="restored", Key="k")["Body"].read() == LARGE
    assert "-" in s3.head_object(Bucket="restored", Key="k")["ETag"]
    assert s3.list_multipart_uploads(Bucket="restored").get("Uploads", []) == []


def test_an_aborted_upload_leaves_no_parts(s3: "S3Client") -> None:
    upload = adapter(s3).begin("k", member("a", LARGE))
    upload.write(LARGE)

    upload.abort()

    assert s3.list_multipart_uploads(Bucket="restored").get("Uploads", []) == []


def test_properties_that_s3_cannot_store_fail_only_their_file(s3: "S3Client") -> None:
    odd = replace(member("a", b"hello"), metadata={"name": "not ASCII: ü"})

    with pytest.raises(NotWritten, match="refuses"):
        adapter(s3).put("k", odd, b"hello")
    with pytest.raises(NotWritten, match="refuses"):
        adapter(s3).begin("k", replace(odd, size=len(LARGE)))


def test_a_file_without_a_readable_copy_is_not_copied(moto_s3: "S3Client") -> None:
    moto_s3.put_object(Bucket=VAULT_BUCKET, Key="archives/a.object", Body=b"x", StorageClass="DEEP_ARCHIVE")

    with pytest.raises(NotReadable):
        adapter(moto_s3).copy("archives/a.object", "k", member("a", b"x"))
