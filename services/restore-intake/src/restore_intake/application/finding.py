"""Finding what a request asks for: the versions of its files, and where their archives lie."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NoReturn

from glaciate.catalog import CatalogHeader
from glaciate.errors import conflict, unprocessable
from glaciate.names import ArchiveId, ProjectName
from restore_intake.domain.finding import ArchiveRange, FileVersion, sealed_by
from restore_intake.domain.ordering import RestoreOrder
from restore_intake.ports import CatalogLost, Catalogs, Index

MOST_KEYS_LISTED: Final = 20
MOST_ARCHIVES_NAMED: Final = 1_000  # each is looked at while the caller waits, who waits 29 seconds at the most
MOST_VERSIONS_NAMED: Final = 50_000  # rows of the index


@dataclass(frozen=True, slots=True)
class Found:
    """The files of a request: one version each; the headers of their archives; the names that no archive holds; and the archives
    of which nobody knows what they hold, because their catalogs are lost."""

    versions: tuple[FileVersion, ...]
    headers: Mapping[ArchiveId, CatalogHeader]
    missing: tuple[str, ...] = ()
    lost: tuple[ArchiveRange, ...] = ()


@dataclass(frozen=True, slots=True)
class FindWanted:
    """Reads the index; asking twice as of the same moment finds the same."""

    index: Index
    catalogs: Catalogs

    def by_names(self, order: RestoreOrder) -> Found:
        """The newest version of each name: a full key where it has a slash, else a bare name (or a key without folder).

        Raises:
            Problem: 409, a name means several files, and the order does not want them all; 422, the names mean more than can be
                looked at while the caller waits.
        """
        found: list[FileVersion] = []
        missing: list[str] = []
        ambiguous: list[dict[str, Any]] = []
        for name in order.names:
            versions = self._of(order, name)
            room = MOST_VERSIONS_NAMED - len(found)
            seen = list(islice(versions if order.all_matches else _few(versions), room + 1))
            if len(seen) > room:
                _refuse_too_many("TooManyVersions", f"more than {MOST_VERSIONS_NAMED:,} archived versions")
            files = sorted({(version.key, version.bucket) for version in seen})
            if not files:
                missing.append(name)
            elif len(files) > 1 and not order.all_matches:
                keys = [{"bucket": bucket, "key": key} for key, bucket in files[:MOST_KEYS_LISTED]]
                ambiguous.append({"name": name, "matches": keys, "more": len(files) > MOST_KEYS_LISTED})
            else:
                found += seen
        if ambiguous:
            names = ", ".join(entry["name"] for entry in ambiguous)
            how = "give full keys (one without a folder as glob) and bucket_name, or set all_matches to get every one"
            message = f"several files match {names}: {how}"
            raise conflict("AmbiguousName", message, {"ambiguous": ambiguous})
        wanted = order.choose(found)
        if len({version.archive_id for version in wanted}) > MOST_ARCHIVES_NAMED:
            _refuse_too_many("TooManyArchives", f"files in more than {MOST_ARCHIVES_NAMED:,} archives")
        return Found(wanted, headers_of(wanted, order.project, self.catalogs, self.index), tuple(missing))

    def ranges(self, order: RestoreOrder, bucket: str, *, after: str | None = None) -> tuple[ArchiveRange, ...]:
        """The archives of a bucket that may hold files that the order asks for other than by name."""
        found = self.index.ranges(order.project, bucket, order.literal_prefix, after=after)
        return tuple(archive for archive in found if order.reads(archive))

    def in_archives(self, order: RestoreOrder, ranges: Iterable[ArchiveRange]) -> Found:
        """What the order asks for, other than by name, in these archives."""
        headers: dict[ArchiveId, CatalogHeader] = {}
        found: list[FileVersion] = []
        lost: list[ArchiveRange] = []
        for archive in ranges:
            try:
                catalog = self.catalogs.read(archive.archive_id)
            except CatalogLost:
                lost.append(archive)
                continue
            headers[archive.archive_id] = catalog.header
            found += (
                FileVersion(archive.bucket, member.key, member.size, archive.sealed_at, archive.archive_id)
                for member in catalog.members
                if order.matches(member.key)
            )
        return Found(order.choose(found), headers, lost=tuple(lost))

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


def _refuse_too_many(code: str, what: str) -> NoReturn:
    message = f"these names mean {what}: ask for a prefix or a glob such as */name, which takes any number, or for fewer names"
    raise unprocessable(code, message)


def headers_of(
    files: Iterable[FileVersion], project: ProjectName, catalogs: Catalogs, index: Index
) -> Mapping[ArchiveId, CatalogHeader]:
    """Where the archives of some files lie: by the catalogs; where one is lost by the index, for the archive itself still has it.

    Raises:
        LookupError: neither says so.
    """
    by_archive = {file.archive_id: file for file in files}
    headers = dict(catalogs.headers(sorted(by_archive)))
    for archive_id in by_archive.keys() - headers.keys():
        header = index.header(project, by_archive[archive_id])
        if header is None:
            msg = f"neither a catalog nor the index says where archive {archive_id} is"
            raise LookupError(msg)
        headers[archive_id] = header
    return headers


def _few(versions: Iterable[FileVersion]) -> Iterator[FileVersion]:
    """The versions of no more files than are needed to say that a name means too many."""
    files: set[tuple[str, str]] = set()
    for version in versions:
        files.add((version.bucket, version.key))
        yield version
        if len(files) > MOST_KEYS_LISTED:
            return
