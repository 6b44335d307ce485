"""What is read out of an answer of libcurl's."""

from datetime import UTC, datetime

import pytest

from packer.adapters.sources import _code, _Damaged, _got, _Refused
from packer.adapters.transfers import Answer
from packer.domain.sources import UNKNOWN_TIME, SourceFile

FILE = SourceFile("in/a", 3, '"e"', datetime(2026, 7, 1, tzinfo=UTC))
UNKNOWN = SourceFile("in/a", 3, "", UNKNOWN_TIME)


def answer(*lines: str, status: int = 200, body: bytes = b"abc") -> Answer:
    head = [f"HTTP/1.1 {status} told\r\n", *(f"{line}\r\n" for line in lines), "\r\n"]
    return Answer(status, [line.encode() for line in head], bytearray(body))


def test_names_of_headers_count_in_any_case_and_other_headers_do_not() -> None:
    got = _got(
        FILE,
        answer(
            "Content-Type: text/csv", "CACHE-CONTROL:no-cache ", "x-amz-meta-Owner: me: too", "Server: AmazonS3",
            "x-amz-version-id: v1", "X-Amz-Server-Side-Encryption: aws:kms",
        ),
    )  # fmt: skip

    assert (got.description.content_type, got.description.cache_control) == ("text/csv", "no-cache")
    assert got.description.metadata == {"owner": "me: too"}
    assert got.description.version_id == "v1"
    assert got.encryption == "aws:kms"
    assert (got.file, got.data) == (FILE, b"abc")


def test_what_a_proxy_said_before_is_not_the_object_s() -> None:
    proxied = answer("Content-Type: text/csv")
    proxied.head[:0] = answer("Content-Language: de", "Content-Type: text/html").head

    got = _got(FILE, proxied)

    assert (got.description.content_type, got.description.content_language) == ("text/csv", None)


def test_of_a_file_that_nobody_knows_the_answer_tells_version_and_time() -> None:
    got = _got(UNKNOWN, answer('ETag: "seen"', "Last-Modified: Wed, 01 Jul 2026 12:00:00 GMT"))

    assert (got.file.etag, got.file.modified) == ('"seen"', datetime(2026, 7, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    "lines", [(), ('ETag: "e"',), ("Last-Modified: Wed, 01 Jul 2026 12:00:00 GMT",), ('ETag: "e"', "Last-Modified: x")]
)
def test_without_them_such_a_file_is_not_taken(lines: tuple[str, ...]) -> None:
    with pytest.raises(_Damaged):
        _got(UNKNOWN, answer(*lines))


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, b"<Error><Code>AccessDenied</Code></Error>", "AccessDenied"),
        (400, b"<Error><Code>KMS.DisabledException</Code></Error>", "KMS.DisabledException"),
        (404, b"<html>no such page</html>", ""),
        (502, b"", ""),
        (206, b"ab", ""),
    ],
)
def test_any_other_answer_is_refused_with_s3_s_code_if_it_has_one(status: int, body: bytes, code: str) -> None:
    with pytest.raises(_Refused) as refused:
        _got(FILE, answer(status=status, body=body))

    assert _code(refused.value) == code


def test_an_answer_of_http_1_0_is_not_taken_for_a_proxy_s_words() -> None:
    proxied = answer("Content-Type: text/csv")
    proxied.head[:0] = answer("Cache-Control: no-store").head
    proxied.head[len(proxied.head) - 3] = b"HTTP/1.0 200 OK\r\n"

    got = _got(FILE, proxied)

    assert (got.description.content_type, got.description.cache_control) == ("text/csv", None)
