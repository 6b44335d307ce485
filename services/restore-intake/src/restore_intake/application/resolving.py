"""Resolving: finding what a request wants where the call had no time to, and recording a part for each archive."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import timedelta

from glaciate.names import ArchiveId
from glaciate.part_documents import DocumentLost, PartDocuments
from glaciate.telemetry import logger
from restore_intake.application.accepting import Promised, planned_parts
from restore_intake.application.finding import FindWanted, Found
from restore_intake.application.work import ARCHIVES_PER_MESSAGE
from restore_intake.domain.finding import ArchiveRange, Progress, batches, clusters, newest_first, read_progress
from restore_intake.domain.ordering import Request
from restore_intake.ports import Clock, Requests


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    """Finds the files of a request again and records a part for each archive. Twice is harmless: the order names the moment as of
    which to look, a part that is recorded stays as it is, and no second file is promised a place."""

    find: FindWanted
    requests: Requests
    documents: PartDocuments
    now: Clock
    look_after: timedelta

    def __call__(self, request: Request) -> bool:
        """True when every part is recorded; False where more is left for another message."""
        recorded = {part.archive_id for part in self.requests.parts(request.request_id)}
        if request.order.names:
            found = self.find.by_names(request.order.model_copy(update={"all_matches": True}))
            self._record(request, found, recorded, promised=self._promised(request, recorded))
            self.requests.resolved(request.request_id, missing=found.missing)
            return True
        if not self._resolve_archives(request, recorded):
            return False
        now = self.requests.get(request.request_id) or request
        self.requests.resolved(request.request_id, missing=now.missing or (() if recorded else (request.order.wanted,)))
        return True

    def _resolve_archives(self, request: Request, recorded: set[ArchiveId]) -> bool:
        """Group by group of archives that share keys, each from its newest archive to its oldest: what a newer one gave is promised."""
        left = ARCHIVES_PER_MESSAGE
        done = read_progress(request.resolved_to)
        for bucket in request.order.buckets:
            if bucket < done.bucket:
                continue
            progress = done if bucket == done.bucket else Progress(bucket)
            for group in clusters(self.find.ranges(request.order, bucket, after=progress.after)):
                concerned = {archive.archive_id for archive in group}
                for archives in batches(newest_first(group)[progress.read :], ARCHIVES_PER_MESSAGE):
                    if left <= 0:
                        return False
                    left -= len(archives)
                    found = self.find.in_archives(request.order, archives)
                    self.requests.lacks(request.request_id, map(_without_catalog, found.lost))
                    promised = self._promised(request, concerned & recorded, group)
                    self._record(request, found, recorded, promised=promised)
                    progress = progress.further(len(archives))
                    self.requests.resolved_to(request.request_id, progress.text)
                progress = Progress(bucket, max(archive.last_key for archive in group))
                self.requests.resolved_to(request.request_id, progress.text)
        return True

    def _record(self, request: Request, found: Found, recorded: set[ArchiveId], *, promised: Promised) -> None:
        """Records what was found, but for the places that are promised already; some at a time, which a death does not undo."""
        parts = [
            part for part in planned_parts(request.order, found, without=promised) if part.archive_id not in recorded
        ]
        for some in batches(parts, ARCHIVES_PER_MESSAGE):
            for part in some:
                self.documents.put_wanted(request.request_id, part.archive_id, part.files)
            self.requests.add_parts(request.request_id, some, look_at=self.now() + self.look_after)
            recorded.update(part.archive_id for part in some)

    def _promised(self, request: Request, recorded: Set[ArchiveId], ranges: Iterable[ArchiveRange] = ()) -> Promised:
        """The places that recorded parts promise.

        Where a part's list is lost, all that its archive may have given: no older version takes the place of one that fails.
        """
        places: set[tuple[str | None, str]] = set()
        for archive_id in recorded:
            try:
                wanted = self.documents.wanted(request.request_id, archive_id)
            except DocumentLost as lost:
                logger().error("list of files lost", extra={"archive_id": archive_id, "reason": str(lost)})
                found = self.find.in_archives(request.order, [one for one in ranges if one.archive_id == archive_id])
                wanted = tuple(file for part in planned_parts(request.order, found) for file in part.files)
            places.update(file.place for file in wanted)
        return frozenset(places)


def _without_catalog(archive: ArchiveRange) -> str:
    return (
        f"(files of archive {archive.archive_id}, from {archive.first_key} to {archive.last_key}: its catalog is lost; restore one "
        "of them by its key, which rebuilds it, then restore again; what came of these keys meanwhile may be an older version)"
    )
