"""The catalog: everything known of an archive's members. Kept beside the vault, gzipped, and as the ZIP's last member, plain.

JSON lines. The first is the header; then one line a member (`k` … ), in the order of the archive; then one line a file that was
planned but left out (`skipped`). Both copies hold the same lines, so that either can rebuild the index.
"""

import gzip
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic_core import from_json, to_json

from glaciate.names import ArchiveId, JobId, ProjectName, job_of

FORMAT: Final = "glaciate-catalog/1"
MEMBER_NAME: Final = ".glaciate/catalog.jsonl"

Kind = Literal["zip", "object"]


@dataclass(frozen=True, slots=True)
class CatalogHeader:
    """What holds for the whole archive. `kind` is `zip`, or `object` for a big file kept as it is."""

    project: ProjectName
    bucket: str
    prefix: str
    archive_id: ArchiveId
    vault_bucket: str
    vault_key: str
    storage_class: str
    kind: Kind

    @property
    def job_id(self) -> JobId:
        """The job that made the archive."""
        return job_of(self.archive_id)


@dataclass(slots=True)  # not frozen: one is made for every file, and that would take three times as long
class Member:
    """One source file inside an archive. `offset` is where its (compressed) data start, in bytes from the archive's first."""

    key: str
    name: str  # the member's name in the ZIP: the key, made safe
    offset: int
    compressed_size: int
    size: int
    method: int  # ZIP's number: 0 stored, 8 deflate
    crc32: int | None  # None for a file kept as it is: S3's own checksum of the object stands for it
    etag: str  # as S3 gives it, quotes included
    version_id: str | None
    modified: datetime
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None  # None: nobody asked to keep them; empty: it had none


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was planned but is not in the archive, and why. Its source is untouched."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """A whole catalog in memory."""

    header: CatalogHeader
    members: tuple[Member, ...]
    skipped: tuple[Skipped, ...] = ()


_OPTIONAL: Final = {
    "ct": "content_type",
    "ce": "content_encoding",
    "cd": "content_disposition",
    "cl": "content_language",
    "cc": "cache_control",
    "md": "metadata",
    "tags": "tags",
}


_MEMBER_KEY: Final = re.compile(
    rb'\{"k":("[^"\\]*")'
)  # as `member_line` begins; a key with escapes is read the long way


def header_fields(header: CatalogHeader) -> dict[str, str]:
    """The first line's fields."""
    return {"format": FORMAT, **{name: getattr(header, name) for name in CatalogHeader.__slots__}}


def header_line(header: CatalogHeader) -> bytes:
    """The first line."""
    return to_json(header_fields(header)) + b"\n"


def member_line(member: Member) -> bytes:
    """A member's line; what is not known is left out."""
    line: dict[str, object] = {"k": member.key}
    if member.name != member.key:
        line["n"] = member.name
    line |= {"o": member.offset, "c": member.compressed_size, "s": member.size, "m": member.method, "crc": member.crc32,
             "e": member.etag, "v": member.version_id, "t": member.modified.timestamp()}  # fmt: skip
    if member.content_type:
        line["ct"] = member.content_type
    if member.content_encoding:
        line["ce"] = member.content_encoding
    if member.content_disposition:
        line["cd"] = member.content_disposition
    if member.content_language:
        line["cl"] = member.content_language
    if member.cache_control:
        line["cc"] = member.cache_control
    if member.metadata:
        line["md"] = member.metadata
    if member.tags is not None:
        line["tags"] = member.tags
    return to_json(line) + b"\n"


def skipped_line(skipped: Skipped) -> bytes:
    """The line of a file that was left out."""
    return to_json({"skipped": skipped.key, "reason": skipped.reason}) + b"\n"


def write_catalog(catalog: Catalog) -> bytes:
    """The whole catalog, plain."""
    return b"".join(
        [header_line(catalog.header), *map(member_line, catalog.members), *map(skipped_line, catalog.skipped)]
    )


def stored_metadata(*, size_bytes: int, checksum: str | None, members: int, bytes_in: int) -> dict[str, str]:
    """What stands in a stored catalog's metadata: of which object of the vault it tells. `checksum` is its CRC64NVME in base64."""
    about = {"size-bytes": str(size_bytes), "members": str(members), "bytes-in": str(bytes_in)}
    return about if checksum is None else {**about, "crc64nvme": checksum}


def compress(plain: bytes) -> bytes:
    """A catalog as it is kept beside the vault; the same lines give the same bytes."""
    return gzip.compress(plain, compresslevel=6, mtime=0)


def _read_member(line: Mapping[str, object]) -> Member:
    values = {name: line[short] for short, name in _OPTIONAL.items() if short in line}
    return Member(
        key=line["k"],  # type: ignore[arg-type]
        name=line.get("n", line["k"]),  # type: ignore[arg-type]
        offset=line["o"],  # type: ignore[arg-type]
        compressed_size=line["c"],  # type: ignore[arg-type]
        size=line["s"],  # type: ignore[arg-type]
        method=line["m"],  # type: ignore[arg-type]
        crc32=line["crc"],  # type: ignore[arg-type]
        etag=line["e"],  # type: ignore[arg-type]
        version_id=line["v"],  # type: ignore[arg-type]
        modified=datetime.fromtimestamp(line["t"], UTC),  # type: ignore[arg-type]
        **values,  # type: ignore[arg-type]
    )


def _read_line(line: dict[str, object]) -> Member | Skipped:
    try:
        if "k" in line:
            return _read_member(line)
        return Skipped(key=line["skipped"], reason=line["reason"])  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        msg = f"not a catalog: a line is neither a member's nor that of a file left out: {error!r}"
        raise ValueError(msg) from error


def read_item(text: bytes) -> Member | Skipped:
    """Reads a line behind the first.

    Raises:
        ValueError: it is not a catalog's.
    """
    return _read_line(from_json(text))


def _read_header(text: bytes) -> CatalogHeader:
    return read_header_fields(from_json(text))


def read_header_fields(line: object) -> CatalogHeader:
    """Reads the first line's fields.

    Raises:
        ValueError: they are not a catalog's of this format.
    """
    if not isinstance(line, dict) or line.pop("format", None) != FORMAT:
        msg = f"not a catalog: the first line lacks format {FORMAT}"
        raise ValueError(msg)
    try:
        return CatalogHeader(**line)
    except TypeError as error:
        msg = f"not a catalog: {error}"
        raise ValueError(msg) from error


def read_lines(lines: Iterable[bytes]) -> Iterator[CatalogHeader | Member | Skipped]:
    """Reads a plain catalog line by line: the header, then the members, then what was left out.

    Raises:
        ValueError: not a catalog of this format.
    """
    for number, text in enumerate(lines):
        yield _read_header(text) if number == 0 else read_item(text)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a catalog says of some keys. `data_end` is where the data of the archive's last member end."""

    header: CatalogHeader
    members: Mapping[str, Member]
    left_out: Mapping[str, str]
    data_end: int


def read_excerpt(lines: Iterable[bytes], keys: Collection[str]) -> Excerpt:
    """Reads what a plain catalog says of some keys, and of the other members no more than that they are not wanted: ten times as fast.

    Raises:
        ValueError: not a catalog of this format, or empty.
    """
    texts = iter(lines)
    first = next(texts, None)
    if first is None:
        msg = "an empty catalog"
        raise ValueError(msg)
    header = _read_header(first)
    wanted = {to_json(key) for key in keys}
    members: dict[str, Member] = {}
    left_out: dict[str, str] = {}
    last = None
    for text in texts:
        found = _MEMBER_KEY.match(text)
        if found is not None and found[1] not in wanted:
            last = text
            continue
        item = read_item(text)
        if isinstance(item, Skipped):
            left_out[item.key] = item.reason
        else:
            last = text
            members[item.key] = item
    end = read_item(last) if last is not None else None
    asked = frozenset(keys)
    return Excerpt(
        header,
        {key: member for key, member in members.items() if key in asked},
        {key: reason for key, reason in left_out.items() if key in asked},
        end.offset + end.compressed_size if isinstance(end, Member) else 0,
    )


def read_catalog(compressed: bytes) -> Catalog:
    """Reads a catalog as it is kept beside the vault.

    Raises:
        ValueError: not a catalog of this format.
    """
    with gzip.open(io.BytesIO(compressed)) as lines:
        items = read_lines(lines)
        header = next(items, None)
        if not isinstance(header, CatalogHeader):
            msg = "an empty catalog"
            raise ValueError(msg)
        rest = tuple(items)
    members = tuple(item for item in rest if isinstance(item, Member))
    return Catalog(header, members, tuple(item for item in rest if isinstance(item, Skipped)))
