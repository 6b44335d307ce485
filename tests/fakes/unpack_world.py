"""The unpacker's use case and all it needs, in memory, for tests that disturb it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.mortal import Life
from fakes.restore_ledger import FakePartDocuments, FakeRestoreLedger
from fakes.unpacking import (
    VAULT_BUCKET,
    FakeCatalogs,
    FakeOriginalFiles,
    FakeRestoredFiles,
    FakeVault,
    header_of,
    zip_of,
)
from glaciate.catalog import Skipped
from glaciate.contracts import Command, Event
from glaciate.events import ObjectRestoreCompleted, Outcome, RestoreCompleted
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import WantedFile
from glaciate.restores import PartState
from unpacker.application import RebuildCatalog, UnpackArchive, UnpackMembers
from unpacker.domain import ReadLimits

ARCHIVE = ArchiveId("01aaaaa000010000")
VAULT_KEY = header_of(ARCHIVE).vault_key
ONE = RequestId("r-01aaaaa00001")
OTHER = RequestId("r-01aaaaa00002")
THIRD = RequestId("r-01aaaaa00003")
LARGE = os.urandom(5_000)
FILES = {
    "in/a.txt": b"the first file, the first file, the first file",
    "in/deep/b.txt": b"the second file " * 10,
    "in/empty": b"",
    "in/c ü.txt": os.urandom(500),
    "in/large.bin": LARGE,
}


@dataclass
class Sent:
    """A queue and a bus that remember."""

    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def send(self, *commands: Command) -> None:
        self.commands += commands

    def publish(self, *events: Event) -> None:
        self.events += events


@dataclass
class World:
    """Everything around the use case."""

    ledger: FakeRestoreLedger = field(default_factory=FakeRestoreLedger)
    documents: FakePartDocuments = field(default_factory=FakePartDocuments)
    catalogs: FakeCatalogs = field(default_factory=FakeCatalogs)
    vault: FakeVault = field(default_factory=FakeVault)
    sent: Sent = field(default_factory=Sent)
    restored: FakeRestoredFiles = field(init=False)
    originals: FakeOriginalFiles = field(init=False)

    def __post_init__(self) -> None:
        self.restored = FakeRestoredFiles(self.vault)
        self.originals = FakeOriginalFiles(self.vault)

    def archive(self, files: Mapping[str, bytes] = FILES, skipped: tuple[Skipped, ...] = ()) -> None:
        self.vault.archives[VAULT_KEY], members = zip_of(files)
        self.catalogs.keep(header_of(ARCHIVE), members, skipped)

    def want(self, request_id: RequestId, *keys: str, archive_id: ArchiveId = ARCHIVE) -> None:
        files = tuple(WantedFile(key, f"{request_id}/{key}", len(FILES.get(key, b""))) for key in keys)
        self.documents.put_wanted(request_id, archive_id, files)
        self.ledger.add(request_id, archive_id, vault_key=VAULT_KEY, files=len(files))

    def want_back(self, request_id: RequestId, *keys: str, replaces: datetime | None = None) -> None:
        """Wants files where they came from."""
        files = tuple(WantedFile(key, key, len(FILES.get(key, b"")), "sources", replaces) for key in keys)
        self.documents.put_wanted(request_id, ARCHIVE, files)
        self.ledger.add(request_id, ARCHIVE, vault_key=VAULT_KEY, files=len(files))

    def flip(self, key: str) -> None:
        """Damages one byte of a member."""
        found = self.catalogs.read(ARCHIVE, frozenset({key})).members[key]
        data = bytearray(self.vault.archives[VAULT_KEY])
        data[found.offset + found.compressed_size // 2] ^= 0x10
        self.vault.archives[VAULT_KEY] = bytes(data)

    def unpack(
        self, life: Life | None = None, *, read_concurrency: int = 3, write_concurrency: int = 2
    ) -> UnpackArchive:
        wrap: Callable[[Any], Any] = life.wrap if life else lambda thing: thing
        limits = ReadLimits(gap_bytes=64, limit_bytes=2_000, whole_share=0.85, whole_member_bytes=1_000)
        catalogs, vault = wrap(self.catalogs), wrap(self.vault)
        return UnpackArchive(
            vault_bucket=VAULT_BUCKET,
            ledger=wrap(self.ledger),
            catalogs=catalogs,
            rebuild_catalog=RebuildCatalog(vault, catalogs, limits.limit_bytes),
            documents=wrap(self.documents),
            unpack=UnpackMembers(
                vault,
                wrap(self.restored),
                wrap(self.originals),
                limits,
                read_concurrency,
                write_concurrency,
            ),
            thaw_queue=wrap(self.sent),
            bus=wrap(self.sent),
        )

    def contents(self) -> dict[str, bytes]:
        return {key: content for key, (content, _) in self.restored.files.items()}

    def results(self, request_id: RequestId) -> dict[str, str | None]:
        """The reason of each wanted file, None where it was restored."""
        results = self.documents.results(request_id, ARCHIVE)
        assert results is not None
        return {result.key: result.reason for result in results}

    def state(self, request_id: RequestId) -> PartState:
        return self.ledger.parts[request_id, ARCHIVE].state

    def told(self) -> dict[RequestId, Outcome]:
        return {event.request_id: event.outcome for event in self.sent.events if isinstance(event, RestoreCompleted)}


def readable(key: str = VAULT_KEY, bucket: str = VAULT_BUCKET) -> ObjectRestoreCompleted:
    return ObjectRestoreCompleted(correlation_id="e-1", vault_bucket=bucket, vault_key=key)
