"""The two documents of a restore request's part, kept in the work bucket: what it wants of an archive, and what became of it."""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic_core import from_json, to_json


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A source key wanted of an archive, and the key in the restore bucket it is to appear under."""

    key: str
    destination: str
    size: int


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a wanted file. `RESTORED` is said only of a file that is there, complete and equal."""

    key: str
    destination: str
    state: Literal["RESTORED", "FAILED"]
    size: int
    reason: str | None = None


Item = TypeVar("Item", WantedFile, FileResult)


def _write(items: Iterable[WantedFile | FileResult]) -> bytes:
    lines = (to_json({name: getattr(item, name) for name in item.__slots__}) + b"\n" for item in items)
    return gzip.compress(b"".join(lines), compresslevel=1, mtime=0)


def write_wanted(files: Iterable[WantedFile]) -> bytes:
    """The document of a part's wishes: gzipped JSON lines; the same files give the same bytes."""
    return _write(files)


def read_wanted(document: bytes) -> tuple[WantedFile, ...]:
    """Reads what `write_wanted` wrote.

    Raises:
        ValueError: it is damaged.
    """
    return _read(document, WantedFile)


def write_results(results: Iterable[FileResult]) -> bytes:
    """The document of a part's outcome: gzipped JSON lines."""
    return _write(results)


def read_results(document: bytes) -> tuple[FileResult, ...]:
    """Reads what `write_results` wrote.

    Raises:
        ValueError: it is damaged.
    """
    return _read(document, FileResult)


def _read(document: bytes, kind: type[Item]) -> tuple[Item, ...]:
    try:
        return tuple(kind(**from_json(line)) for line in gzip.decompress(document).splitlines())
    except (OSError, EOFError, zlib.error, TypeError) as error:
        msg = f"not a list of files: {error}"
        raise ValueError(msg) from error
