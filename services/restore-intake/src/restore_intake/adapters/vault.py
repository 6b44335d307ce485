"""The vault as S3 keeps it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from glaciate.errors import Transient
from glaciate.requests import Tier
from restore_intake.domain.thawing import Answer, ArchiveHead, read_restore_header

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_THREADS: Final = 16
_ANSWERS: Final = {
    "RestoreAlreadyInProgress": Answer.RUNNING,
    "ObjectAlreadyInActiveTierError": Answer.READABLE,
    "InvalidObjectState": Answer.READABLE,  # restoring is not allowed for a class that is read at once
    "NoSuchKey": Answer.GONE,
    "404": Answer.GONE,
}
_BUSY: Final = (30, "it wants fewer requests, or cannot answer just now")
_LATER: Final = {
    "GlacierExpeditedRetrievalNotAvailable": (300, "it has no capacity for Expedited retrievals just now"),
    "SlowDown": _BUSY,
    "Throttling": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "ServiceUnavailable": _BUSY,
    "InternalError": _BUSY,
    "503": _BUSY,  # of HEAD, whose answer has no body to name the error
    "500": _BUSY,
}


@dataclass(frozen=True, slots=True)
class S3Vault:
    """Archives in S3."""

    s3: "S3Client"

    def head(self, bucket: str, key: str) -> ArchiveHead | None:
        """What HEAD says; it needs no thaw, and costs a request."""
        try:
            answer = self.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) in {"404", "NoSuchKey"}:
                return None
            raise _later(error) from error
        ongoing, expires_at = read_restore_header(answer.get("Restore"))
        return ArchiveHead(answer.get("StorageClass", "STANDARD"), answer["ContentLength"], ongoing, expires_at)

    def heads(self, places: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], ArchiveHead | None]:
        """The same of several, some at a time."""
        wanted = tuple(places)
        with ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(wanted, pool.map(lambda place: self.head(*place), wanted), strict=True))

    def thaw(self, bucket: str, key: str, *, tier: Tier, days: int) -> Answer:
        """Asks S3 for a readable copy: 202 it has begun, 200 its period is renewed; the errors say the rest."""
        try:
            answer = self.s3.restore_object(
                Bucket=bucket,
                Key=key,
                RestoreRequest={"Days": days, "GlacierJobParameters": {"Tier": tier.value}},
            )
        except ClientError as error:
            known = _ANSWERS.get(_code(error))
            if known is None:
                raise _later(error) from error
            return known
        return Answer.BEGUN if answer["ResponseMetadata"]["HTTPStatusCode"] == 202 else Answer.RENEWED


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _later(error: ClientError) -> Exception:
    """What passes by itself is tried again after a while; everything else is a bug or a missing permission, and rises."""
    code = _code(error)
    if code not in _LATER:
        return error
    seconds, meaning = _LATER[code]
    return Transient(f"S3 says {code}: {meaning}", retry_after_seconds=seconds)
