"""Reading over bad lines: an S3 that breaks off, answers late errors, or encrypts so that ETags are no MD5."""

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import md5, sha1, sha256, sha512
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

import boto3
import pytest
from awscrt.checksums import crc32c, crc64nvme
from botocore.config import Config

from fakes.packer_world import START
from glaciate.catalog import Skipped
from glaciate.errors import Transient
from glaciate.requests import Compression
from packer import bootstrap
from packer.adapters.sources import CurlSources
from packer.domain.sources import ReadFile, SourceFile

BODY = b"what the file holds\n" * 1000
MD5 = f'"{md5(BODY, usedforsecurity=False).hexdigest()}"'
NOT_AN_MD5 = '"0123456789abcdef0123456789abcdef"'
Accident = Callable[["Line"], None]


class Line(BaseHTTPRequestHandler):
    """Answers each request by the next accident, and well once there is none left."""

    protocol_version = "HTTP/1.1"
    accidents: list[Accident]
    encryption: str | None
    etag: str
    told: dict[str, str]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append("GET")
        if self.accidents:
            self.accidents.pop(0)(self)
        else:
            self.answer(BODY)

    def do_HEAD(self) -> None:
        self.asked.append("HEAD")
        self.answer(BODY)

    def answer(self, body: bytes, *, length: int | None = None, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length if length is not None else len(body)))
        self.send_header("ETag", self.etag)
        self.send_header("Last-Modified", "Wed, 01 Jul 2026 12:00:00 GMT")
        if self.encryption:
            self.send_header("x-amz-server-side-encryption", self.encryption)
        if self.headers.get("x-amz-checksum-mode") == "ENABLED":
            for name, value in self.told.items():
                self.send_header(f"x-amz-checksum-{name}", value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def error(self, status: int, code: str) -> None:
        self.answer(f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), status=status)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


def break_off(line: Line) -> None:
    line.answer(BODY[:5000], length=len(BODY))
    line.close_connection = True


def reset(line: Line) -> None:
    line.close_connection = True
    line.connection.close()


def cut_short(line: Line) -> None:
    line.answer(BODY[:-1])


def damage(line: Line) -> None:
    line.answer(b"W" + BODY[1:])


def fail(status: int, code: str) -> Accident:
    return lambda line: line.error(status, code)


@pytest.fixture
def line() -> type[Line]:
    return type("ThisLine", (Line,), {"accidents": [], "encryption": None, "etag": MD5, "told": {}, "asked": []})


@pytest.fixture
def sources(line: type[Line]) -> Iterator[CurlSources]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), line)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    yield replace(bootstrap.sources(endpoint, most=1, window_bytes=10**6), s3=s3, pause_seconds=0.001)
    s3.close()
    server.shutdown()
    thread.join()
    server.server_close()


def read(sources: CurlSources, etag: str = MD5) -> ReadFile | Skipped:
    file = SourceFile("in/a", len(BODY), etag, START)
    (only,) = sources.read("source", [file], compression=Compression.STORED)
    return only


@pytest.mark.parametrize(
    "accident",
    [
        break_off,
        reset,
        cut_short,
        damage,
        fail(500, "InternalError"),
        fail(503, "SlowDown"),
        fail(400, "RequestTimeout"),
    ],
    ids=["break off", "reset", "cut short", "damage", "500", "503", "time-out"],
)
def test_what_arrives_damaged_or_not_at_all_is_fetched_again(
    sources: CurlSources, line: type[Line], accident: Accident
) -> None:
    line.accidents += [accident]

    got = read(sources)

    assert isinstance(got, ReadFile)
    assert bytes(got.packed.data) == BODY


def test_s3_may_ask_to_slow_down_for_a_while(sources: CurlSources, line: type[Line]) -> None:
    line.accidents += [fail(503, "SlowDown")] * 7

    assert isinstance(read(sources), ReadFile)


def test_a_file_that_never_arrives_whole_is_left_for_later(sources: CurlSources, line: type[Line]) -> None:
    line.accidents += [cut_short] * 20

    with pytest.raises(Transient, match="in/a"):
        read(sources)


def test_an_answer_that_is_longer_than_the_list_says_is_not_read(sources: CurlSources, line: type[Line]) -> None:
    line.accidents += [lambda line: line.answer(BODY, length=10**10)]

    assert isinstance(read(sources), ReadFile)

    assert line.asked == ["GET", "HEAD", "GET"], "an answer that was cut short is asked for again without a HEAD"


def test_an_expired_token_is_not_taken_for_an_unreadable_file(sources: CurlSources, line: type[Line]) -> None:
    line.accidents += [fail(400, "ExpiredToken")] * 20

    with pytest.raises(Transient):
        read(sources)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (403, "InvalidObjectState"), (400, "InvalidRequest")]
)
def test_a_file_that_may_not_be_read_is_skipped_with_s3s_reason(
    sources: CurlSources, line: type[Line], status: int, code: str
) -> None:
    line.accidents += [fail(status, code)] * 20

    assert read(sources) == Skipped("in/a", f"it can't be read: {code}")


def test_under_kms_an_etag_that_only_looks_like_an_md5_is_no_reason_to_refuse(
    sources: CurlSources, line: type[Line]
) -> None:
    line.etag = NOT_AN_MD5
    line.encryption = "aws:kms"

    got = read(sources, NOT_AN_MD5)

    assert isinstance(got, ReadFile)
    assert line.asked == ["GET"]


def test_bytes_that_never_match_their_md5_are_not_archived(sources: CurlSources, line: type[Line]) -> None:
    line.etag = NOT_AN_MD5

    got = read(sources, NOT_AN_MD5)

    assert got == Skipped("in/a", f"it can't be verified: its bytes do not match its ETag {NOT_AN_MD5}")
    assert line.asked.count("GET") == 5


CHECKSUMS = {
    "crc64nvme": b64encode(crc64nvme(BODY).to_bytes(8, "big")).decode(),
    "crc32c": b64encode(crc32c(BODY).to_bytes(4, "big")).decode(),
    "crc32": b64encode(crc32(BODY).to_bytes(4, "big")).decode(),
    "sha256": b64encode(sha256(BODY).digest()).decode(),
    "sha1": b64encode(sha1(BODY, usedforsecurity=False).digest()).decode(),
    "sha512": b64encode(sha512(BODY).digest()).decode(),
    "md5": b64encode(bytes.fromhex(MD5.strip('"'))).decode(),
}
OF_PARTS = '"0123456789abcdef0123456789abcdef-3"'


def under_kms(line: type[Line]) -> str:
    line.etag, line.encryption = NOT_AN_MD5, "aws:kms"
    return NOT_AN_MD5


def of_parts(line: type[Line]) -> str:
    line.etag = OF_PARTS
    return OF_PARTS


@pytest.mark.parametrize("source", [under_kms, of_parts])
@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_bytes_whose_etag_is_no_md5_are_held_to_the_checksum_that_s3_keeps(
    sources: CurlSources, line: type[Line], source: Callable[[type[Line]], str], algorithm: str
) -> None:
    etag = source(line)
    line.told = {algorithm: CHECKSUMS[algorithm], "type": "FULL_OBJECT"}
    line.accidents += [damage]

    got = read(sources, etag)

    assert isinstance(got, ReadFile)
    assert bytes(got.packed.data) == BODY
    assert line.asked == ["GET", "GET"]


def test_bytes_that_never_match_their_checksum_are_not_archived(sources: CurlSources, line: type[Line]) -> None:
    etag = of_parts(line)
    line.told = {"crc64nvme": CHECKSUMS["crc64nvme"][::-1], "type": "FULL_OBJECT"}

    assert read(sources, etag) == Skipped("in/a", "it can't be verified: its bytes do not match its CRC64NVME")


@pytest.mark.parametrize(
    "told",
    [
        {"sha256": "AAAA-3", "type": "COMPOSITE"},
        {"crc32": "AAAA-3"},
        {"xxhash64": "AAAA", "type": "FULL_OBJECT"},
        {},
    ],
    ids=["of parts", "of parts, untold", "unknown", "none"],
)
def test_a_checksum_that_says_nothing_of_the_whole_is_no_reason_to_refuse(
    sources: CurlSources, line: type[Line], told: dict[str, str]
) -> None:
    etag = of_parts(line)
    line.told = told

    assert isinstance(read(sources, etag), ReadFile)
    assert line.asked == ["GET"]
