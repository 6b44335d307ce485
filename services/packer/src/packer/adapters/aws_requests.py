"""Requests to AWS that libcurl signs and makes."""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pycurl
from botocore.credentials import Credentials

TOO_LONG: Final[int] = pycurl.E_FILESIZE_EXCEEDED
_CONNECT_SECONDS: Final = 5
_SILENT_SECONDS: Final = 60
_BUFFER_BYTES: Final = 256 * 1024
_DOTS: Final = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")


@dataclass(frozen=True, slots=True)
class AwsRequests:
    """Requests to one service in one Region. Credentials are asked for each time, for they are renewed."""

    service: str
    region: str
    credentials: Credentials
    ca_bundle: str

    def handle(self) -> Any:
        """A handle of libcurl's with whatever all requests have in common."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.USERAGENT, "glaciate")
        curl.setopt(pycurl.CAINFO, self.ca_bundle)
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        curl.setopt(pycurl.LOW_SPEED_TIME, _SILENT_SECONDS)
        curl.setopt(pycurl.AWS_SIGV4, f"aws:amz:{self.region}:{self.service}")
        return curl

    def get(self, url: str, headers: list[str], *, most_bytes: int) -> "AwsRequest":
        """A GET. An answer that says it is longer is not read: `TOO_LONG`."""
        return AwsRequest(self.credentials, url, headers, None, most_bytes)

    def post(self, url: str, headers: list[str], body: bytes) -> "AwsRequest":
        """A POST."""
        return AwsRequest(self.credentials, url, headers, body)


@dataclass(slots=True)
class AwsRequest:
    """One request. A handle makes GETs only, or POSTs only."""

    credentials: Credentials
    url: str
    headers: list[str]
    body: bytes | None
    most_bytes: int = 0  # of the answer; 0: any number

    def prepare(self, curl: Any) -> None:
        """Sets what is this request's own."""
        signer = self.credentials.get_frozen_credentials()
        token = [f"x-amz-security-token: {signer.token}"] if signer.token else []
        curl.setopt(pycurl.URL, self.url)
        curl.setopt(pycurl.USERNAME, signer.access_key)
        curl.setopt(pycurl.PASSWORD, signer.secret_key)
        curl.unsetopt(pycurl.HTTPHEADER)  # setting none would leave those of the request before
        curl.setopt(pycurl.HTTPHEADER, self.headers + token)
        curl.setopt(pycurl.MAXFILESIZE_LARGE, self.most_bytes)
        if self.body is not None:
            curl.setopt(pycurl.POSTFIELDS, self.body)


@dataclass(frozen=True, slots=True)
class S3Urls:
    """Where objects are. `endpoint_url` is the Region's, or with `by_path` that of something that is not AWS."""

    endpoint_url: str
    by_path: bool

    def of_bucket(self, bucket: str) -> str:
        """What the URL of each of a bucket's objects begins with."""
        scheme, host = urlsplit(self.endpoint_url)[:2]
        if self.by_path or "." in bucket:  # no certificate is for a name with more dots
            return f"{scheme}://{host}/{bucket}/"
        return f"{scheme}://{bucket}.{host}/"

    @staticmethod
    def has(key: str) -> bool:
        """Whether a key can be asked for: libcurl resolves `.` and `..` in a path, and where told not to, it signs nothing."""
        return ("/." not in key and key[:1] != ".") or _DOTS.search(key) is None

    @staticmethod
    def path(key: str) -> str:
        """What follows for an object."""
        return quote(key)
