"""Lists of source files that lie in S3: a caller's CSV, or an S3 Inventory. What their bytes mean; how they are fetched is a port.

CSV: `bucket,key,size[,etag]` in this order, or under a header that names its columns in any order (`last_modified` and
`storage_class` may be there, too). Keys stand as they are; nothing is URL-decoded. May be gzipped.
S3 Inventory: `manifest.json`, whose data files are gzipped CSV with URL-encoded keys and no header; the columns stand in
`fileSchema`, each data file's MD5 in `MD5checksum` (S3 User Guide, "Locating your inventory list").
"""

import csv
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from glaciate.errors import GlaciateError
from glaciate.requests import MAX_KEY_BYTES

Kind = Literal["csv", "inventory"]

BLOCK_BYTES: Final = 1024 * 1024
SLICE_BYTES: Final = 8 * 1024 * 1024
MOST_INVENTORY_BYTES: Final = 16 * 1024 * 1024  # of a manifest.json: about 80,000 data files
_MOST_LINE_BYTES: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_MARK: Final = "\ufeff"  # some programs begin a CSV with it
_BASE_COLUMNS: Final = ("bucket", "key", "size", "etag")
_CSV_NAMES: Final = {
    **{name: name for name in _BASE_COLUMNS},
    **dict.fromkeys(("lastmodified", "lastmodifieddate"), "modified"),
    "storageclass": "storage_class",
}
_INVENTORY_NAMES: Final = _CSV_NAMES | {"islatest": "is_latest", "isdeletemarker": "is_delete_marker"}
_NEEDED: Final = ("bucket", "key", "size")
_ETAG: Final = re.compile(r"[0-9A-Za-z-]{1,128}")
_CLASS: Final = re.compile(r"[A-Z0-9_]{1,40}")
_NOT_THE_FILE: Final = (("is_latest", "false"), ("is_delete_marker", "true"))


class BadManifest(GlaciateError):
    """A manifest says what cannot be understood, or must not be done; the message says where."""


class SourceList(BaseModel):
    """Which list a job takes its sources from, and which version of it: `etag` as S3 gave it when the job was accepted."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    bucket: str
    key: str
    etag: str

    @property
    def uri(self) -> str:
        """For people."""
        return f"s3://{self.bucket}/{self.key}"


class Row(NamedTuple):
    """A file that a list names. `etag` with its quotes, or empty; `modified` in ISO 8601, or empty; `storage_class` or empty."""

    key: str
    size: int
    etag: str = ""
    modified: str = ""
    storage_class: str = ""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def kind_of(key: str) -> Kind:
    """An S3 Inventory's manifest has the name that S3 gives it; everything else is a CSV."""
    return "inventory" if key.rpartition("/")[2] == "manifest.json" else "csv"


class InventoryFile(BaseModel):
    """A data file of an inventory."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(min_length=1)
    md5: str = Field(alias="MD5checksum", pattern=r"^[0-9a-fA-F]{32}$")


class Inventory(BaseModel):
    """What `manifest.json` says."""

    model_config = ConfigDict(frozen=True)

    source_bucket: str = Field(alias="sourceBucket")
    destination: str = Field(alias="destinationBucket", description="an ARN, or a bare name")
    file_format: str = Field(alias="fileFormat")
    file_schema: str = Field(alias="fileSchema")
    files: tuple[InventoryFile, ...]

    @property
    def destination_bucket(self) -> str:
        """Where the data files lie."""
        return self.destination.rpartition(":")[2]


def read_inventory(document: bytes) -> Inventory:
    """Reads a `manifest.json`.

    Raises:
        BadManifest: it is none, or its data files are not CSV.
    """
    try:
        inventory = Inventory.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadManifest(f"it is no manifest.json of S3 Inventory: {where}: {first['msg']}") from error
    if inventory.file_format.upper() != "CSV":
        raise BadManifest(
            f"its data files are {inventory.file_format}, and only CSV is read: let S3 Inventory write CSV"
        )
    inventory_columns(inventory)
    return inventory


def inventory_columns(inventory: Inventory) -> tuple[str, ...]:
    """The columns of its data files. Columns that mean nothing here have an empty name."""
    names = [name.strip().lower() for name in inventory.file_schema.split(",")]
    return _with_the_needed(tuple(_INVENTORY_NAMES.get(name, "") for name in names), "fileSchema")


def header_columns(record: list[str]) -> tuple[str, ...] | None:
    """The columns that a CSV's first record names; None where it is a row already.

    Raises:
        BadManifest: it is a header, but not of a manifest.
    """
    folded = [re.sub(r"[\s_-]", "", name).lower() for name in record]
    if "bucket" not in folded or "key" not in folded or any(name.isdigit() for name in folded):
        return None
    unknown = [name for name, known in zip(record, folded, strict=True) if known not in _CSV_NAMES]
    if unknown:
        raise BadManifest(
            f"row 1 names a column {unknown[0]!r}; known are bucket, key, size, etag, last_modified and storage_class"
        )
    return _with_the_needed(tuple(_CSV_NAMES[name] for name in folded), "row 1")


def _with_the_needed(columns: tuple[str, ...], where: str) -> tuple[str, ...]:
    named = [name for name in columns if name]
    missing = [name for name in _NEEDED if name not in named]
    if missing:
        raise BadManifest(f"{where} names no column {missing[0]!r}")
    if len(set(named)) != len(named):
        raise BadManifest(f"{where} names a column twice")
    return columns


@dataclass(frozen=True, slots=True)
class Expected:
    """What every row must be: of this bucket, under this prefix, and with a time where one is asked for."""

    kind: Kind
    bucket: str
    prefix: str
    needs_time: bool


@dataclass(slots=True)
class Rows:
    """Reads rows out of blocks of bytes. `offset` and `number` are those after the last row given: reading can go on there.

    `number` counts every record, a header too; of an inventory it counts within its data file.
    """

    expected: Expected
    columns: tuple[str, ...] | None = None
    offset: int = 0
    number: int = 0

    def read(self, blocks: Iterable[bytes]) -> Iterator[Row]:
        """The files named from `offset` on. Old versions and delete markers of an inventory are not given.

        Raises:
            BadManifest: with the number of the row.
        """
        records = csv.reader(self._lines(blocks), strict=True)
        make = _row_maker(self.expected, self.columns) if self.columns is not None or self.number else None
        while True:
            try:
                record = next(records)
                self.number += 1
                if not record:
                    continue
                if make is None:
                    self.columns = header_columns(record)
                    make = _row_maker(self.expected, self.columns)
                    if self.columns is not None:
                        continue
                row = make(record)
            except StopIteration:
                return
            except (UnicodeDecodeError, csv.Error) as error:
                raise BadManifest(f"row {self.number + 1} can't be read: {error}") from error
            except ValueError as error:
                raise BadManifest(f"row {self.number}: {error}") from error
            if row is not None:
                yield row

    def _lines(self, blocks: Iterable[bytes]) -> Iterator[str]:
        rest = b""
        for block in blocks:
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > _MOST_LINE_BYTES:
                msg = f"a line has more than {_MOST_LINE_BYTES} bytes"
                raise csv.Error(msg)
            for line in lines:
                yield self._decoded(line + b"\n")
        if rest:
            yield self._decoded(rest)

    def _decoded(self, line: bytes) -> str:
        text = line.decode()
        if not self.offset:
            text = text.removeprefix(_MARK)
        self.offset += len(line)
        return text


def _row_maker(expected: Expected, columns: tuple[str, ...] | None) -> Callable[[list[str]], Row | None]:
    """What makes a record into a row; without columns it has three or four fields in the usual order."""
    place = {name: at for at, name in enumerate(columns or _BASE_COLUMNS) if name}
    widths = {len(columns)} if columns else {3, 4}
    at_bucket, at_key, at_size = (place[name] for name in _NEEDED)
    at_etag, at_modified, at_class = (place.get(name) for name in ("etag", "modified", "storage_class"))
    unwanted = [(place[name], text) for name, text in _NOT_THE_FILE if name in place]
    is_inventory = expected.kind == "inventory"

    def field_of(record: list[str], at: int | None) -> str:
        return record[at] if at is not None and at < len(record) else ""

    def make(record: list[str]) -> Row | None:
        if len(record) not in widths:
            msg = f"it has {len(record)} fields instead of {' or '.join(map(str, sorted(widths)))}"
            raise ValueError(msg)
        if unwanted and any(record[at].lower() == text for at, text in unwanted):
            return None
        if record[at_bucket] != expected.bucket:
            msg = f"it is of bucket {record[at_bucket]!r}, but the job's is {expected.bucket!r}"
            raise ValueError(msg)
        key = _key(unquote_plus(record[at_key], errors="strict") if is_inventory else record[at_key])
        if not key.startswith(expected.prefix):
            if is_inventory:  # it lists the bucket, and the prefix chooses of it
                return None
            msg = f"its key {key!r} is not under the job's prefix {expected.prefix!r}"
            raise ValueError(msg)
        modified = _time(field_of(record, at_modified), is_needed=expected.needs_time)
        etag, storage_class = _etag(field_of(record, at_etag)), _storage_class(field_of(record, at_class))
        return Row(key, _size(record[at_size]), etag, modified, storage_class)

    return make


def _key(key: str) -> str:
    if not key:
        msg = "its key is empty"
        raise ValueError(msg)
    if len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES:
        msg = f"its key has more than {MAX_KEY_BYTES} bytes"
        raise ValueError(msg)
    return key


def _size(size: str) -> int:
    if not (size.isascii() and size.isdigit() and len(size) < 16):
        msg = f"its size {size!r} is not a number of bytes"
        raise ValueError(msg)
    return int(size)


def _etag(etag: str) -> str:
    bare = etag.strip('"')
    if not bare:
        return ""
    if not _ETAG.fullmatch(bare):
        msg = f"{etag!r} is not an ETag"
        raise ValueError(msg)
    return f'"{bare}"'


def _storage_class(name: str) -> str:
    if name and not _CLASS.fullmatch(name):
        msg = f"{name!r} is not a storage class"
        raise ValueError(msg)
    return name


def _time(text: str, *, is_needed: bool) -> str:
    if text:
        read_time(text)
    elif is_needed:
        msg = "it says no time of last modification, which older_than needs: add a column last_modified"
        raise ValueError(msg)
    return text


def read_time(text: str) -> datetime:
    """A moment in ISO 8601; UTC where it says no offset.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of an object's bytes, the ETag of the object it is of, and how long that is in all."""

    data: bytes
    etag: str
    total: int


ReadSlice = Callable[[int, str | None], Slice]
"""Reads on from a position, on condition of an ETag if there is one; past the end: no bytes."""


@dataclass(slots=True)
class Document:
    """One object of a list, as plain bytes from an offset on. `etag`: of the version that must be, and is, read."""

    read: ReadSlice
    etag: str | None
    md5: str | None = None

    def blocks(self, *, offset: int = 0) -> Iterator[bytes]:
        """At most `BLOCK_BYTES` at a time. What is gzipped, or must match an MD5, is read from its beginning on.

        Raises:
            BadManifest: the MD5 is another, or a gzipped object breaks off.
        """
        first = self._slice(0)
        if first.data.startswith(_GZIP):
            yield from _cut(_without(_inflated(self._slices(first, 0)), offset))
        elif offset and self.md5 is None:
            yield from _cut(self._slices(self._slice(offset), offset))
        else:
            yield from _cut(_without(self._slices(first, 0), offset))

    def _slice(self, start: int) -> Slice:
        got = self.read(start, self.etag)
        self.etag = got.etag
        return got

    def _slices(self, got: Slice, at: int) -> Iterator[bytes]:
        digest = md5(usedforsecurity=False)
        while got.data:
            digest.update(got.data)
            yield got.data
            at += len(got.data)
            if at >= got.total:
                break
            got = self._slice(at)
        if self.md5 is not None and digest.hexdigest() != self.md5.lower():
            raise BadManifest(f"its MD5 is {digest.hexdigest()}, but manifest.json says {self.md5}")


def _inflated(raw: Iterable[bytes]) -> Iterator[bytes]:
    """Inflates gzip, member after member, a block at a time."""
    inflater = zlib.decompressobj(31)
    begun = False
    for data in raw:
        rest = data
        while rest:
            if inflater.eof:
                inflater, begun = zlib.decompressobj(31), False
            begun = True
            try:
                plain = inflater.decompress(rest, BLOCK_BYTES)
            except zlib.error as error:
                raise BadManifest(f"it is not gzip any more: {error}") from error
            if plain:
                yield plain
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if begun and not inflater.eof:
        raise BadManifest("its gzip breaks off")


def _without(blocks: Iterable[bytes], skipped: int) -> Iterator[bytes]:
    for block in blocks:
        if skipped >= len(block):
            skipped -= len(block)
            continue
        yield block[skipped:] if skipped else block
        skipped = 0


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), BLOCK_BYTES):
            yield block[start : start + BLOCK_BYTES]
