"""Both halves of restoring at one ledger: the intake as moto plays its surroundings, and a worker that unpacks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fakes.mortal import Life
from fakes.restore_world import World
from fakes.unpacking import FakeCatalogs, FakeOriginalFiles, FakeRestoredFiles, FakeVault, header_of, zip_of
from fakes.vault import VAULT
from glaciate.events import ObjectRestoreCompleted
from glaciate.names import ArchiveId, RequestId
from unpacker.application import RebuildCatalog, UnpackArchive, UnpackMembers
from unpacker.domain import ReadLimits

FILES: Final = {"a.csv": b"the first file", "b.csv": b"the second file, which is longer"}


@dataclass
class Halves:
    """Both halves of restoring: the intake's use cases, and a worker at the same ledger and documents."""

    world: World
    vault: FakeVault = field(default_factory=FakeVault)
    catalogs: FakeCatalogs = field(default_factory=FakeCatalogs)
    archives: int = 0

    def __post_init__(self) -> None:
        self.restored = FakeRestoredFiles(self.vault)

    def ask(self) -> tuple[RequestId, ArchiveId]:
        """A request for all files of an archive of its own, which S3 thaws."""
        archive = self.put()
        request_id = self.world.post(archive_id=archive)
        self.world.drain()
        return request_id, archive

    def put(self) -> ArchiveId:
        """An archive of these files."""
        archive = self.world.vault.put(self.archives, {key: len(content) for key, content in FILES.items()})
        self.archives += 1
        self.vault.archives[header_of(archive).vault_key], members = zip_of(FILES)
        self.catalogs.keep(header_of(archive), members)
        return archive

    def work(self, archive: ArchiveId, life: Life | None = None) -> None:
        """A delivery of the archive's message to a worker."""
        wrap: Callable[[Any], Any] = life.wrap if life else lambda thing: thing
        unpack = UnpackArchive(
            vault_bucket=VAULT,
            ledger=wrap(self.world.ledger),
            catalogs=self.catalogs,
            rebuild_catalog=RebuildCatalog(self.vault, self.catalogs, 2_000),
            documents=wrap(self.world.ledger.documents),
            unpack=UnpackMembers(
                self.vault,
                wrap(self.restored),
                FakeOriginalFiles(self.vault),
                ReadLimits(gap_bytes=64, limit_bytes=2_000, whole_share=0.85, whole_member_bytes=1_000),
                1,
                1,
            ),
            thaw_queue=self.world.queue,
            bus=self.world.bus,
        )
        unpack(ObjectRestoreCompleted(correlation_id="e", vault_bucket=VAULT, vault_key=header_of(archive).vault_key))
