"""Finding what a request asks for: the versions of its files, and where their archives lie."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from glaciate.catalog import CatalogHeader
from glaciate.errors import conflict
from glaciate.names import ArchiveId
from restore_intake.domain.finding import ArchiveRange, FileVersion, newest, sealed_by
from restore_intake.domain.ordering import RestoreOrder
from restore_intake.ports import Catalogs, Index

MOST_KEYS_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a request: one version each; the headers of their archives; and the names that no archive holds."""

    versions: tuple[FileVersion, ...]
    headers: Mapping[ArchiveId, CatalogHeader]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindWanted:
    """Reads the index; asking twice as of the same moment finds the same."""

    index: Index
    catalogs: Catalogs

    def by_names(self, order: RestoreOrder) -> Found:
        """The newest version of each name: a full key where it has a slash, else a bare name (or a key without folder).

        Raises:
            Problem: 409, a name means several files, and the order does not want them all.
        """
        found: list[FileVersion] = []
        missing: list[str] = []
        ambiguous: list[dict[str, Any]] = []
        for name in order.names:
            versions = _newest_of_few(self._of(order, name), all_matches=order.all_matches)
            if not versions:
                missing.append(name)
            elif len(versions) > 1 and not order.all_matches:
                keys = [{"bucket": version.bucket, "key": version.key} for version in versions[:MOST_KEYS_LISTED]]
                ambiguous.append({"name": name, "matches": keys, "more": len(versions) > MOST_KEYS_LISTED})
            else:
                found += versions
        if ambiguous:
            names = ", ".join(entry["name"] for entry in ambiguous)
            message = (
                f"several files match {names}: give full keys and bucket_name, or set all_matches to get every one"
            )
            raise conflict("AmbiguousName", message, {"ambiguous": ambiguous})
        wanted = newest(found)
        return Found(wanted, self.catalogs.headers(sorted({file.archive_id for file in wanted})), tuple(missing))

    def ranges(self, order: RestoreOrder, bucket: str, *, after: str | None = None) -> tuple[ArchiveRange, ...]:
        """The archives of a bucket that may hold files under the order's prefix."""
        found = self.index.ranges(order.project, bucket, order.prefix or "", after=after)
        return tuple(archive for archive in found if sealed_by(archive.sealed_at, order.as_of))

    def under_prefix(self, order: RestoreOrder, ranges: Iterable[ArchiveRange]) -> Found:
        """The newest version of each file under the order's prefix in these archives."""
        prefix = order.prefix or ""
        headers: dict[ArchiveId, CatalogHeader] = {}
        found: list[FileVersion] = []
        for archive in ranges:
            catalog = self.catalogs.read(archive.archive_id)
            headers[archive.archive_id] = catalog.header
            found += (
                FileVersion(archive.bucket, member.key, member.size, archive.sealed_at, archive.archive_id)
                for member in catalog.members
                if member.key.startswith(prefix)
            )
        return Found(newest(found), headers)

    def _of(self, order: RestoreOrder, name: str) -> Iterator[FileVersion]:
        if "/" in name:
            for bucket in order.buckets:
                yield from (
                    version
                    for version in self.index.versions(order.project, bucket, name)
                    if sealed_by(version.sealed_at, order.as_of)
                )
            return
        for version in self.index.named(order.project, name):
            if version.bucket in order.buckets and sealed_by(version.sealed_at, order.as_of):
                yield version


def _newest_of_few(versions: Iterable[FileVersion], *, all_matches: bool) -> tuple[FileVersion, ...]:
    """The newest version of each file; unless all are wanted, no more than are needed to say that the name means too many."""
    if all_matches:
        return newest(versions)
    seen: list[FileVersion] = []
    files: set[tuple[str, str]] = set()
    for version in versions:
        seen.append(version)
        files.add((version.bucket, version.key))
        if len(files) > MOST_KEYS_LISTED:
            break
    return newest(seen)
