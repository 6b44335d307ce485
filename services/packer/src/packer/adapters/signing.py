"""Signature Version 4 for many requests in a row (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).

What a second's signatures have in common is computed once. libcurl, which can sign too, computes it for each request, and
botocore takes longer to sign a request than libcurl to make it.
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from botocore.credentials import Credentials

Header = tuple[str, str]  # its name in lower case, and its value, without spaces at its ends or two in a row

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_NOTHING: Final = sha256(b"").hexdigest()
_BLOCK_BYTES: Final = 64  # of SHA-256
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class _Form(NamedTuple):
    """What requests to one host have in common whose headers have the same names. Where one's own values belong there is `%s`."""

    canonical: str  # the path, the headers' values, the hash of the body
    lines: list[str]  # the headers that are not the request's own
    authorization: str  # all but the signature


@dataclass(frozen=True, slots=True)
class _Period:
    """One second of one signer's: what its signatures share. `inner` and `outer` are HMAC's two hashes, the key taken in."""

    second: int
    stamp: str
    token: str | None
    credential: str
    to_sign: str  # all but the hash of the canonical request
    inner: Any
    outer: Any
    forms: dict[tuple[str, ...], _Form]


@dataclass(slots=True)
class Signer:
    """Signs requests to one service in one Region. Credentials are asked for each second, for they are renewed."""

    service: str
    region: str
    credentials: Credentials
    clock: Callable[[], float] = field(default=time.time)
    _period: _Period | None = None

    def sign(self, url: str, headers: list[Header], body: bytes | None) -> list[str]:
        """The header lines to send: those given, and those that sign them. A GET, or with a body a POST, but not to S3.

        `url` is sent as it is: its path is percent-encoded, and it has no query. `headers` are in the order of their names.
        """
        second = int(self.clock())
        period = self._period
        if period is None or period.second != second:
            self._period = period = self._at(second)
        _, _, host, path = url.split("/", 3)
        method = "GET" if body is None else "POST"
        like = (method, host, *[name for name, _ in headers])
        form = period.forms.get(like)
        if form is None:
            form = period.forms[like] = self._form(period, *like)
        payload = _NOTHING if body is None else sha256(body).hexdigest()
        canonical = form.canonical % (path, *[value for _, value in headers], payload)
        inner, outer = period.inner.copy(), period.outer.copy()
        inner.update((period.to_sign + sha256(canonical.encode()).hexdigest()).encode())
        outer.update(inner.digest())
        own = [f"{name}: {value}" for name, value in headers]
        return [*form.lines, *own, form.authorization + outer.hexdigest()]

    def _at(self, second: int) -> _Period:
        signer = self.credentials.get_frozen_credentials()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        key = f"AWS4{signer.secret_key}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        return _Period(
            second,
            stamp,
            signer.token,
            credential=f"{signer.access_key}/{scope}",
            to_sign=f"{_ALGORITHM}\n{stamp}\n{scope}\n",
            inner=sha256(block.translate(_INNER_PAD)),
            outer=sha256(block.translate(_OUTER_PAD)),
            forms={},
        )

    def _form(self, period: _Period, method: str, host: str, *names: str) -> _Form:
        if list(names) != sorted(names):
            msg = f"headers are to be signed in the order of their names, not {names}"
            raise ValueError(msg)
        shared = [("host", host), ("x-amz-date", period.stamp)]
        if self.service == "s3":
            shared.append(("x-amz-content-sha256", _NOTHING))
        if period.token:
            shared.append(("x-amz-security-token", period.token))
        signed = sorted(
            [*((name, value.replace("%", "%%")) for name, value in shared), *((name, "%s") for name in names)]
        )
        all_names = ";".join(name for name, _ in signed)
        canonical_headers = "".join(f"{name}:{value}\n" for name, value in signed)
        return _Form(
            canonical=f"{method}\n/%s\n\n{canonical_headers}\n{all_names}\n%s",
            lines=[f"{name}: {value}" for name, value in shared],
            authorization=(
                f"authorization: {_ALGORITHM} Credential={period.credential}, SignedHeaders={all_names}, Signature="
            ),
        )
