"""What unpacking needs of the world."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from glaciate.catalog import Excerpt, Member
from glaciate.events import RestoreCompleted
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import FileResult, WantedFile
from glaciate.restores import Part, PartState

Data = bytes | memoryview


class NotReadable(Exception):
    """S3 has no readable copy of the archive: not thawed yet, or the copy has expired."""


class Vanished(Exception):
    """The vault has no such object."""


class CatalogUnusable(Exception):
    """An archive's catalog is missing or is not one."""


class NotWritten(Exception):
    """The file is not at its place, and why: another is there, or S3 refuses it for good."""


class Ledger(Protocol):
    """The state of the restore requests: what unpacking moves of `glaciate.restores.RestoreLedger`."""

    def waiting_requests(self, archive_id: ArchiveId) -> tuple[RequestId, ...]:
        """Who waits for an archive."""

    def begin_unpacking(
        self, request_id: RequestId, archive_id: ArchiveId, *, readable_until: datetime | None
    ) -> Part | None:
        """None where there is nothing left to do: the part has ended, or its request is cancelled."""

    def thaw_again(self, request_id: RequestId, archive_id: ArchiveId) -> None:
        """The part waits for a thaw again."""

    def end_part(
        self,
        request_id: RequestId,
        archive_id: ArchiveId,
        *,
        state: PartState,
        restored: int,
        failed: int,
        reason: str | None = None,
    ) -> bool:
        """The part has ended; a second call changes nothing."""

    def settle(self, request_id: RequestId, archive_id: ArchiveId, *, tell: Callable[[RestoreCompleted], None]) -> None:
        """After the part has ended: tells the request's end if that was the last, and waits for the archive no more."""


class Catalogs(Protocol):
    """The catalogs beside the vault."""

    def read(self, archive_id: ArchiveId, keys: frozenset[str], pages: Collection[int] = ()) -> Excerpt:
        """What an archive's catalog says of some keys; it may be in these pages, or anywhere.

        Raises:
            CatalogUnusable: there is none, or it is not one.
        """

    def open(self, stored: bytes, keys: frozenset[str]) -> Excerpt:
        """The same of a catalog in hand.

        Raises:
            CatalogUnusable: it is not one, or damaged.
        """

    def put_back(self, archive_id: ArchiveId, stored: bytes, *, vault_key: str) -> None:
        """Stores a catalog that was missing or damaged; does nothing where somebody else was first."""

    def of_object(self, archive_id: ArchiveId, vault_key: str, key: str) -> Excerpt:
        """What the vault's object says itself of the one file in it, which was kept as it is, and has this key.

        Raises:
            CatalogUnusable: there is no such object.
        """


class PartDocuments(Protocol):
    """What each part wants, and what became of it."""

    def wanted(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        """The files a part wants.

        Raises:
            DocumentLost: nobody can say any more.
        """

    def put_results(self, request_id: RequestId, archive_id: ArchiveId, results: tuple[FileResult, ...]) -> None:
        """What became of them."""


class Vault(Protocol):
    """The archives."""

    def read(self, vault_key: str, *, start: int, end: int) -> bytes:
        """The archive's bytes from `start` to before `end`; fewer where it is shorter.

        Raises:
            NotReadable: there is no readable copy.
            Vanished: there is no archive.
        """

    def tail(self, vault_key: str) -> tuple[int, bytes]:
        """How many bytes the archive has, and the last of them: 64 KB, or all.

        Raises:
            NotReadable: there is no readable copy.
            Vanished: there is no archive.
        """

    def read_several(self, vault_key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        """The same of several ranges, some of them at once.

        Raises:
            NotReadable: there is no readable copy.
            Vanished: there is no archive.
        """


class Upload(Protocol):
    """A large file on its way."""

    def write(self, chunk: bytes | memoryview) -> None:
        """The next bytes."""

    def complete(self) -> None:
        """Makes it appear.

        Raises:
            NotWritten: it does not.
        """

    def abort(self) -> None:
        """Forgets it, unless it was completed: an unfinished upload is billed until somebody aborts it."""


class RestoredFiles(Protocol):
    """Where files are restored to. Nothing appears under a key before it is complete, and writing a file twice is as writing it once."""

    def put(self, destination: str, member: Member, content: bytes) -> None:
        """Writes a whole file with all that is known of it.

        Raises:
            NotWritten: it is not there.
        """

    def begin(self, destination: str, member: Member) -> Upload:
        """Begins to write a large file.

        Raises:
            NotWritten: it could not be completed.
        """

    def copy(self, vault_key: str, destination: str, member: Member) -> None:
        """Copies a file that was kept as it is out of the vault, inside S3, and verifies the copy.

        Raises:
            NotReadable: there is no readable copy of the archive.
            Vanished: there is no archive.
            NotWritten: there is no copy, or it differed and is gone again.
        """


class OriginalFiles(Protocol):
    """The buckets that files came from. What is there already and is the file counts as restored, and is left as it is."""

    def in_bucket(self, bucket: str, *, replaces: datetime | None) -> RestoredFiles:
        """One of them, where nothing is written over but what was last modified by `replaces`; None: nothing at all."""
