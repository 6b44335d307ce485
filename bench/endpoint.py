"""The benchmark's own S3: serves a corpus from memory, on the loopback address only, from one process of its own.

It exists because a benchmark of a client needs a server that answers faster than the client asks. It speaks what the packer,
the unpacker and their peers use: GET (Range, If-Match), HEAD, ListObjectsV2, PUT and multipart uploads (If-None-Match,
full-object checksums), CopyObject, DeleteObjects; and of DynamoDB, BatchWriteItem and a Query that finds
nothing. It counts requests and bytes, it can
answer a little later to every request (`--latency-ms`, on a port of its own), and it speaks TLS on two more ports.

What it does not do: it checks no signature, no checksum and no permission; it has no versions, no tags, no storage classes
that matter, no conditional write but `If-None-Match: *` and no durability; its list of open
uploads is always empty; DynamoDB items are counted and thrown away; whatever is not listed above answers 501.
It is plain Python on uvloop and no product.

    python endpoint.py --folder FOLDER [--corpus small|large|none] [--files N] [--latency-ms 20] [--no-tls]

prints one line of JSON with its ports, and ends when its standard input does. `--folder` receives the certificate.
`/-/counts` answers what was counted, `/-/reset` forgets the counts and everything written, `/-/keys/<bucket>/<prefix>` names
what it serves, `/-/written/<bucket>` names the objects written, and `PUT /-/corpus/<bucket>/<key>` adds an
object that a reset leaves in place. The buckets `million` (folders of 10,000) and `hashes` (names that
begin with one) list 1,000,000 keys each that are made up as they are asked for; those of
`million` can be read where there is a corpus.
"""

import argparse
import asyncio
import datetime as dt
import gc
import ipaddress
import json
import resource
import ssl
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import md5
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import uvloop
from corpus import BUCKET, CORPORA, corpus_files
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MODIFIED = 1_760_000_000
_MODIFIED_HTTP = formatdate(MODIFIED, usegmt=True)
_MODIFIED_XML = "2025-10-09T08:53:20.000Z"
_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 404: "Not Found", 412: "Precondition Failed",
            416: "Range Not Satisfiable", 501: "Not Implemented"}  # fmt: skip
_JOINED_BELOW = 128 * 1024  # a body shorter than this is sent in one piece with its head, which is kept joined
_MILLION = 1_000_000
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(slots=True)
class Stored:
    """An object. `ready` is the whole answer to a plain GET where the object is small."""

    body: bytes
    etag: str
    extra: str
    ready: bytes | None = None
    written: bool = False

    def head(self, status: int = 200, *, length: int | None = None, more: str = "") -> bytes:
        size = len(self.body) if length is None else length
        return (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Length: {size}\r\nETag: {self.etag}\r\n"
            f"Last-Modified: {_MODIFIED_HTTP}\r\nAccept-Ranges: bytes\r\n{self.extra}{more}\r\n"
        ).encode()


class Cloud:
    """What the endpoint holds and has counted."""

    def __init__(self) -> None:
        self.objects: dict[bytes, Stored] = {}  # by request target: /bucket/key, percent-encoded as clients send it
        self.served: list[Stored] = []  # the corpus
        self.uploads: dict[str, dict[int, tuple[str, bytes]]] = {}
        self.upload_heads: dict[str, dict[str, str]] = {}
        self.numbers = count(1)
        self.connections = self.requests = self.bytes_out = self.bytes_in = self.items = 0
        self.by_kind: dict[str, int] = {}

    def put(self, target: bytes, body: bytes, *, etag: str | None = None, extra: str = "", written: bool = True) -> str:
        etag = etag or f'"{md5(body, usedforsecurity=False).hexdigest()}"'
        stored = Stored(body, etag, extra or "Content-Type: text/csv\r\n", written=written)
        if len(body) < _JOINED_BELOW and not written:
            stored.ready = stored.head() + body
        self.objects[target] = stored
        if not written:
            self.served.append(stored)
        return etag

    def found(self, target: bytes) -> Stored | None:
        """What lies there. The files of `million` are those of the corpus, over and over."""
        stored = self.objects.get(target)
        if stored is None and self.served and target.startswith(b"/million/") and target.endswith(b".csv"):
            return self.served[int(target[-11:-4]) % len(self.served)]
        return stored

    def reset(self) -> None:
        self.objects = {target: stored for target, stored in self.objects.items() if not stored.written}
        self.uploads.clear()
        self.upload_heads.clear()
        self.connections = self.requests = self.bytes_out = self.bytes_in = self.items = 0
        self.by_kind.clear()

    def counts(self) -> bytes:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return json.dumps(
            {
                "connections": self.connections,
                "requests": self.requests,
                "bytes_out": self.bytes_out,
                "bytes_in": self.bytes_in,
                "items": self.items,
                "open_uploads": len(self.uploads),
                "by_kind": self.by_kind,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
            }
        ).encode()


def _plain(status: int, body: bytes = b"", more: str = "", kind: str = "application/xml") -> tuple[bytes, bytes]:
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n{more}\r\n"
    return head.encode(), body


def _error(status: int, code: str) -> tuple[bytes, bytes]:
    return _plain(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


def _range(text: str, size: int) -> tuple[int, int]:
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _unchunked(body: bytes) -> bytes:
    """The content of a body in chunks, be they HTTP's or AWS's: `size[;signature]`, data, …, 0, trailers."""
    parts = []
    at = 0
    while True:
        line_end = body.index(b"\r\n", at)
        size = int(body[at:line_end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


class Answers:
    """One answer a request: its head and its body."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def __call__(
        self, method: str, target: bytes, headers: dict[str, str], body: bytes
    ) -> tuple[bytes, bytes | memoryview]:
        path, _, query = target.partition(b"?")
        if "aws-chunked" in headers.get("content-encoding", ""):
            body = _unchunked(body)
        arguments = {name: values[0] for name, values in parse_qs(query.decode(), keep_blank_values=True).items()}
        self.cloud.bytes_in += len(body)
        if path.startswith(b"/-/"):
            return self._control(path, body)
        if "x-amz-target" in headers:
            return self._dynamodb(headers["x-amz-target"], body)
        bucket, _, key = path[1:].partition(b"/")
        target = b"/" + bucket + b"/" + quote(unquote(key)).encode()
        if not key:
            return self._bucket(method, bucket.decode(), arguments, body)
        return self._object(method, target, arguments, headers, body)

    def _control(self, path: bytes, body: bytes) -> tuple[bytes, bytes]:
        self.cloud.requests -= 1
        if path == b"/-/reset":
            self.cloud.reset()
        elif path.startswith(b"/-/corpus/"):
            self.cloud.put(path.removeprefix(b"/-/corpus"), body, written=False)
        elif path.startswith(b"/-/keys"):
            prefix = path.removeprefix(b"/-/keys")
            bucket = prefix[: prefix.index(b"/", 1) + 1]
            keys = (target.removeprefix(bucket) for target in self.cloud.objects if target.startswith(prefix))
            return _plain(200, unquote(b"\n".join(sorted(keys)).decode()).encode())
        elif path.startswith(b"/-/written/"):
            start = path.removeprefix(b"/-/written") + b"/"
            targets = (target for target, stored in self.cloud.objects.items() if stored.written)
            return _plain(200, b"\n".join(sorted(target[1:] for target in targets if target.startswith(start))))
        return _plain(200, self.cloud.counts(), kind="application/json")

    def _dynamodb(self, target: str, body: bytes) -> tuple[bytes, bytes]:
        if target.endswith(".Query"):  # the planner asks for earlier archives
            return _plain(200, b'{"Items":[],"Count":0,"ScannedCount":0}', kind="application/x-amz-json-1.0")
        if not target.endswith(".BatchWriteItem"):
            return _error(501, "NotImplemented")
        self.cloud.items += body.count(b'"PutRequest"')
        return _plain(200, b'{"UnprocessedItems":{}}', kind="application/x-amz-json-1.0")

    def _bucket(self, method: str, bucket: str, arguments: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        if method == "HEAD":
            return _plain(200)
        if method == "GET" and arguments.get("list-type") == "2":
            return _plain(200, self._listing(bucket, arguments))
        if method == "GET" and "uploads" in arguments:
            return _plain(
                200, b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
            )
        if method == "POST" and "delete" in arguments:
            return _plain(200, self._delete(bucket, body))
        return _error(501, "NotImplemented")

    def _listing(self, bucket: str, arguments: dict[str, str]) -> bytes:
        prefix = arguments.get("prefix", "")
        after = unquote(arguments.get("continuation-token") or arguments.get("start-after", ""))
        limit = int(arguments.get("max-keys", "1000"))
        if bucket in _MADE_UP:
            page = list(islice(_made_up(bucket, prefix, after, self.cloud.served), limit + 1))
        else:
            start = f"/{bucket}/".encode()
            there = sorted(
                (unquote(target[len(start) :].decode()), stored)
                for target, stored in self.cloud.objects.items()
                if target.startswith(start)
            )
            page = [
                (key, len(stored.body), stored.etag) for key, stored in there if key.startswith(prefix) and key > after
            ]
        more = len(page) > limit
        coded = quote if arguments.get("encoding-type") == "url" else escape
        rows = "".join(
            f"<Contents><Key>{coded(key)}</Key><LastModified>{_MODIFIED_XML}</LastModified><ETag>{escape(etag)}</ETag>"
            f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, size, etag in page[:limit]
        )
        token = f"<NextContinuationToken>{quote(page[limit - 1][0])}</NextContinuationToken>" if more else ""
        encoding = "<EncodingType>url</EncodingType>" if coded is quote else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{bucket}</Name><Prefix>{coded(prefix)}</Prefix><KeyCount>{min(len(page), limit)}</KeyCount>"
            f"<MaxKeys>{limit}</MaxKeys>{encoding}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        ).encode()

    def _delete(self, bucket: str, body: bytes) -> bytes:
        keys = [element.text or "" for element in ET.fromstring(body).iter() if element.tag.endswith("Key")]
        for key in keys:
            self.cloud.objects.pop(f"/{bucket}/{quote(key)}".encode(), None)
        rows = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return f"<DeleteResult>{rows}</DeleteResult>".encode()

    def _object(
        self, method: str, target: bytes, arguments: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[bytes, bytes | memoryview]:
        if method in {"GET", "HEAD"}:
            return self._get(method, target, headers)
        if method == "DELETE":
            self.cloud.uploads.pop(arguments.get("uploadId", ""), None)
            if "uploadId" not in arguments:
                self.cloud.objects.pop(target, None)
            return _plain(204)
        if method == "POST":
            return self._multipart(target, arguments, headers, body)
        if method == "PUT" and "uploadId" in arguments:
            return self._part(arguments, headers, body)
        if method == "PUT":
            return self._put(target, headers, body)
        return _error(501, "NotImplemented")

    def _get(self, method: str, target: bytes, headers: dict[str, str]) -> tuple[bytes, bytes | memoryview]:
        stored = self.cloud.found(target)
        if stored is None:
            return _plain(404) if method == "HEAD" else _error(404, "NoSuchKey")
        if headers.get("if-match", stored.etag) not in {stored.etag, stored.etag.strip('"'), "*"}:
            return _error(412, "PreconditionFailed")
        if method == "HEAD":
            return stored.head(), b""
        if "range" not in headers:
            return stored.head(), stored.body
        size = len(stored.body)
        start, end = _range(headers["range"], size)
        if start >= size:
            return _error(416, "InvalidRange")
        head = stored.head(206, length=end - start, more=f"Content-Range: bytes {start}-{end - 1}/{size}\r\n")
        return head, memoryview(stored.body)[start:end]

    def _put(self, target: bytes, headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        if headers.get("if-none-match") == "*" and target in self.cloud.objects:
            return _error(412, "PreconditionFailed")
        if "x-amz-copy-source" in headers:
            source = b"/" + quote(unquote(headers["x-amz-copy-source"].lstrip("/"))).encode()
            if source not in self.cloud.objects:
                return _error(404, "NoSuchKey")
            etag = self.cloud.put(target, self.cloud.objects[source].body, extra=_kept(headers))
            answer = f"<CopyObjectResult><ETag>{escape(etag)}</ETag></CopyObjectResult>"
            return _plain(200, answer.encode())
        etag = self.cloud.put(target, body, extra=_kept(headers))
        return _plain(200, more=f"ETag: {etag}\r\n")

    def _part(self, arguments: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        upload = self.cloud.uploads.get(arguments["uploadId"])
        if upload is None:
            return _error(404, "NoSuchUpload")
        etag = f'"{len(body):032x}"'
        upload[int(arguments["partNumber"])] = (etag, body)
        checksums = "".join(
            f"{name}: {value}\r\n" for name, value in headers.items() if name.startswith("x-amz-checksum-")
        )
        return _plain(200, more=f"ETag: {etag}\r\n{checksums}")

    def _multipart(
        self, target: bytes, arguments: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[bytes, bytes]:
        bucket, _, key = target[1:].decode().partition("/")
        where = f"<Bucket>{bucket}</Bucket><Key>{escape(unquote(key))}</Key>"
        if "uploads" in arguments:
            upload_id = f"upload-{next(self.cloud.numbers)}"
            self.cloud.uploads[upload_id] = {}
            self.cloud.upload_heads[upload_id] = headers
            answer = f"<InitiateMultipartUploadResult>{where}<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
            return _plain(200, answer.encode())
        upload_id = arguments.get("uploadId", "")
        if upload_id not in self.cloud.uploads:
            return _error(404, "NoSuchUpload")
        if headers.get("if-none-match") == "*" and target in self.cloud.objects:
            return _error(412, "PreconditionFailed")
        parts = self.cloud.uploads.pop(upload_id)
        numbers = [
            int(element.text or 0) for element in ET.fromstring(body).iter() if element.tag.endswith("PartNumber")
        ]
        extra = _kept(self.cloud.upload_heads.pop(upload_id) | headers)
        whole = b"".join(parts[number][1] for number in numbers)
        etag = self.cloud.put(target, whole, etag=f'"{len(whole):032x}-{len(numbers)}"', extra=extra)
        answer = f"<CompleteMultipartUploadResult>{where}<ETag>{escape(etag)}</ETag></CompleteMultipartUploadResult>"
        return _plain(200, answer.encode())


def _kept(headers: dict[str, str]) -> str:
    """The headers of a write that reads show again."""
    names = (
        "content-type",
        "content-encoding",
        "x-amz-storage-class",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-type",
    )
    return "".join(
        f"{name}: {value}\r\n"
        for name, value in headers.items()
        if (name in names and value != "aws-chunked") or name.startswith("x-amz-meta-")
    )


def _folders_key(number: int) -> str:
    """In folders of 10,000 files, numbered on from folder to folder."""
    return f"planned/site-{number // 10_000:03}/2025/daily/export/report-{number:07}.csv"


def _hashes_key(number: int) -> str:
    """As if each name began with a hash."""
    return f"planned/{number * (1 << 64) // _MILLION:016x}.csv"


def _made_up(bucket: str, prefix: str, after: str, served: list[Stored]) -> Iterator[tuple[str, int, str]]:
    """The keys behind `after`, in order, without keeping any."""
    key_of = _MADE_UP[bucket]
    numbers = range(_MILLION)
    first = max(bisect_right(numbers, after, key=key_of), bisect_left(numbers, prefix, key=key_of))
    for number in numbers[first:]:
        key = key_of(number)
        if not key.startswith(prefix):
            return
        if served:
            stored = served[number % len(served)]
            yield key, len(stored.body), stored.etag
            continue
        yield key, 9_000 + number % 2_000, f'"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"'


_MADE_UP = {"million": _folders_key, "hashes": _hashes_key}


class Connection(asyncio.Protocol):
    """One client's connection: requests come one after the other, each may come in pieces."""

    def __init__(self, cloud: Cloud, delay: float) -> None:
        self.cloud = cloud
        self.answers = Answers(cloud)
        self.delay = delay
        self.pieces: list[bytes] = []
        self.missing = 0  # bytes of the body that have not come yet
        self.in_chunks = False  # a body of unknown length is coming
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.cloud.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.pieces.clear()

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET ") and data.endswith(b"\r\n\r\n") and not self.pieces and data.count(b"\r\n\r\n") == 1:
            stored = self.cloud.found(data[4 : data.index(b" ", 4)])
            if stored is not None and stored.ready is not None and self._wants_all(data, stored):
                self.cloud.requests += 1
                self.cloud.bytes_out += len(stored.body)
                self._send(stored.ready)
                return
        self.pieces.append(data)
        self.missing -= len(data)
        if self.missing <= 0 and (not self.in_chunks or data.endswith(_LAST_CHUNK)):
            self.in_chunks = False
            self._take_requests()

    @staticmethod
    def _wants_all(data: bytes, stored: Stored) -> bool:
        lowered = data.lower()
        if b"\r\nrange:" in lowered:
            return False
        at = lowered.find(b"\r\nif-match: ")
        return at < 0 or data[at + 12 : data.index(b"\r\n", at + 12)].strip(b'"').decode() == stored.etag.strip('"')

    def _take_requests(self) -> None:
        data = b"".join(self.pieces)
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            line, *lines = data[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
            start = end + 4
            is_chunked = (
                headers.get("transfer-encoding") == "chunked"
            )  # the client sends nothing after it before it is answered
            stop = len(data) if is_chunked else start + int(headers.get("content-length", "0"))
            if len(data) < stop or (is_chunked and not data.endswith(_LAST_CHUNK, start)):
                if len(data) == start and headers.get("expect", "").lower() == "100-continue":
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.missing = stop - len(data)
                self.in_chunks = is_chunked
                break
            body = _unchunked(data[start:stop]) if is_chunked else data[start:stop]
            data = data[stop:]
            method, target, _ = line.split(" ")
            self._answer(method, target.encode(), headers, body)
        self.pieces = [data] if data else []

    def _answer(self, method: str, target: bytes, headers: dict[str, str], body: bytes) -> None:
        self.cloud.requests += 1
        head, content = self.answers(method, target, headers, body)
        kind = headers.get("x-amz-target", "").rpartition(".")[2] or method
        self.cloud.by_kind[kind] = self.cloud.by_kind.get(kind, 0) + 1
        self.cloud.bytes_out += len(content)
        self._send(head, content)

    def _send(self, *answer: bytes) -> None:
        if self.delay:
            self.loop.call_later(self.delay, self._write, *answer)
        else:
            self._write(*answer)

    def _write(self, *answer: bytes) -> None:
        if not self.transport.is_closing():
            for piece in answer:
                self.transport.write(piece)


def _certificate(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for 127.0.0.1; clients are given `ca.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Glaciate benchmark")])
    now = dt.datetime.now(dt.UTC)
    hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # for clients that come back; here they cost a third of a handshake
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def _until_stdin_ends() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def _serve(cloud: Cloud, arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    delay = arguments.latency_ms / 1000
    tls = None if arguments.no_tls else _certificate(arguments.folder)
    ports = {}
    for name, seconds, context in (
        ("http", 0, None),
        ("http_late", delay, None),
        ("https", 0, tls),
        ("https_late", delay, tls),
    ):
        if name.startswith("https") and tls is None:
            continue
        server = await loop.create_server(
            lambda s=seconds: Connection(cloud, s), "127.0.0.1", 0, ssl=context, backlog=1024
        )
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await _until_stdin_ends()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--corpus", action="append", choices=sorted(CORPORA), default=[])
    parser.add_argument("--files", type=int)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--no-tls", action="store_true")
    arguments = parser.parse_args()
    cloud = Cloud()
    for name in arguments.corpus:
        for file in corpus_files(CORPORA[name], arguments.files):
            cloud.put(f"/{BUCKET}/{quote(file.key)}".encode(), file.body, etag=file.etag, written=False)
    gc.freeze()  # the corpus stays: the collector need not look at it again
    uvloop.run(_serve(cloud, arguments))


if __name__ == "__main__":
    main()
