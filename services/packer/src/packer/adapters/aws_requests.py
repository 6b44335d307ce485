"""Requests to AWS that libcurl makes."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pycurl

from packer.adapters.signing import Header, Signer

TOO_LONG: Final[int] = pycurl.E_FILESIZE_EXCEEDED
_CONNECT_SECONDS: Final = 5
_SILENT_SECONDS: Final = 60
_BUFFER_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class AwsRequests:
    """Requests to one service in one Region."""

    signer: Signer
    ca_bundle: str

    def handle(self) -> Any:
        """A handle of libcurl's with whatever all requests have in common."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PATH_AS_IS, 1)  # the segments `.` and `..` of a key are not steps
        curl.setopt(pycurl.USERAGENT, "glaciate")
        curl.setopt(pycurl.CAINFO, self.ca_bundle)
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        curl.setopt(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        curl.setopt(pycurl.LOW_SPEED_TIME, _SILENT_SECONDS)
        return curl

    def get(self, url: str, headers: list[Header], *, most_bytes: int) -> "AwsRequest":
        """A GET. An answer that says it is longer is not read: `TOO_LONG`."""
        return AwsRequest(self.signer, url, headers, None, most_bytes)

    def post(self, url: str, headers: list[Header], body: bytes) -> "AwsRequest":
        """A POST."""
        return AwsRequest(self.signer, url, headers, body)


@dataclass(slots=True)
class AwsRequest:
    """One request. A handle makes GETs only, or POSTs only."""

    signer: Signer
    url: str
    headers: list[Header]
    body: bytes | None
    most_bytes: int = 0  # of the answer; 0: any number

    def prepare(self, curl: Any) -> None:
        """Sets what is this request's own."""
        curl.setopt(pycurl.URL, self.url)
        curl.setopt(pycurl.HTTPHEADER, self.signer.sign(self.url, self.headers, self.body))
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
    def path(key: str) -> str:
        """What follows for an object."""
        return quote(key)
