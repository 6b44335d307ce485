"""What libcurl sends is what was asked for, signed as botocore signs it."""

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from packer.adapters.aws_requests import AwsRequest, AwsRequests, S3Urls
from packer.adapters.signing import Signer
from packer.adapters.transfers import Answer, Task, Transfers

SECRET = "se/c:r+t="
AWKWARD = [
    "plain", "a/b.csv", "sp ace", "a%20b", "%2F", "%2e%2e/x", "emoji😀", "e\u0301", "/lead", "a//b", "dir/", "dot.", "..a/b..",
    "a/.hidden", ".", "..", "a/../b", "./a", "a/.", "a/./b", "../../../etc/passwd", "back\\slash", "x&y=z;,@$!()[]'*", "x" * 1024,
    *(f"a{chr(character)}b" for character in range(256)),
]  # fmt: skip


@dataclass
class Wire:
    """A listener that keeps what arrives, and answers it."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture
def wire() -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    request = b""
                    while b"\r\n\r\n" not in request or not whole(request):
                        request += connection.recv(65536)
                    wire.requests.append(request)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return len(body) >= (int(length[1]) if length else 0)


def send(requests: AwsRequests, request: AwsRequest) -> None:
    def asking() -> Task[int]:
        answer: Answer = yield request
        return answer.status

    assert list(Transfers(requests.handle, most=1, window_bytes=1).in_order(iter([(0, asking())]))) == [200]


def signer(service: str, token: str | None) -> AwsRequests:
    return AwsRequests(Signer(service, "eu-west-1", Credentials("AKID", SECRET, token)), "")


def assert_signed_as_botocore_does(request: bytes, wire: Wire, auth: SigV4Auth) -> dict[str, str]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(headers) == len(lines), "one line a header: the host's is not libcurl's beside ours"
    told = re.search(r"SignedHeaders=([^,]*), Signature=(\w+)", headers["authorization"])
    assert told is not None
    signed = told[1].split(";")
    again = AWSRequest(method, wire.url[:-1] + target, data=body, headers={name: headers[name] for name in signed})
    again.context["timestamp"] = headers["x-amz-date"]
    assert told[2] == auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    return {name: headers[name] for name in signed}


@pytest.mark.parametrize("token", [None, "to/k+en=%s%"])
def test_gets_of_awkward_keys_are_signed_as_botocore_does(wire: Wire, token: str | None) -> None:
    requests = signer("s3", token)
    base_url = S3Urls(wire.url, by_path=True).of_bucket("bucket")

    for key in AWKWARD:
        send(requests, requests.get(base_url + S3Urls.path(key), [("if-match", '"abc"')], most_bytes=0))

    auth = S3SigV4Auth(Credentials("AKID", SECRET), "s3", "eu-west-1")
    for key, request in zip(AWKWARD, wire.requests, strict=True):
        assert request.startswith(f"GET /bucket/{quote(key)} HTTP/1.1\r\n".encode())
        signed = assert_signed_as_botocore_does(request, wire, auth)
        assert signed["if-match"] == '"abc"'
        assert signed.get("x-amz-security-token") == token


def test_a_handle_keeps_no_header_of_the_request_before(wire: Wire) -> None:
    requests = signer("s3", None)

    def asking() -> Task[None]:
        yield requests.get(wire.url, [("if-match", '"abc"')], most_bytes=0)
        yield requests.get(wire.url, [], most_bytes=0)

    list(Transfers(requests.handle, most=1, window_bytes=1).in_order(iter([(0, asking())])))

    first, second = wire.requests
    assert b"if-match" in first.lower()
    assert b"if-match" not in second.lower()


@pytest.mark.parametrize(
    ("seconds", "secret", "stamp"),
    [
        (0, SECRET, "19700101T000000Z"),
        (86_399.9, SECRET, "19700101T235959Z"),
        (86_400, SECRET, "19700102T000000Z"),
        (86_400, "renewed", "19700102T000000Z"),
    ],
)
def test_the_kept_key_gives_way_to_another_day_s_and_to_renewed_credentials(
    wire: Wire, seconds: float, secret: str, stamp: str
) -> None:
    requests = signer("s3", None)
    requests.signer.clock = lambda: 86_000
    send(requests, requests.get(wire.url, [], most_bytes=0))

    requests.signer.clock = lambda: seconds
    requests.signer.credentials.secret_key = secret
    send(requests, requests.get(wire.url, [], most_bytes=0))

    auth = S3SigV4Auth(Credentials("AKID", secret), "s3", "eu-west-1")
    signed = assert_signed_as_botocore_does(wire.requests[-1], wire, auth)
    assert signed["x-amz-date"] == stamp


def test_headers_come_in_the_order_of_their_names() -> None:
    requests = signer("s3", None)

    with pytest.raises(ValueError, match="in the order of their names"):
        requests.signer.sign("https://b.s3.amazonaws.com/k", [("x-amz-tagging-count", "1"), ("if-match", '"e"')], None)


@pytest.mark.parametrize("token", [None, "to/k+en=="])
def test_posts_are_signed_as_botocore_does(wire: Wire, token: str | None) -> None:
    requests = signer("dynamodb", token)
    headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.BatchWriteItem")]
    bodies = [b"{}", b'{"k":"\xc3\xa9"}', b"x" * 2_000_000]

    for body in bodies:
        send(requests, requests.post(wire.url, headers, body))

    auth = SigV4Auth(Credentials("AKID", SECRET), "dynamodb", "eu-west-1")
    for body, request in zip(bodies, wire.requests, strict=True):
        assert request.endswith(b"\r\n\r\n" + body)
        signed = assert_signed_as_botocore_does(request, wire, auth)
        assert signed["x-amz-target"] == "DynamoDB_20120810.BatchWriteItem"
        assert signed.get("x-amz-security-token") == token


@pytest.mark.parametrize(
    ("bucket", "by_path", "expected"),
    [
        ("data", False, "https://data.s3.eu-west-1.amazonaws.com/"),
        ("my.data", False, "https://s3.eu-west-1.amazonaws.com/my.data/"),
        ("data", True, "https://s3.eu-west-1.amazonaws.com/data/"),
    ],
)
def test_a_bucket_stands_in_the_host_s_name_where_a_certificate_covers_it(
    bucket: str, by_path: bool, expected: str
) -> None:
    assert S3Urls("https://s3.eu-west-1.amazonaws.com", by_path=by_path).of_bucket(bucket) == expected
