"""Source files as the packer meets them: listed, planned, read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import from_json, to_json

from packer.domain.codec import Packed

ARCHIVE_CLASSES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One version of one S3 object, as a listing or a plan tells of it. `etag` is as S3 gives it, quotes included."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str = "STANDARD"


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
    """An object without its bytes. `checksum`: its full-object CRC64NVME in base64, where S3 has one."""

    description: Description
    checksum: str | None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A source file that was read and verified, and compressed."""

    file: SourceFile
    description: Description
    packed: Packed


def plan_line(file: SourceFile) -> bytes:
    """A file's line in a plan."""
    return to_json({"k": file.key, "s": file.size, "e": file.etag, "t": file.modified.timestamp()}) + b"\n"


def read_plan_line(line: bytes) -> SourceFile:
    """What `plan_line` wrote."""
    values: dict[str, Any] = from_json(line)
    return SourceFile(
        key=values["k"], size=values["s"], etag=values["e"], modified=datetime.fromtimestamp(values["t"], UTC)
    )


def skipped_json_line(key: str, reason: str) -> bytes:
    """A line of a job's list of skipped files."""
    return to_json({"key": key, "reason": reason}) + b"\n"
