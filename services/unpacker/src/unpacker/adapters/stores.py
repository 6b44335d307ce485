"""Buckets for the data plane, and what S3's errors mean, whichever client tells of them."""

import os
import re
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from unpacker.ports import NotReadable, Vanished

if TYPE_CHECKING:
    from obstore.store import S3Config

NOT_THERE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
ARCHIVED: Final = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})  # the second from CopyObject


def open_store(bucket: str, checksum: Literal["SHA256"] | None = None) -> S3Store:
    """A bucket for the data plane; the endpoint of the local cloud where the environment names one.

    With a `checksum` S3 compares what arrives with what was sent.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    place: S3Config = {"endpoint": endpoint, "virtual_hosted_style_request": False} if endpoint else {}
    return S3Store(
        bucket,
        config={**place, "checksum_algorithm": checksum} if checksum else place,
        client_options={"allow_http": bool(endpoint), "connect_timeout": "5s", "timeout": "60s"},
        retry_config={"max_retries": 5},
        credential_provider=Boto3CredentialProvider(),
    )


def fits_obstore(key: str) -> bool:
    """Whether obstore takes a key as it is: it strips slashes at the ends and refuses empty segments, dots and control characters."""
    segments = key.split("/")
    return not {"", ".", ".."} & set(segments) and key.isprintable()


def error_code(error: ClientError) -> str:
    """The code of S3's answer to boto3."""
    return error.response["Error"]["Code"]


def code_in(error: Exception) -> str:
    """The code of S3's answer, which obstore gives as text."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def message_in(error: Exception) -> str:
    """What S3's answer says, which obstore gives in the middle of much else."""
    found = re.search(r"<Message>([^<]*)</Message>", str(error))
    return found[1] if found else code_in(error) or str(error)


def raise_for_source(error: ClientError, vault_key: str) -> None:
    """Says what it means that an archive cannot be read, unless nobody knows."""
    if error_code(error) in ARCHIVED:
        raise NotReadable(vault_key) from error
    if error_code(error) in NOT_THERE:
        raise Vanished(vault_key) from error
