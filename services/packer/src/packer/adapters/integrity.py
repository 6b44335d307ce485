"""What S3 itself says about an object's bytes, beside the ETag: the checksums it keeps."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import md5, sha1, sha256, sha512
from typing import Final

from awscrt.checksums import crc32c, crc64nvme
from isal.isal_zlib import crc32

CHECKSUM_MODE: Final = ("x-amz-checksum-mode", "ENABLED")  # the header that has a GET's answer tell them
_PREFIX: Final = b"x-amz-checksum-"
_CHECKSUMS: Final[Mapping[str, Callable[[bytearray], bytes]]] = {
    "crc64nvme": lambda data: crc64nvme(data).to_bytes(8, "big"),
    "crc32c": lambda data: crc32c(data).to_bytes(4, "big"),
    "crc32": lambda data: crc32(data).to_bytes(4, "big"),
    "sha256": lambda data: sha256(data).digest(),
    "sha1": lambda data: sha1(data, usedforsecurity=False).digest(),
    "sha512": lambda data: sha512(data).digest(),
    "md5": lambda data: md5(data, usedforsecurity=False).digest(),
}


def mismatch(data: bytearray, head: Iterable[bytes]) -> str | None:
    """The checksum of an answer's head that is not that of its bytes; None where all agree or none is told.

    A checksum of a multipart upload's parts says nothing about the whole; nor do those we can't compute (XXHASH).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    told = {}
    for line in head:
        if line[: len(_PREFIX)].lower() == _PREFIX:
            name, _, value = line[len(_PREFIX) :].decode("latin-1").partition(":")
            told[name.lower()] = value.strip()
    if told.pop("type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for name, value in told.items():
        compute = _CHECKSUMS.get(name)
        if compute is not None and "-" not in value and b64encode(compute(data)).decode() != value:
            return name.upper()
    return None
