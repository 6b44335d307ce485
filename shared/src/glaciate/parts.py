"""The two documents of a restore request's part, kept in the work bucket: what it wants of an archive, and what became of it."""

import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic_core import from_json, to_json


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A source key wanted of an archive, and the key it is to appear under: in the restore bucket, or in `bucket`, its original one.

    In an original bucket nothing is written over but what was last modified by `replaces`; None: nothing at all.
    `page` tells where in the archive's catalog to look for it, as far as anybody knows (`glaciate.catalog_index`).
    """

    key: str
    destination: str
    size: int
    bucket: str | None = None
    replaces: datetime | None = None
    page: int | None = None

    @property
    def place(self) -> tuple[str | None, str]:
        """Where it is to appear: no two files of a request at one place."""
        return self.bucket, self.destination


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a wanted file. `RESTORED` is said only of a file that is there, complete and equal."""

    key: str
    destination: str
    state: Literal["RESTORED", "FAILED"]
    size: int
    reason: str | None = None
    bucket: str | None = None  # the original bucket, where the file was not to appear in the restore bucket


Item = TypeVar("Item", WantedFile, FileResult)


def _write(items: Iterable[WantedFile | FileResult]) -> bytes:
    lines = (to_json(_known(item)) + b"\n" for item in items)
    return gzip.compress(b"".join(lines), compresslevel=1, mtime=0)


def _known(item: WantedFile | FileResult) -> dict[str, object]:
    values = {name: getattr(item, name) for name in item.__slots__}
    return {name: value for name, value in values.items() if value is not None}


def write_wanted(files: Iterable[WantedFile]) -> bytes:
    """The document of a part's wishes: gzipped JSON lines; the same files give the same bytes."""
    return _write(files)


def read_wanted(document: bytes) -> tuple[WantedFile, ...]:
    """Reads what `write_wanted` wrote.

    Raises:
        ValueError: it is damaged.
    """
    return _read(document, _read_wanted)


def _read_wanted(line: dict[str, Any]) -> WantedFile:
    replaces = line.pop("replaces", None)
    return WantedFile(**line, replaces=datetime.fromisoformat(replaces) if replaces else None)


def write_results(results: Iterable[FileResult]) -> bytes:
    """The document of a part's outcome: gzipped JSON lines."""
    return _write(results)


def read_results(document: bytes) -> tuple[FileResult, ...]:
    """Reads what `write_results` wrote.

    Raises:
        ValueError: it is damaged.
    """
    return _read(document, lambda line: FileResult(**line))


def _read(document: bytes, read: Callable[[dict[str, Any]], Item]) -> tuple[Item, ...]:
    try:
        return tuple(read(from_json(line)) for line in gzip.decompress(document).splitlines())
    except (OSError, EOFError, zlib.error, TypeError) as error:
        msg = f"not a list of files: {error}"
        raise ValueError(msg) from error
