"""Thawing: resolve what is still open, ask S3 for readable copies, tell when they are there already, close what has ended."""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from glaciate.errors import Permanent, Transient
from glaciate.events import ArchiveReadable, RestoreAccepted, RestoreCompleted
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId
from glaciate.outbox import CommandQueue, EventBus
from glaciate.part_documents import DocumentLost, PartDocuments
from glaciate.restores import Part, PartState, RequestState
from glaciate.telemetry import count, logger
from restore_intake.application.accepting import Promised, planned_parts
from restore_intake.application.asking import AskS3
from restore_intake.application.finding import FindWanted, Found
from restore_intake.application.reminding import RemindOfExpiry
from restore_intake.domain.finding import ArchiveRange, Progress, batches, clusters, newest_first, read_progress
from restore_intake.domain.ordering import Request
from restore_intake.domain.thawing import (
    Act,
    Answer,
    ArchiveHead,
    Step,
    Thaw,
    available_tier,
    expected_by,
    next_step,
    slowest,
)
from restore_intake.ports import Clock, Ledger, Requests, Vault, Waiter

ARCHIVES_PER_MESSAGE: Final = 50
_RETRY_SECONDS: Final = 60
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """Tells of a request's end. Twice is harmless: what is marked as told is not told again, and a crash before the mark tells twice."""

    ledger: Ledger
    bus: EventBus

    def __call__(self, request_id: RequestId) -> None:
        """Closes the request if its last part has ended."""
        event = self.ledger.close_if_last(request_id)
        if event is None:
            return
        self._tell(event)
        self.ledger.mark_announced(request_id)

    def settle(self, part: Part) -> None:
        """The same after a part of it has ended, which then waits no more."""
        self.ledger.settle(part.request_id, part.archive_id, tell=self._tell)

    def _tell(self, event: RestoreCompleted) -> None:
        self.bus.publish(event)
        count("RestoreCompleted")


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


@dataclass(frozen=True, slots=True)
class ThawPart:
    """Brings one part's archive nearer to being read. Twice is harmless: S3 is asked what is true first, and joins what is running."""

    requests: Requests
    ledger: Ledger
    vault: Vault
    ask: AskS3
    bus: EventBus
    close: CloseRequest
    now: Clock
    look_after: timedelta
    sweep_every: timedelta

    def __call__(self, part: Part, request: Request) -> None:
        """Acts on what S3 says. A failure that passes makes the part say what it waits for, and the sweeper look at it again soon."""
        try:
            self._thaw(part, request)
        except Transient as failure:
            self._wait(part, request, failure)

    def _wait(self, part: Part, request: Request, failure: Transient) -> None:
        logger().warning("will be thawed later", extra={"archive_id": part.archive_id, "reason": str(failure)})
        look_at = self.now() + timedelta(seconds=failure.retry_after_seconds or _RETRY_SECONDS)
        looked_at_by = look_at + self.sweep_every
        by = expected_by(part.storage_class, tier=request.order.tier, asked_at=looked_at_by)
        if part.state is PartState.THAWING:  # S3 was asked before: only what has become of it is not known
            by = max(part.expected_by or looked_at_by, looked_at_by)
        reason = f"{failure}; the first sweep after {look_at:%Y-%m-%d %H:%M} UTC asks again"
        self.requests.waits(part, reason=reason, expected_by=by, look_at=look_at)

    def _thaw(self, part: Part, request: Request) -> None:
        head = self.vault.head(part.vault_bucket, part.vault_key)
        part, running = self.ask.recover(part, head)
        tier = available_tier(head, request.order.tier)
        step = next_step(head, now=self.now(), tier=tier, days=request.order.days, running=running, since=part.asked_at)
        logger().info(
            "archive looked at", extra={"archive_id": part.archive_id, "request_id": part.request_id, "act": step.act}
        )
        match step.act:
            case Act.ANNOUNCE:
                self._announce(part, request, readable_until=step.readable_until)
            case Act.JOIN:
                self._join(part, head, running)
            case Act.GIVE_UP:
                self._give_up(part)
            case Act.ASK | Act.EXTEND if head is not None:
                self._ask(part, request, step, head)

    def _ask(self, part: Part, request: Request, step: Step, head: ArchiveHead) -> None:
        answer, running = self.ask(part, head, step)
        match answer:
            case Answer.BEGUN:
                self._join(replace(part, asked_at=self.now()), head, running)
                count("ThawBegun")
            case Answer.RENEWED:
                self._announce_renewed(part, request)
            case Answer.READABLE:
                self._announce(part, request, readable_until=step.readable_until)
            case Answer.RUNNING:
                self._join(part, head, running)
            case Answer.GONE:
                self._give_up(part)

    def _join(self, part: Part, head: ArchiveHead | None, running: Thaw | None) -> None:
        """Waits for a thaw; for one whose tier nobody knows as long as the slowest takes, and for one that is late from look to look."""
        now = self.now()
        asked_at = part.asked_at or now
        storage_class = head.storage_class if head else part.storage_class
        longest = expected_by(storage_class, tier=slowest(storage_class), asked_at=asked_at)
        by = running.expected_by if running else longest
        look_at = max(by, now) + self.look_after
        by = by if by > now else look_at + self.sweep_every
        self.requests.thawing(part, asked_at=asked_at, expected_by=by, look_at=look_at)

    def _announce_renewed(self, part: Part, request: Request) -> None:
        """S3's answer does not say the new period's end, so it is asked: what was seen before holds no more."""
        head = self.vault.head(part.vault_bucket, part.vault_key)
        if head is None:
            self._give_up(part)
            return
        self._announce(part, request, readable_until=head.expires_at)

    def _announce(self, part: Part, request: Request, *, readable_until: datetime | None) -> None:
        self.bus.publish(
            ArchiveReadable(
                correlation_id=request.correlation_id,
                archive_id=part.archive_id,
                vault_bucket=part.vault_bucket,
                vault_key=part.vault_key,
                readable_until=readable_until,
            )
        )
        now = self.now()
        self.requests.readable(part, since=now, until=readable_until, look_at=now + self.look_after)

    def _give_up(self, part: Part) -> None:
        reason = f"the archive s3://{part.vault_bucket}/{part.vault_key} is not in the vault any more"
        self.ledger.end_part(
            part.request_id, part.archive_id, state=PartState.FAILED, restored=0, failed=part.files, reason=reason
        )
        self.close.settle(part)


@dataclass(frozen=True, slots=True)
class EndCancelled:
    """Ends what is left of a cancelled request; others that wait for the same archives are not touched. Twice is harmless."""

    requests: Requests
    ledger: Ledger
    close: CloseRequest

    def __call__(self, request: Request, *, at_most: int) -> bool:
        """False where more parts are left than were to be ended now."""
        self.requests.resolved(request.request_id, missing=request.missing)
        living = [part for part in self.requests.parts(request.request_id) if not part.state.ended]
        for part in living[:at_most]:
            self.ledger.end_part(
                part.request_id, part.archive_id, state=PartState.CANCELLED, restored=0, failed=0, reason="cancelled"
            )
            self.close.settle(part)
        self.close(request.request_id)
        return len(living) <= at_most


@dataclass(frozen=True, slots=True)
class ThawFilesOfRequest:
    """What `ThawFiles` asks for. Twice is harmless: every step looks first at what is done already."""

    requests: Requests
    resolve: ResolveRequest
    thaw: ThawPart
    end_cancelled: EndCancelled
    close: CloseRequest
    queue: CommandQueue
    bus: EventBus

    def __call__(self, command: ThawFiles) -> None:
        """Handles so many archives, and sends the rest on as another message.

        Raises:
            Permanent: there is no such request.
        """
        request = self.requests.get(command.request_id)
        if request is None:
            msg = f"there is no restore request {command.request_id}"
            raise Permanent(msg)
        if request.state is RequestState.CANCELLED:
            if not self.end_cancelled(request, at_most=ARCHIVES_PER_MESSAGE * 4):
                self.queue.send(command)
            return
        if not request.state.ended:
            self._go_on(request, command)
        self.close(request.request_id)

    def _go_on(self, request: Request, command: ThawFiles) -> None:
        if not request.resolved:
            if not self.resolve(request):
                self.queue.send(command)
                return
            request = self.requests.get(request.request_id) or request
        self._tell_acceptance(request)
        parts = self.requests.parts(request.request_id, after=command.after_archive, limit=ARCHIVES_PER_MESSAGE)
        if len(parts) == ARCHIVES_PER_MESSAGE:
            self.queue.send(command.model_copy(update={"after_archive": parts[-1].archive_id}))
        steps = [partial(self.thaw, part, request) for part in parts if part.state is PartState.PENDING]
        if len(parts) < ARCHIVES_PER_MESSAGE:
            steps.append(partial(self.requests.expects, request.request_id))
        _each(steps, lambda step: step())

    def _tell_acceptance(self, request: Request) -> None:
        if request.acceptance_told:
            return
        self.bus.publish(
            RestoreAccepted(
                correlation_id=request.correlation_id,
                request_id=request.request_id,
                project=request.order.project,
                topic_arn=request.topic_arn,
                files=request.files,
                wanted=request.order.wanted,
                expected_by=request.expected_by,
                status_url=request.status_url,
            )
        )
        self.requests.acceptance_told(request.request_id)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at what has waited too long and asks what is true, so that a lost event costs time and not the restore; and reminds
    of files that will expire."""

    requests: Requests
    ledger: Ledger
    thaw: ThawPart
    end_cancelled: EndCancelled
    close: CloseRequest
    remind: RemindOfExpiry
    queue: CommandQueue
    now: Clock
    look_after: timedelta

    def __call__(self, *, at_most: int) -> int:
        """Returns how many it looked at, `at_most` of each kind. One that fails does not keep the others waiting."""
        now = self.now()
        waiting = self.requests.due(now, limit=at_most)
        expiring = self.requests.expiring(now, limit=at_most)
        _each(
            [
                *(partial(self._look, waiter) for waiter in waiting),
                *(partial(self.requests.expects, request_id) for request_id in _of_parts(waiting)),
                *(partial(self.remind, request_id) for request_id in expiring),
            ],
            lambda look: look(),
        )
        logger().info("swept", extra={"waiters": len(waiting), "expiring": len(expiring)})
        return len(waiting) + len(expiring)

    def _look(self, waiter: Waiter) -> None:
        logger().info("waited too long", extra=_names(waiter))
        count("WaitedTooLong")
        self.requests.look_again(waiter, look_at=self.now() + self.look_after)
        request = self.requests.get(waiter.request_id)
        if request is None:
            self.requests.forget(waiter)
            return
        if waiter.archive_id is None:
            self._look_at_request(request)
            return
        part = self.ledger.part(waiter.request_id, waiter.archive_id)
        if part is None:
            self.requests.forget(waiter)
            return
        if part.state.ended:
            self.close.settle(part)
            return
        if request.state is RequestState.CANCELLED:
            self.end_cancelled(request, at_most=ARCHIVES_PER_MESSAGE)
            return
        self.thaw(part, request)
        self.close(request.request_id)

    def _look_at_request(self, request: Request) -> None:
        """A request whose parts are recorded waits for them, and they are looked at one by one."""
        if request.announced:  # somebody died before it was let go
            self.ledger.mark_announced(request.request_id)
            return
        if request.state is RequestState.CANCELLED or not (request.resolved and request.acceptance_told):
            self.queue.send(ThawFiles(correlation_id=request.correlation_id, request_id=request.request_id))
            return
        self.close(request.request_id)


def _each(items: Iterable[Item], do: Callable[[Item], None]) -> None:
    """Does it for each, whatever becomes of the others, and then raises what was raised first."""
    failures: list[Exception] = []
    for item in items:
        try:
            do(item)
        except Exception as failure:  # noqa: BLE001 - it is raised when the others have had their turn
            logger().warning("failed; the others go on", extra={"reason": str(failure)}, exc_info=True)
            failures.append(failure)
    if failures:
        raise failures[0]


def _of_parts(waiting: Iterable[Waiter]) -> tuple[RequestId, ...]:
    return tuple(dict.fromkeys(waiter.request_id for waiter in waiting if waiter.archive_id is not None))


def _names(waiter: Waiter) -> dict[str, str | None]:
    return {"request_id": waiter.request_id, "archive_id": waiter.archive_id}
