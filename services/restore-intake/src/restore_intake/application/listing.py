"""Finding archived files: by key, by name, by prefix or by glob, with their versions, in pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from glaciate.catalog import CatalogHeader
from glaciate.errors import unprocessable
from glaciate.names import ProjectName
from restore_intake.application.finding import headers_of
from restore_intake.domain.finding import ArchiveRange, FileVersion
from restore_intake.domain.queries import FilesQuery, read_offset, write_place
from restore_intake.domain.thawing import ArchiveHead, Copy, copy_of
from restore_intake.ports import Catalogs, Clock, Index, Projects, Vault

MOST_CATALOGS_A_PAGE: Final = 100
MOST_NAMES_A_PAGE: Final = 100  # each is a query


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a file, and its ETag where it is known for nothing."""

    version: FileVersion
    etag: str | None = None


_Page = tuple[list[Entry], str | None]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whose files, of which buckets."""

    project: ProjectName
    buckets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListFiles:
    """Answers `GET /files`; a page costs a bounded number of reads."""

    projects: Projects
    index: Index
    catalogs: Catalogs
    vault: Vault
    now: Clock

    def __call__(self, query: FilesQuery) -> dict[str, Any]:
        """A page of versions, the newest version of a file first: of files asked for by name each page is in order of keys, then of
        buckets; all others come bucket after bucket, each in order of its keys over all pages.

        Raises:
            Problem: 404 no such project; 403 a bucket that is not the project's; 400 a token that is none of ours;
                409 the catalog of an archive that must be read is lost;
                422 more archives overlap here than can be read for a page.
        """
        project = self.projects.load().require(query.project_name)
        if query.bucket_name is not None:
            project.require_bucket(query.bucket_name)
        buckets = (query.bucket_name,) if query.bucket_name is not None else tuple(sorted(project.source_buckets))
        page, token = self._page(_Scope(ProjectName(project.name), buckets), query)
        return {"files": self._describe(page, ProjectName(project.name)), "next_token": token}

    def _page(self, scope: "_Scope", query: FilesQuery) -> "_Page":
        if query.filename is not None:
            return self._by_filenames(scope, query)
        if query.key is not None:
            return self._by_key(scope, query.key, limit=query.limit, token=query.next_token)
        if query.name is not None:
            return self._by_name(scope, query.name, limit=query.limit, token=query.next_token)
        return self._by_prefix(scope, query)

    def _by_filenames(self, scope: "_Scope", query: FilesQuery) -> "_Page":
        """The names in order: with a slash a key, else a bare name. A page asks for so many of them at the most, and is then sorted."""
        entries, further = self._of_names(scope, query, sorted(query.filename or ()))
        return _by_keys(entries), further

    def _of_names(self, scope: "_Scope", query: FilesQuery, names: list[str]) -> "_Page":
        first, token = query.name_and_token()
        entries: list[Entry] = []
        for number in range(first, len(names)):
            if number - first == MOST_NAMES_A_PAGE or len(entries) >= query.limit:
                return entries, str(number)
            find = self._by_key if "/" in names[number] else self._by_name
            found, token = find(scope, names[number], limit=query.limit - len(entries), token=token)
            entries += found
            if token is not None:
                return entries, f"{number}:{token}"
        return entries, None

    def _by_key(self, scope: "_Scope", key: str, *, limit: int, token: str | None) -> "_Page":
        start = read_offset(token)
        versions = (version for bucket in scope.buckets for version in self.index.versions(scope.project, bucket, key))
        found = list(islice(versions, start, start + limit + 1))
        further = str(start + limit) if len(found) > limit else None
        return [Entry(version) for version in found[:limit]], further

    def _by_name(self, scope: "_Scope", name: str, *, limit: int, token: str | None) -> "_Page":
        found, further = self.index.named_page(scope.project, name, limit=limit, token=token)
        return _by_keys(Entry(version) for version in found if version.bucket in scope.buckets), further

    def _by_prefix(self, scope: "_Scope", query: FilesQuery) -> "_Page":
        """Reads catalogs in order of their first keys; a key is listed once no archive that may hold it is unread."""
        start_bucket, start_key = query.place()
        entries: list[Entry] = []
        left = MOST_CATALOGS_A_PAGE
        for bucket in scope.buckets:
            if bucket < start_bucket:
                continue
            start = start_key if bucket == start_bucket else ""
            held: list[Entry] = []
            for archive in self.index.ranges(scope.project, bucket, query.literal_prefix):
                if archive.last_key < start or not query.reads(archive.archive_id):
                    continue
                entries += _in_order(entry for entry in held if entry.version.key < archive.first_key)
                held = [entry for entry in held if entry.version.key >= archive.first_key]
                if (page := _whole_page(entries, query.limit)) is not None:
                    return page
                if not left:
                    return entries, _place_before(archive, start)
                left -= 1
                held += self._matching(archive, query, start)
            entries += _in_order(held)
            if (page := _whole_page(entries, query.limit)) is not None:
                return page
        return entries, None

    def _matching(self, archive: ArchiveRange, query: FilesQuery, start: str) -> Iterable[Entry]:
        for member in self.catalogs.read(archive.archive_id).members:
            if member.key >= start and query.matches(member.key):
                version = FileVersion(archive.bucket, member.key, member.size, archive.sealed_at, archive.archive_id)
                yield Entry(version, member.etag)

    def _describe(self, page: list[Entry], project: ProjectName) -> list[dict[str, Any]]:
        headers = headers_of((entry.version for entry in page), project, self.catalogs, self.index)
        heads = self.vault.heads({(header.vault_bucket, header.vault_key) for header in headers.values()})
        now = self.now()
        archives = {archive_id: _describe_archive(header, heads, now) for archive_id, header in headers.items()}
        return [
            {
                "key": entry.version.key,
                "bucket": entry.version.bucket,
                "size": entry.version.size,
                "archived_at": entry.version.sealed_at,
                "etag": entry.etag,
                **archives[entry.version.archive_id],
            }
            for entry in page
        ]


def _describe_archive(
    header: CatalogHeader, heads: Mapping[tuple[str, str], ArchiveHead | None], now: datetime
) -> dict[str, Any]:
    head = heads[header.vault_bucket, header.vault_key]
    copy = copy_of(head, now=now, days=0)
    return {
        "archive_id": header.archive_id,
        "archive": header.vault_key,
        "storage_class": head.storage_class if head else header.storage_class,
        "readable": copy,
        "readable_until": head.expires_at if head and copy is Copy.WARM else None,
    }


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(_newest_first(entries), key=lambda entry: (entry.version.bucket, entry.version.key))


def _by_keys(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(_newest_first(entries), key=lambda entry: (entry.version.key, entry.version.bucket))


def _newest_first(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.version.age, reverse=True)


def _whole_page(entries: list[Entry], limit: int) -> tuple[list[Entry], str | None] | None:
    """The first `limit` entries and all versions of the last one's file, if there is more behind them."""
    for number in range(limit, len(entries)):
        before, here = entries[number - 1].version, entries[number].version
        if (before.bucket, before.key) != (here.bucket, here.key):
            return entries[:number], write_place(here.bucket, here.key)
    return None


def _place_before(archive: ArchiveRange, start: str) -> str:
    """Where the next page begins: everything before the archive's first key is listed.

    Raises:
        Problem: 422, it begins where this one did: too many archives overlap there.
    """
    if archive.first_key <= start:
        message = (
            f"more than {MOST_CATALOGS_A_PAGE} archives hold versions of the files at {start!r}: ask by key or name"
        )
        raise unprocessable("TooManyVersions", message)
    return write_place(archive.bucket, archive.first_key)
