"""Saying how restores stand, and giving them up."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from glaciate.costs import ArchiveToRead, Charge, restore_cost
from glaciate.errors import conflict, invalid, not_found
from glaciate.messages import ThawFiles
from glaciate.names import ProjectName, RequestId, accepted_at_of
from glaciate.outbox import CommandQueue
from glaciate.part_documents import DocumentLost, PartDocuments
from glaciate.parts import FileResult, WantedFile
from glaciate.requests import StorageClass
from glaciate.restores import Part, PartState, RequestState
from restore_intake.application.closing import EndCancelled
from restore_intake.application.work import ARCHIVES_PER_MESSAGE
from restore_intake.domain.asking import read_asking
from restore_intake.domain.ordering import Request, last_expected
from restore_intake.domain.thawing import known_class
from restore_intake.ports import Projects, Requests

MOST_PARTS_A_PAGE: Final = 100  # each is one document to read, or two


def _require(requests: Requests, request_id: RequestId) -> Request:
    request = requests.get(request_id)
    if request is None:
        raise not_found("RequestNotFound", _why_not_known(request_id))
    return request


def _why_not_known(request_id: RequestId) -> str:
    """An id says when its request was accepted, so that one which is no longer kept can be told from a misspelt one."""
    accepted_at = accepted_at_of(request_id)
    if accepted_at is None:
        return f"there is no restore request {request_id}: ids of requests look like r-1w2x3y4z5abc"
    return (
        f"there is no restore request {request_id}. One of that id was accepted on {accepted_at:%Y-%m-%d} if at all; requests are kept "
        "for some time after they have ended and their files have expired. GET /files finds the archived files, POST /restore brings "
        "them back again"
    )


def summary(request: Request) -> dict[str, Any]:
    """What is said of a request wherever it is named."""
    return {
        "request_id": request.request_id,
        "project_name": request.order.project,
        "state": request.state,
        "wanted": request.order.wanted,
        "counts": {
            "files": request.files,
            "restored": request.restored,
            "failed": request.failed,
            "missing": len(request.missing),
        },
        "accepted_at": request.accepted_at,
        "expected_by": request.expected_by,
        "finished_at": request.finished_at,
        "available_until": request.available_until,
        "kept_until": request.kept_until,
        "location": request.location,
        "status_url": request.status_url,
        "reason": request.reason,
    }


@dataclass(frozen=True, slots=True)
class DescribeRestore:
    """How a request stands: as a whole, and part by part and file by file in pages (a page reads no documents but of its parts)."""

    requests: Requests
    documents: PartDocuments
    restore_bucket: str
    restored_days: int | None

    def __call__(self, request_id: RequestId, *, limit: int, token: str | None) -> dict[str, Any]:
        """The request, and the next files.

        Raises:
            Problem: 404, no such request; 400, the token is none of ours.
        """
        request = _require(self.requests, request_id)
        parts = self.requests.parts(request_id)
        archive_id, offset = _read_token(token)
        left = [part for part in parts if part.archive_id >= archive_id]
        shown = left[: min(limit, MOST_PARTS_A_PAGE)]
        files, further = self._page(
            left, shown, limit=limit, skip=offset if shown and shown[0].archive_id == archive_id else 0
        )
        return {
            **summary(request),
            "expected_by": _expected_by(request, parts),
            "retrieval_tier": request.order.tier,
            "days": request.order.days,
            "to": "original" if request.order.to_original else "restore_bucket",
            "overwrite": request.order.replaces is not None,
            "as_of": request.order.as_of,
            "resolved": request.resolved,
            "estimate": request.estimate,
            "cost": _cost(request, parts, self.restored_days) if request.state.ended else None,
            "missing": list(request.missing),
            "parts_recorded": len(parts),
            "parts_ended": sum(part.state.ended for part in parts),
            "parts": [_describe_part(part) for part in shown],
            "files": files,
            "next_token": further,
        }

    def came_to_nothing(self, request_id: RequestId) -> bool:
        """Whether a request was cancelled or failed: asking the same again is then a new request."""
        request = self.requests.get(request_id)
        return request is not None and request.state in {RequestState.CANCELLED, RequestState.FAILED}

    def _page(
        self, left: list[Part], shown: list[Part], *, limit: int, skip: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The files of the parts shown, as far as they fit, and where to go on; of no other part a document is read.

        A part counts though it has no file to tell of, so that every part comes on some page.
        """
        files: list[dict[str, Any]] = []
        for part in shown:
            if len(files) == limit:
                return files, _place(part, 0)
            of_part = list(islice(self._files_of(part), skip, None))
            room = limit - len(files)
            files += of_part[:room]
            if len(of_part) > room:
                return files, _place(part, skip + room)
            skip = 0
        return files, _place(left[len(shown)], 0) if len(left) > len(shown) else None

    def _files_of(self, part: Part) -> Iterator[dict[str, Any]]:
        results = self._results(part) if part.state.ended and part.state is not PartState.CANCELLED else None
        if results is not None:
            for result in results:
                restored = result.state == "RESTORED"
                yield _describe_file(
                    result.key,
                    result.size,
                    result.state,
                    location=f"s3://{result.bucket or self.restore_bucket}/{result.destination}" if restored else None,
                    available_until=part.available_until if restored else None,
                    reason=result.reason,
                )
            return
        for file in self._wanted(part):
            expected_by = None if part.state.ended else part.expected_by
            yield _describe_file(file.key, file.size, part.state, expected_by=expected_by, reason=part.reason)

    def _wanted(self, part: Part) -> tuple[WantedFile, ...]:
        """What a part wants; where the list is lost, as that of a request which ended long ago, its counts are what is left to tell."""
        try:
            return self.documents.wanted(part.request_id, part.archive_id)
        except DocumentLost:
            return ()

    def _results(self, part: Part) -> tuple[FileResult, ...] | None:
        """What became of a part's files; nothing where the list is damaged."""
        try:
            return self.documents.results(part.request_id, part.archive_id)
        except DocumentLost:
            return ()


def _expected_by(request: Request, parts: tuple[Part, ...]) -> datetime | None:
    goes_on = request.resolved and not request.state.ended
    return last_expected(parts, request.expected_by) if goes_on else request.expected_by


def _cost(request: Request, parts: tuple[Part, ...], restored_days: int | None) -> dict[str, Any]:
    """What an ended request has cost by the price file: what it asked of S3 itself (a joined thaw is another's), and what it restored."""
    charges = [charge for part in parts for charge in _charges(part)]
    read = [
        ArchiveToRead(
            storage_class=known_class(part.storage_class) or StorageClass.STANDARD,
            size_bytes=0,
            wanted_files=part.restored,
            wanted_bytes=part.wanted_bytes if part.restored else 0,
        )
        for part in parts
    ]
    return asdict(restore_cost(charges, read, file_days=request.order.file_days(restored_days)))


def _charges(part: Part) -> tuple[Charge, ...]:
    """What a part's asking has cost; an asking whose answer nobody has heard before the part ended counts as granted."""
    asking = read_asking(part.asking)
    return part.charges if asking is None else (*part.charges, asking.charge)


def _describe_file(key: str, size: int, state: str, **known: Any) -> dict[str, Any]:
    nothing = {"location": None, "available_until": None, "expected_by": None, "reason": None}
    return {"key": key, "size": size, "state": state, **nothing, **known}


def _describe_part(part: Part) -> Mapping[str, Any]:
    said = asdict(part)
    return {
        name: said[name]
        for name in (
            "archive_id",
            "state",
            "vault_key",
            "storage_class",
            "files",
            "restored",
            "failed",
            "asked_at",
            "expected_by",
            "readable_until",
            "available_until",
            "reason",
        )
    }


def _place(part: Part, offset: int) -> str:
    return f"{part.archive_id}:{offset}"


def _read_token(token: str | None) -> tuple[str, int]:
    if token is None:
        return "", 0
    archive_id, _colon, offset = token.partition(":")
    if not offset.isdecimal():
        msg = "next_token is not one that this call gave"
        raise invalid(msg)
    return archive_id, int(offset)


@dataclass(frozen=True, slots=True)
class ListRestores:
    """The requests of a project, newest first."""

    projects: Projects
    requests: Requests

    def __call__(self, project_name: str, *, limit: int, token: str | None) -> dict[str, Any]:
        """A page of them.

        Raises:
            Problem: 404, no such project.
        """
        project = self.projects.load().require(project_name)
        page = self.requests.page(ProjectName(project.name), limit=limit, before=RequestId(token) if token else None)
        return {"requests": [summary(request) for request in page.requests], "next_token": page.before}


@dataclass(frozen=True, slots=True)
class CancelRestore:
    """Gives up what has not ended. What is restored stays; others that wait for the same archives are not touched.

    A part that is being unpacked ends here and now, with nothing counted, whatever its worker writes from then on: its reason says so.
    """

    requests: Requests
    end_cancelled: EndCancelled
    queue: CommandQueue

    def __call__(self, request_id: RequestId) -> dict[str, Any]:
        """How the request stands now; cancelling twice is harmless.

        Raises:
            Problem: 404, no such request; 409, it has ended.
        """
        request = _require(self.requests, request_id)
        self.requests.cancel(request_id)
        request = _require(self.requests, request_id)
        if request.state is not RequestState.CANCELLED:
            message = f"restore request {request_id} has ended: it is {request.state}"
            raise conflict("AlreadyEnded", message, {"state": request.state})
        if not self.end_cancelled(request, at_most=ARCHIVES_PER_MESSAGE):
            self.queue.send(ThawFiles(correlation_id=request.correlation_id, request_id=request_id))
        return summary(_require(self.requests, request_id))
