"""An archive's catalog where the one beside the vault is missing or damaged: out of the archive itself."""

from collections.abc import Collection
from dataclasses import dataclass

from glaciate.catalog import Excerpt
from glaciate.names import ArchiveId, is_vault_key_of_object
from glaciate.telemetry import count, logger
from unpacker.domain import Damaged, find_catalog_member
from unpacker.ports import Catalogs, CatalogUnusable, Vault


@dataclass(frozen=True, slots=True)
class RebuildCatalog:
    """Reads a ZIP's last member, which is its catalog, checks it, uses it and stores it again.

    A big file that was kept as it is has no last member: its object says all but its key, which whoever wants it knows; what is known
    so is used, and not stored. Twice is harmless: a catalog is stored only where none is, or in place of the damaged one.
    """

    vault: Vault
    catalogs: Catalogs
    piece_bytes: int

    def __call__(self, archive_id: ArchiveId, vault_key: str, keys: Collection[str]) -> Excerpt:
        """What the archive says itself of some keys.

        Raises:
            CatalogUnusable: it does not say.
            NotReadable: there is no readable copy.
            Vanished: there is no archive.
        """
        if is_vault_key_of_object(vault_key):
            if len(set(keys)) != 1:
                msg = "and it is known of one file only that it is kept as it is"
                raise CatalogUnusable(msg)
            return self.catalogs.of_object(archive_id, vault_key, *set(keys))
        stored = self._stored(vault_key)
        excerpt = self.catalogs.open(stored, frozenset(keys))
        if (excerpt.header.archive_id, excerpt.header.vault_key) != (archive_id, vault_key):
            msg = f"the archive's own catalog is that of {excerpt.header.archive_id}"
            raise CatalogUnusable(msg)
        self.catalogs.put_back(archive_id, stored, vault_key=vault_key)
        logger().warning("catalog rebuilt out of its archive", extra={"archive_id": archive_id})
        count("CatalogRebuilt")
        return excerpt

    def _stored(self, vault_key: str) -> bytes:
        size, tail = self.vault.tail(vault_key)
        try:
            found = find_catalog_member(tail, archive_bytes=size)
        except Damaged as damage:
            raise CatalogUnusable(str(damage)) from damage
        pieces = range(found.start, found.end, self.piece_bytes)
        ranges = [(start, min(start + self.piece_bytes, found.end)) for start in pieces]
        return found.gzipped(b"".join(self.vault.read_several(vault_key, ranges)))
