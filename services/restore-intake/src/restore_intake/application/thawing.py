"""Thawing: asking S3 for readable copies, and telling when they are there already."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from glaciate.errors import Permanent, Transient
from glaciate.events import ArchiveReadable, RestoreAccepted
from glaciate.messages import ThawFiles
from glaciate.outbox import CommandQueue, EventBus
from glaciate.restores import Part, PartState, RequestState
from glaciate.telemetry import count, logger
from restore_intake.application.asking import AskS3
from restore_intake.application.closing import CloseRequest, EndCancelled
from restore_intake.application.resolving import ResolveRequest
from restore_intake.application.work import ARCHIVES_PER_MESSAGE, do_each
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
from restore_intake.ports import Clock, Ledger, Requests, Vault

_RETRY_SECONDS: Final = 60


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
        do_each(steps)

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
