"""The rows of jobs and archives in DynamoDB: every move is a conditional write."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pynamodb.exceptions import DoesNotExist, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from glaciate.errors import Busy, Transient
from glaciate.events import ArchiveJobCompleted
from glaciate.jobs import JobOrder
from glaciate.messages import ArchiveCommand, PackArchive
from glaciate.names import ArchiveId, JobId, ProjectName
from glaciate.requests import DeleteAfterDays
from glaciate.tables import JOB_ITEM, ArchiveRow, JobRow, archive_hash_key, archive_range_key, jobs_connection
from glaciate.telemetry import logger
from packer.domain.archives import Archive, ArchiveState, Job, JobState, NewArchive, Seal, outcome_of
from packer.domain.planning import Span
from packer.ports import LostRace, Unknown

_CONFLICT_ATTEMPTS: Final = 8
_CONDITION_FAILED: Final = "ConditionalCheckFailed"
_AGAIN: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


def _is_condition_failure(error: PynamoDBException) -> bool:
    return error.cause_response_code == "ConditionalCheckFailedException"


def transact(write: Callable[[TransactWrite], None]) -> None:
    """All or nothing. Conflicts with other transactions are tried again.

    Raises:
        LostRace: a condition did not hold.
        Transient: the conflicts did not end.
    """
    for attempt in range(_CONFLICT_ATTEMPTS):
        try:
            with TransactWrite(connection=jobs_connection()) as transaction:
                write(transaction)
        except TransactWriteError as error:
            codes = {reason.code for reason in error.cancellation_reasons if reason is not None}
            if _CONDITION_FAILED in codes:
                raise LostRace(f"another worker was first: {error.cause_response_message}") from error
            if not codes & _AGAIN and error.cause_response_code != "TransactionConflictException":
                raise
            time.sleep(random.uniform(0.5, 1) * 0.05 * 2**attempt)  # noqa: S311 - no secret depends on it
        else:
            return
    raise Transient("the job's row was busy with other transactions")


@dataclass(frozen=True, slots=True)
class PynamoJobs:
    """The jobs table."""

    vault_bucket: str
    now: Callable[[], datetime] = field(default=utc_now)
    day: timedelta = timedelta(days=1)  # of those for which sources are held

    def load(self, job_id: JobId) -> Job:
        """The job as it stands."""
        row = self._row(job_id)
        return Job(
            job_id=job_id,
            state=JobState(row.state),
            order=JobOrder.model_validate(row.request),
            correlation_id=row.correlation_id,
            checkpoint_key=row.checkpoint_key,
            next_number=int(row.next_number),
            listed=int(row.listed),
            planning_finished=row.planning_finished,
            archives=int(row.archives),
            topic_arn=row.topic_arn,
            status_url=row.status_url,
            last_planned=tuple((ArchiveId(archive_id), first_key) for archive_id, first_key in row.last_planned or ()),
        )

    def begin_planning(self, job_id: JobId) -> None:
        """ACCEPTED → PLANNING."""
        try:
            JobRow(job_id, JOB_ITEM).update(
                actions=[JobRow.state.set(JobState.PLANNING)], condition=JobRow.state == JobState.ACCEPTED
            )
        except UpdateError as error:
            if not _is_condition_failure(error):
                raise

    def record(self, job: Job, span: Span, archives: tuple[NewArchive, ...]) -> Job:
        """One transaction: the new archives, and the checkpoint on condition that it is where the job had it."""
        moved = replace(
            job,
            checkpoint_key=span.last_key,
            next_number=job.next_number + len(archives),
            listed=job.listed + span.listed,
            last_planned=tuple((archive.archive_id, archive.planned.first_key) for archive in archives),
        )
        row = self._archive_row(job)

        def write(transaction: TransactWrite) -> None:
            transaction.update(
                JobRow(job.job_id, JOB_ITEM),
                actions=[
                    JobRow.checkpoint_key.set(span.last_key),
                    JobRow.next_number.set(moved.next_number),
                    JobRow.listed.set(moved.listed),
                    JobRow.last_planned.set(moved.last_planned),
                    JobRow.planned.add(span.planned),
                    JobRow.skipped.add(span.skipped),
                    JobRow.already_archived.add(span.already),
                ],
                condition=self._is_where(job),
            )
            for archive in archives:
                transaction.save(row(archive), condition=ArchiveRow.owner.does_not_exist())

        transact(write)
        return moved

    def finish_planning(self, job: Job, *, reason: str | None = None) -> None:
        """PLANNING → PACKING."""
        actions: list[Any] = [JobRow.planning_finished.set(True), JobRow.state.set(JobState.PACKING)]
        if reason is not None:
            actions.append(JobRow.reason.set(reason))
        try:
            JobRow(job.job_id, JOB_ITEM).update(actions=actions, condition=self._is_where(job))
        except UpdateError as error:
            if not _is_condition_failure(error):
                raise
            raise LostRace(f"another planner of job {job.job_id} was first") from error

    def close_if_last(self, job_id: JobId) -> ArchiveJobCompleted | None:
        """Ends the job on condition that its counts are those that were read; reads again where they moved."""
        while True:
            row = self._row(job_id)
            if JobState(row.state).has_ended:
                return None if row.announced else self._event(row)
            if not row.planning_finished or row.archives + row.archives_failed < row.next_number:
                return None
            outcome = outcome_of(
                planned=int(row.planned),
                archived=int(row.archived),
                archives_failed=int(row.archives_failed),
                reason=row.reason,
            )
            nothing_moved = (
                (JobRow.state == row.state)
                & (JobRow.archives == row.archives)
                & (JobRow.archives_failed == row.archives_failed)
            )
            try:
                row.update(
                    actions=[JobRow.state.set(outcome), JobRow.finished_at.set(self.now())], condition=nothing_moved
                )
            except UpdateError as error:
                if not _is_condition_failure(error):
                    raise

    def mark_announced(self, job_id: JobId) -> None:
        """The event is on the bus."""
        JobRow(job_id, JOB_ITEM).update(actions=[JobRow.announced.set(True)])

    def _archive_row(self, job: Job) -> Callable[[NewArchive], ArchiveRow]:
        def row(archive: NewArchive) -> ArchiveRow:
            planned = archive.planned
            return ArchiveRow(
                archive_hash_key(job.order.project, job.order.bucket),
                archive_range_key(planned.first_key, archive.archive_id),
                archive_id=archive.archive_id,
                job_id=job.job_id,
                state=ArchiveState.PLANNED,
                first_key=planned.first_key,
                last_key=planned.last_key,
                kind=planned.kind,
                planned_files=planned.files,
                planned_bytes=planned.size_bytes,
                plan_key=archive.plan_key,
                storage_class=job.order.storage_class,
                vault_bucket=self.vault_bucket,
                vault_key=archive.vault_key,
            )

        return row

    @staticmethod
    def _is_where(job: Job) -> Condition:
        checkpoint = (
            JobRow.checkpoint_key.does_not_exist()
            if job.checkpoint_key is None
            else JobRow.checkpoint_key == job.checkpoint_key
        )
        not_finished: Condition = JobRow.planning_finished == False  # noqa: E712 - PynamoDB builds a condition from it
        is_next: Condition = JobRow.next_number == job.next_number
        unmoved: Condition = checkpoint & not_finished & is_next
        return unmoved

    @staticmethod
    def _row(job_id: JobId) -> JobRow:
        try:
            return JobRow.get(job_id, JOB_ITEM, consistent_read=True)
        except DoesNotExist as error:
            raise Unknown(f"there is no job {job_id}") from error

    def _event(self, row: JobRow) -> ArchiveJobCompleted:
        order = JobOrder.model_validate(row.request)
        due_at = None
        if isinstance(order.disposition, DeleteAfterDays) and row.archived:
            due_at = row.finished_at + order.disposition.delete_after_days * self.day
        return ArchiveJobCompleted.model_validate(
            {
                "correlation_id": row.correlation_id,
                "job_id": row.id,
                "project": order.project,
                "bucket": order.bucket,
                "prefix": order.prefix,
                "outcome": row.state,
                "topic_arn": row.topic_arn,
                "archived": row.archived,
                "skipped": row.skipped,
                "failed": row.failed,
                "archives": row.archives,
                "bytes_in": row.bytes_in,
                "bytes_out": row.bytes_out,
                "already_archived": row.already_archived,
                "sources_due_at": due_at,
                "reason": row.reason,
                "status_url": row.status_url,
            }
        )


@dataclass(frozen=True, slots=True)
class PynamoArchives:
    """The archives table."""

    lease_seconds: float
    now: Callable[[], datetime] = field(default=utc_now)

    def claim(self, message: PackArchive, *, owner: str) -> Archive:
        """Takes the lease where nobody holds a live one; an ended archive is given as it is."""
        row = archive_row(message)
        if ArchiveState(row.state).has_ended:
            return archive_of(row, message)
        now = self.now()
        nobody_holds_it = ArchiveRow.lease_until.does_not_exist() | (ArchiveRow.lease_until < now)
        state = ArchiveState.PACKING if row.state == ArchiveState.PLANNED else ArchiveState(row.state)
        try:
            row.update(
                actions=[
                    ArchiveRow.lease_owner.set(owner),
                    ArchiveRow.lease_until.set(now + timedelta(seconds=self.lease_seconds)),
                    ArchiveRow.state.set(state),
                ],
                condition=nobody_holds_it & (ArchiveRow.state == row.state),
            )
        except UpdateError as error:
            if not _is_condition_failure(error):
                raise
            row.refresh(consistent_read=True)
            if ArchiveState(row.state).has_ended:
                return archive_of(row, message)
            left = (row.lease_until - now).total_seconds() if row.lease_until else 0
            msg = f"another worker holds archive {message.archive_id}"
            raise Busy(msg, retry_after_seconds=max(1, int(left) + 1)) from error
        return archive_of(row, message)

    @contextmanager
    def held(self, archive: Archive) -> Iterator[None]:
        """A thread renews the lease three times a period; after the block it is given back."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self.lease_seconds / 3):
                try:
                    until = self.now() + timedelta(seconds=self.lease_seconds)
                    key_of(archive).update(
                        actions=[ArchiveRow.lease_until.set(until)], condition=_is_held_by(archive.lease_owner)
                    )
                except PynamoDBException:  # the next may work; if none does, the next move of the row fails
                    logger().warning("lease not renewed", extra={"archive_id": archive.archive_id}, exc_info=True)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._give_back(archive)

    @staticmethod
    def _give_back(archive: Archive) -> None:
        try:
            key_of(archive).update(
                actions=[ArchiveRow.lease_owner.remove(), ArchiveRow.lease_until.remove()],
                condition=_is_held_by(archive.lease_owner),
            )
        except UpdateError as error:
            if not _is_condition_failure(error):  # then it runs out by itself
                logger().warning("lease not given back", extra={"archive_id": archive.archive_id}, exc_info=True)

    def seal(self, archive: Archive, seal: Seal) -> Archive:
        """PACKING → SEALED."""
        actions = [
            ArchiveRow.state.set(ArchiveState.SEALED),
            ArchiveRow.members.set(seal.members),
            ArchiveRow.bytes_in.set(seal.bytes_in),
            ArchiveRow.size_bytes.set(seal.size_bytes),
            ArchiveRow.sealed_at.set(seal.sealed_at),
        ]
        if seal.checksum is not None:
            actions.append(ArchiveRow.checksum.set(seal.checksum))
        self._move(archive, actions)
        return replace(archive, state=ArchiveState.SEALED, seal=seal)

    def mark_indexed(self, archive: Archive) -> Archive:
        """SEALED → INDEXED."""
        self._move(archive, [ArchiveRow.state.set(ArchiveState.INDEXED)])
        return replace(archive, state=ArchiveState.INDEXED)

    def finish(self, archive: Archive) -> Archive:
        """INDEXED → DONE, in one transaction with the job's counts."""
        seal = archive.require_seal()
        counts = [
            JobRow.archives.add(1),
            JobRow.archived.add(seal.members),
            JobRow.skipped.add(archive.planned_files - seal.members),
            JobRow.bytes_in.add(seal.bytes_in),
            JobRow.bytes_out.add(seal.size_bytes),
        ]
        self._end(archive, [ArchiveRow.state.set(ArchiveState.DONE)], counts)
        return replace(archive, state=ArchiveState.DONE)

    def fail(self, archive: Archive, reason: str) -> None:
        """→ FAILED, in one transaction with the job's counts."""
        counts = [JobRow.archives_failed.add(1), JobRow.failed.add(archive.planned_files)]
        self._end(archive, [ArchiveRow.state.set(ArchiveState.FAILED), ArchiveRow.reason.set(reason)], counts)

    @staticmethod
    def _end(archive: Archive, actions: list[Any], counts: list[Any]) -> None:
        state_is_ours = _is_held_by(archive.lease_owner) & (ArchiveRow.state == archive.state)

        def write(transaction: TransactWrite) -> None:
            leave = [ArchiveRow.lease_owner.remove(), ArchiveRow.lease_until.remove()]
            transaction.update(key_of(archive), actions=[*actions, *leave], condition=state_is_ours)
            transaction.update(JobRow(archive.job_id, JOB_ITEM), actions=counts, condition=JobRow.id.exists())

        transact(write)

    @staticmethod
    def _move(archive: Archive, actions: list[Any]) -> None:
        unmoved = _is_held_by(archive.lease_owner) & (ArchiveRow.state == archive.state)
        try:
            key_of(archive).update(actions=actions, condition=unmoved)
        except UpdateError as error:
            if not _is_condition_failure(error):
                raise
            raise LostRace(f"another worker took archive {archive.archive_id} over") from error


def _is_held_by(owner: str | None) -> Condition:
    held: Condition = ArchiveRow.lease_owner == owner
    return held


def key_of(archive: Archive) -> ArchiveRow:
    """A row that has nothing but the archive's key."""
    return ArchiveRow(
        archive_hash_key(archive.project, archive.bucket), archive_range_key(archive.first_key, archive.archive_id)
    )


def archive_row(message: ArchiveCommand) -> ArchiveRow:
    """The row of the archive that a message names, read consistently; raises `Unknown`."""
    owner_key = archive_hash_key(message.project, message.bucket)
    try:
        return ArchiveRow.get(owner_key, archive_range_key(message.first_key, message.archive_id), consistent_read=True)
    except DoesNotExist as error:
        raise Unknown(f"there is no archive {message.archive_id} of job {message.job_id}") from error


def archive_of(row: ArchiveRow, message: ArchiveCommand) -> Archive:
    """What a row says of the archive that a message names."""
    seal = None
    if row.sealed_at is not None:
        seal = Seal(
            size_bytes=int(row.size_bytes),
            checksum=row.checksum,
            members=int(row.members),
            bytes_in=int(row.bytes_in),
            sealed_at=row.sealed_at,
        )
    return Archive(
        archive_id=message.archive_id,
        job_id=message.job_id,
        project=ProjectName(message.project),
        bucket=message.bucket,
        first_key=row.first_key,
        kind="object" if row.kind == "object" else "zip",
        state=ArchiveState(row.state),
        planned_files=int(row.planned_files),
        planned_bytes=int(row.planned_bytes),
        plan_key=row.plan_key,
        storage_class=row.storage_class,
        vault_bucket=row.vault_bucket,
        vault_key=row.vault_key,
        seal=seal,
        lease_owner=row.lease_owner,
        sources_dealt_with=row.disposed_at is not None,
    )
