"""Signature Version 4 for many requests in a row (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).

What a day's signatures have in common is computed once. libcurl, which can sign too, computes it for each request, and botocore
takes longer to sign a request than libcurl to make it.
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from botocore.credentials import Credentials, ReadOnlyCredentials

Header = tuple[str, str]  # its name in lower case, and its value, without spaces at its ends or two in a row

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NOTHING: Final = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class _Period:
    """One second of one signer's: what its signatures share."""

    second: int
    signer: ReadOnlyCredentials
    stamp: str
    scope: str
    key: bytes


@dataclass(slots=True)
class Signer:
    """Signs requests to one service in one Region. Credentials are asked for each time, for they are renewed."""

    service: str
    region: str
    credentials: Credentials
    clock: Callable[[], float] = field(default=time.time)
    _period: _Period | None = None

    def sign(self, url: str, headers: list[Header], body: bytes | None) -> list[str]:
        """The header lines to send: those given, and those that sign them. A GET, or with a body a POST.

        `url` is sent as it is: its path is percent-encoded, and it has no query.
        """
        period = self._now()
        _, _, host, path = url.split("/", 3)
        payload = _NOTHING if body is None else sha256(body).hexdigest()
        signed = [*headers, ("host", host), ("x-amz-date", period.stamp)]
        if self.service == "s3":
            signed.append(("x-amz-content-sha256", payload))
        if period.signer.token:
            signed.append(("x-amz-security-token", period.signer.token))
        signed.sort()
        names = ";".join([name for name, _ in signed])
        canonical_headers = "".join([f"{name}:{value}\n" for name, value in signed])
        method = "GET" if body is None else "POST"
        canonical = f"{method}\n/{path}\n\n{canonical_headers}\n{names}\n{payload}"
        to_sign = f"{_ALGORITHM}\n{period.stamp}\n{period.scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(period.key, to_sign.encode(), "sha256").hex()
        lines = [f"{name}: {value}" for name, value in signed]
        credential = f"{period.signer.access_key}/{period.scope}"
        lines.append(
            f"authorization: {_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return lines

    def _now(self) -> _Period:
        second, signer = int(self.clock()), self.credentials.get_frozen_credentials()
        period = self._period
        if period is None or period.second != second or period.signer != signer:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
            key = f"AWS4{signer.secret_key}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._period = period = _Period(second, signer, stamp, scope, key)
        return period
