"""The restore ledger in memory, for tests that die at every step; it passes the contract suite of `glaciate.restores.RestoreLedger`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from glaciate.events import Outcome, RestoreCompleted
from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.part_documents import DocumentLost
from glaciate.parts import FileResult, WantedFile
from glaciate.restores import LIVE_PART, Part, PartState


@dataclass
class FakeRestoreLedger:
    """Every request is resolved as soon as its parts are added."""

    parts: dict[tuple[RequestId, ArchiveId], Part] = field(default_factory=dict)
    waiters: list[tuple[RequestId, ArchiveId]] = field(default_factory=list)
    cancelled: set[RequestId] = field(default_factory=set)
    announced: set[RequestId] = field(default_factory=set)

    def add(self, request_id: RequestId, archive_id: ArchiveId, *, vault_key: str, files: int) -> None:
        """A request wants files of an archive."""
        self.parts[request_id, archive_id] = Part(
            request_id=request_id,
            archive_id=archive_id,
            state=PartState.THAWING,
            project=ProjectName("demo"),
            vault_bucket="the-vault",
            vault_key=vault_key,
            storage_class="DEEP_ARCHIVE",
            files=files,
        )
        self.waiters.append((request_id, archive_id))

    def waiting_requests(self, archive_id: ArchiveId) -> tuple[RequestId, ...]:
        return tuple(sorted(request_id for request_id, archive in self.waiters if archive == archive_id))

    def begin_unpacking(
        self, request_id: RequestId, archive_id: ArchiveId, *, readable_until: datetime | None
    ) -> Part | None:
        known = self.parts[request_id, archive_id].readable_until if (request_id, archive_id) in self.parts else None
        until = max((moment for moment in (known, readable_until) if moment is not None), default=None)
        return self._move(
            request_id, archive_id, goes_on=True, state=PartState.UNPACKING, readable_until=until, reason=None
        )

    def thaw_again(self, request_id: RequestId, archive_id: ArchiveId) -> None:
        self._move(request_id, archive_id, state=PartState.PENDING, readable_until=None, reason=None)

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
        if not state.ended:
            msg = f"{state} does not end a part"
            raise ValueError(msg)
        changes = {"state": state, "restored": restored, "failed": failed, "reason": reason}
        return self._move(request_id, archive_id, **changes) is not None

    def settle(self, request_id: RequestId, archive_id: ArchiveId, *, tell: Callable[[RestoreCompleted], None]) -> None:
        parts = [part for (request, _), part in self.parts.items() if request == request_id]
        if all(part.state.ended for part in parts) and request_id not in self.announced:
            tell(_completed(request_id, parts))
            self.announced.add(request_id)
        part = self.parts[request_id, archive_id]
        if part.state.ended and (request_id, archive_id) in self.waiters:
            self.waiters.remove((request_id, archive_id))

    def _move(
        self, request_id: RequestId, archive_id: ArchiveId, *, goes_on: bool = False, **changes: object
    ) -> Part | None:
        part = self.parts.get((request_id, archive_id))
        if part is None or part.state not in LIVE_PART or (goes_on and request_id in self.cancelled):
            return None
        self.parts[request_id, archive_id] = replace(part, **changes)  # type: ignore[arg-type]
        return self.parts[request_id, archive_id]


def _completed(request_id: RequestId, parts: list[Part]) -> RestoreCompleted:
    restored = sum(part.restored for part in parts)
    failed = sum(part.failed for part in parts)
    outcome = Outcome.PARTIAL if failed and restored else Outcome.COMPLETED if restored else Outcome.FAILED
    return RestoreCompleted(
        correlation_id="c-1",
        request_id=request_id,
        project=ProjectName("demo"),
        topic_arn="arn:aws:sns:us-east-1:123456789012:topic",
        outcome=outcome,
        files=sum(part.files for part in parts),
        restored=restored,
        failed=failed,
        missing=0,
        wanted="everything",
    )


@dataclass
class FakePartDocuments:
    """The documents of parts."""

    wants: dict[tuple[RequestId, ArchiveId], tuple[WantedFile, ...]] = field(default_factory=dict)
    outcomes: dict[tuple[RequestId, ArchiveId], tuple[FileResult, ...]] = field(default_factory=dict)

    def put_wanted(self, request_id: RequestId, archive_id: ArchiveId, files: tuple[WantedFile, ...]) -> None:
        self.wants[request_id, archive_id] = files

    def wanted(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        if (request_id, archive_id) not in self.wants:
            msg = f"the list of {request_id} is not there any more"
            raise DocumentLost(msg)
        return self.wants[request_id, archive_id]

    def put_results(self, request_id: RequestId, archive_id: ArchiveId, results: tuple[FileResult, ...]) -> None:
        self.outcomes[request_id, archive_id] = results

    def results(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[FileResult, ...] | None:
        return self.outcomes.get((request_id, archive_id))
