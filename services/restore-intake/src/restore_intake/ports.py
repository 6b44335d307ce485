"""What the restore intake needs of the world."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from glaciate.catalog import Catalog, CatalogHeader
from glaciate.costs import Charge
from glaciate.errors import Problem
from glaciate.events import RestoreCompleted
from glaciate.names import ArchiveId, JobId, ProjectName, RequestId
from glaciate.projects import ProjectsDocument
from glaciate.requests import Tier
from glaciate.restores import Part, PartState
from restore_intake.domain.asking import Asking
from restore_intake.domain.finding import ArchiveRange, FileVersion
from restore_intake.domain.ordering import Deletion, PlannedPart, Request
from restore_intake.domain.thawing import Answer, ArchiveHead, Thaw

Clock = Callable[[], datetime]


class Projects(Protocol):
    """Who may restore what."""

    def load(self) -> ProjectsDocument:
        """The document as it is now."""


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some versions of files, and the token to go on with, if there are more."""

    versions: tuple[FileVersion, ...]
    next_token: str | None


class Index(Protocol):
    """Where every file went."""

    def versions(self, project: ProjectName, bucket: str, key: str) -> Iterator[FileVersion]:
        """The versions of one file, newest first."""

    def named(self, project: ProjectName, name: str) -> Iterator[FileVersion]:
        """Every version of every file of a bare name, in order of bucket and folder, oldest first."""

    def named_page(
        self, project: ProjectName, name: str, *, limit: int, token: str | None
    ) -> tuple[tuple[FileVersion, ...], str | None]:
        """The same in pages.

        Raises:
            Problem: 400, the token is none of ours.
        """

    def header(self, project: ProjectName, version: FileVersion) -> CatalogHeader | None:
        """What the header of the catalog says of a file's archive, as the index knows it: all but the job's prefix."""

    def ranges(
        self, project: ProjectName, bucket: str, prefix: str, *, after: str | None = None
    ) -> tuple[ArchiveRange, ...]:
        """The indexed archives whose keys meet a prefix, in order of their first keys; `after`: only those that begin behind that key."""


class CatalogLost(Problem):
    """409: the catalog of an archive is not there or damaged; its files are found by name alone until it is rebuilt."""

    def __init__(self, archive_id: ArchiveId) -> None:
        message = f"the catalog of archive {archive_id} is lost: restore one of its files by its key, which rebuilds it"
        super().__init__(HTTPStatus.CONFLICT, "CatalogLost", message, {"archive_id": archive_id})


class Catalogs(Protocol):
    """What every archive holds."""

    def read(self, archive_id: ArchiveId) -> Catalog:
        """A whole catalog.

        Raises:
            CatalogLost: it is not there, or damaged.
        """

    def headers(self, archive_ids: Iterable[ArchiveId]) -> Mapping[ArchiveId, CatalogHeader]:
        """The headers of several catalogs, which say where the archives lie; of a catalog that is lost there is none."""


class Vault(Protocol):
    """The archives."""

    def head(self, bucket: str, key: str) -> ArchiveHead | None:
        """What S3 says of an archive, or None where there is none."""

    def heads(self, places: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], ArchiveHead | None]:
        """The same of several, by bucket and key."""

    def thaw(self, bucket: str, key: str, *, tier: Tier, days: int) -> Answer:
        """Asks S3 for a readable copy.

        Raises:
            Transient: S3 has no capacity for it, or wants fewer requests.
        """


class Thaws(Protocol):
    """What we asked S3 for."""

    def last_thaw(self, archive_id: ArchiveId) -> Thaw | None:
        """The last thaw of an archive that we asked for."""


class Deletions(Protocol):
    """What archive jobs will still do to their sources."""

    def ahead(self, job_id: JobId) -> Deletion | None:
        """A deletion of a job's sources that is still to come, or goes on."""


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Some requests, newest first, and the id to go on before, if there are more."""

    requests: tuple[Request, ...]
    before: RequestId | None


@dataclass(frozen=True, slots=True)
class Waiter:
    """Something to look at: a part, or (`archive_id` None) a request."""

    request_id: RequestId
    archive_id: ArchiveId | None


class Requests(Protocol):
    """The book of restore requests, beyond what `glaciate.restores.RestoreLedger` keeps for every service."""

    def accept(self, request: Request, parts: tuple[PlannedPart, ...] | None, *, look_at: datetime) -> bool:
        """Records a request and, where they are given, all its parts, at once; and when to look at it. False where the id is taken."""

    def get(self, request_id: RequestId) -> Request | None:
        """A request as it stands."""

    def page(self, project: ProjectName, *, limit: int, before: RequestId | None) -> RequestPage:
        """The newest requests of a project."""

    def parts(
        self, request_id: RequestId, *, after: ArchiveId | None = None, limit: int | None = None
    ) -> tuple[Part, ...]:
        """A request's parts in order of their archives."""

    def add_parts(self, request_id: RequestId, parts: Iterable[PlannedPart], *, look_at: datetime) -> bool:
        """Records parts of a request that is being resolved; one that is there stays. False where it is resolved or has ended."""

    def resolved_to(self, request_id: RequestId, place: str) -> None:
        """Notes how far a request is resolved."""

    def lacks(self, request_id: RequestId, missing: Iterable[str]) -> None:
        """Adds to what a request that is being resolved will not get; what is said already is not said twice."""

    def resolved(self, request_id: RequestId, *, missing: tuple[str, ...]) -> None:
        """Says that every part is recorded, and counts them."""

    def thawing(self, part: Part, *, asked_at: datetime, expected_by: datetime, look_at: datetime) -> None:
        """Says that a part's archive thaws, unless the part has moved on; and when to look at it."""

    def waits(self, part: Part, *, reason: str, expected_by: datetime, look_at: datetime) -> None:
        """Says what keeps a part from being thawed for now, unless it has moved on; and when to look at it."""

    def readable(self, part: Part, *, since: datetime, until: datetime | None, look_at: datetime) -> None:
        """Says that a part's archive can be read and waits for a worker, unless it has moved on; and when to look at it.

        `until`: when S3 ends the readable copy; None where the class is read at once.
        """

    def expects(self, request_id: RequestId) -> None:
        """Says by when the last of a request's parts is expected, as the parts say now."""

    def asks(self, part: Part, asking: Asking) -> bool:
        """Notes what a part is about to ask S3; False where it has ended, or somebody has noted something since it was read."""

    def paid(self, part: Part, charge: Charge) -> None:
        """Keeps what a part's asking has cost, once, and that nothing is being asked any more."""

    def asked_for_nothing(self, part: Part) -> None:
        """Says that S3 did nothing for this part, and that nothing is being asked any more."""

    def look_again(self, waiter: Waiter, *, look_at: datetime) -> None:
        """Says when to look at something again, if it still waits."""

    def forget(self, waiter: Waiter) -> None:
        """Takes something off the list whose request or part is no longer kept."""

    def acceptance_told(self, request_id: RequestId) -> None:
        """Says that the event of its acceptance is on the bus."""

    def cancel(self, request_id: RequestId) -> bool:
        """Ends a request as cancelled; False where it had ended."""

    def due(self, now: datetime, *, limit: int) -> tuple[Waiter, ...]:
        """What is to be looked at by now, the longest overdue first."""

    def expiring(self, now: datetime, *, limit: int) -> tuple[RequestId, ...]:
        """The requests of which is to be told by now that their files will expire, the longest due first."""

    def expiry_told(self, request_id: RequestId) -> None:
        """Says that nothing is left to be told of it."""

    def last_thaw(self, archive_id: ArchiveId) -> Thaw | None:
        """The last thaw of an archive that we asked for."""

    def note_thaw(self, archive_id: ArchiveId, thaw: Thaw) -> None:
        """Keeps what we asked for last."""


class Ledger(Protocol):
    """The moves that other services make too: `glaciate.restores.RestoreLedger`."""

    def part(self, request_id: RequestId, archive_id: ArchiveId) -> Part | None:
        """One part as it stands."""

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
        """Ends a part and counts it; False where it had ended."""

    def close_if_last(self, request_id: RequestId) -> RestoreCompleted | None:
        """Ends a request whose parts have all ended; what is to be told of it, until it is announced."""

    def mark_announced(self, request_id: RequestId) -> None:
        """Says that the request's last event is on the bus."""

    def settle(self, request_id: RequestId, archive_id: ArchiveId, *, tell: Callable[[RestoreCompleted], None]) -> None:
        """After a part has ended: tells the request's end if that was the last, then lets go of the part's waiter."""
