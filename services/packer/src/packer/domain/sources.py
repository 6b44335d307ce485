"""Source files as the packer meets them: listed, planned, read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from packer.domain.codec import Packed

_RUN_LINES: Final = 128
UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)  # S3 is younger
ARCHIVE_CLASSES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class SourceFile(NamedTuple):
    """One version of one S3 object, as a listing, a manifest or a plan tells of it. `etag` is as S3 gives it, quotes included.

    Where a manifest does not tell them, `etag` is empty and `modified` is `UNKNOWN_TIME`: whoever reads the file learns both.
    `refused`: why the list that names it does not let it be archived.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"
    refused: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether nothing is left to be learnt."""
        return bool(self.etag) and self.modified != UNKNOWN_TIME

    def seen(self, *, etag: str, modified: datetime) -> "SourceFile":
        """The file as S3 tells of it, where the list did not."""
        return self if self.is_known else self._replace(etag=etag, modified=modified)


@dataclass(frozen=True, slots=True)
class Description:
    """What an object carries besides its bytes."""

    version_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None  # None: not asked for


@dataclass(frozen=True, slots=True)
class SourceState:
    """An object without its bytes. `checksum`: its full-object CRC64NVME in base64, where S3 has one. `file`: as S3 tells of it."""

    description: Description
    checksum: str | None
    file: SourceFile


class ReadFile(NamedTuple):
    """A source file that was read and verified, and compressed."""

    file: SourceFile
    description: Description
    packed: Packed


def plan_line(file: SourceFile) -> bytes:
    """A file's line in a plan."""
    return to_json({"k": file.key, "s": file.size, "e": file.etag, "t": file.modified.timestamp()}) + b"\n"


def read_plan_lines(lines: Iterable[bytes]) -> Iterator[SourceFile]:
    """What `plan_line` wrote."""
    for line in json_lines(lines):
        yield SourceFile(line["k"], line["s"], line["e"], datetime.fromtimestamp(line["t"], UTC))


def json_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Lines of JSON, read many at once."""
    texts = iter(lines)
    while run := b",".join(islice(texts, _RUN_LINES)):
        yield from from_json(b"[%b]" % run)


def skipped_json_line(key: str, reason: str) -> bytes:
    """A line of a job's list of skipped files."""
    return to_json({"key": key, "reason": reason}) + b"\n"
