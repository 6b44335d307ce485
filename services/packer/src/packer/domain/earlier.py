"""What earlier jobs have archived already: a listing in key order is held against the catalogs of the archives it meets.

One query finds the archives, one look and one reading of its catalog each serve all its files; nothing is asked about a file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Final, NamedTuple

from glaciate.names import ArchiveId, JobId
from packer.domain.archives import Seal
from packer.domain.sources import SourceFile

MOST_OPEN: Final = 500  # catalogs that are read at the same time, each some 200 KB
_SORTS_BEFORE_ITS_START: Final = re.compile(r"[\x00-#]")  # an archive's row is sorted by its first key and `#`


@dataclass(frozen=True, slots=True)
class EarlierArchive:
    """An indexed archive of an earlier job. They come in the order of `row_order`: first key, `#`, id."""

    archive_id: ArchiveId
    job_id: JobId
    row_order: str
    first_key: str
    last_key: str
    vault_key: str
    seal: Seal


class KnownFile(NamedTuple):
    """As much of a catalog's member as it takes to know a file again."""

    key: str
    etag: str
    has_tags: bool  # its tags were kept, if it had any


KnownFiles = Callable[[EarlierArchive], Iterator[KnownFile]]


class _Head(NamedTuple):
    """The next file of an open catalog."""

    key: str
    age: "_Age"
    file: KnownFile


_Age = tuple[datetime, ArchiveId]  # the larger is the newer, as in the index; no two archives have the same


@dataclass(slots=True)
class AlreadyArchived:
    """Says of each file of a listing whether the newest archived version of its key is what is listed now.

    The newest, because that is what a restore brings: a file that was changed, archived and changed back is archived again.
    Files must come in key order, as catalogs do; of one that does not, nothing is known, and it is archived again. Memory:
    the open catalogs, `most_open` at the most. Where more hold one key range, the oldest are left out.
    """

    archives: Iterator[EarlierArchive]
    files_of: KnownFiles
    with_tags: bool
    most_open: int = MOST_OPEN
    left_out: int = 0
    _next: EarlierArchive | None = field(init=False)
    _waiting: list[tuple[str, ArchiveId, EarlierArchive]] = field(init=False, default_factory=list)
    _open: dict[_Age, Iterator[KnownFile]] = field(init=False, default_factory=dict)
    _heads: list[_Head] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._next = next(self.archives, None)

    def __call__(self, file: SourceFile) -> bool:
        """Whether the newest version that is archived has this ETag (and its tags, where they are to be kept)."""
        key = file.key
        self._let_in(key)
        newest: KnownFile | None = None
        while self._heads and self._heads[0].key <= key:
            head = heappop(self._heads)
            if head.key == key:
                newest = head.file  # of one key, the newest comes last
            self._advance(head.age)
        return newest is not None and newest.etag == file.etag and (newest.has_tags or not self.with_tags)

    def _let_in(self, key: str) -> None:
        """Opens the archives that begin at this key or before, and do not end before it."""
        if self._next is not None:
            short = _SORTS_BEFORE_ITS_START.search(key)
            bound = f"{key[: short.start()] if short else key}#~"
            while self._next is not None and self._next.row_order <= bound:
                heappush(self._waiting, (self._next.first_key, self._next.archive_id, self._next))
                self._next = next(self.archives, None)
        while self._waiting and self._waiting[0][0] <= key:
            archive = heappop(self._waiting)[2]
            if archive.last_key >= key:
                self._start(archive)

    def _start(self, archive: EarlierArchive) -> None:
        age = archive.seal.sealed_at, archive.archive_id
        self._open[age] = self.files_of(archive)
        self._advance(age)
        if len(self._open) > self.most_open:
            self.left_out += 1
            del self._open[min(self._open)]

    def _advance(self, age: _Age) -> None:
        if age not in self._open:
            return
        file = next(self._open[age], None)
        if file is None:
            del self._open[age]
        else:
            heappush(self._heads, _Head(file.key, age, file))
