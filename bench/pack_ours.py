"""The packer as its worker builds it, but for the rows of jobs and archives and the bus, which are kept in this process.

Everything that grows with the number of files is the real thing: listing, plan, GETs, MD5, CRC, deflate, ZIP, catalog, parts,
verification, index rows.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

import measure
from corpus import BUCKET

from glaciate.contracts import Contract, Event
from glaciate.events import ArchiveJobCompleted
from glaciate.jobs import JobOrder
from glaciate.messages import PackArchive, PlanArchives
from glaciate.names import ArchiveId, JobId, ProjectName, new_job_id
from glaciate.requests import Compression, Disposition, StorageClass
from packer import bootstrap
from packer.adapters.rows import utc_now
from packer.application import Pack, Plan
from packer.domain.archives import Archive, ArchiveState, CatalogEntry, Job, JobState, NewArchive, Seal
from packer.domain.planning import Span

CORRELATION = "benchmark"
_VAULT = "vault"
_FILES_AN_ARCHIVE = 10_000  # the default cap


@dataclass(slots=True)
class OneJob:
    """The row of one job, and of its archives."""

    job: Job
    archives: dict[ArchiveId, Archive] = field(default_factory=dict)

    def load(self, job_id: JobId) -> Job:
        return self.job

    def begin_planning(self, job_id: JobId) -> None:
        self.job = replace(self.job, state=JobState.PLANNING)

    def record(self, job: Job, span: Span, archives: tuple[NewArchive, ...]) -> Job:
        for new in archives:
            self.archives[new.archive_id] = Archive(
                archive_id=new.archive_id,
                job_id=job.job_id,
                project=job.order.project,
                bucket=job.order.bucket,
                first_key=new.planned.first_key,
                kind=new.planned.kind,
                state=ArchiveState.PLANNED,
                planned_files=new.planned.files,
                planned_bytes=new.planned.size_bytes,
                storage_class=job.order.storage_class,
                vault_bucket=_VAULT,
                vault_key=new.vault_key,
                plan_key=new.plan_key,
            )
        self.job = replace(
            job,
            checkpoint_key=span.last_key,
            next_number=job.next_number + len(archives),
            listed=job.listed + span.listed,
            last_planned=tuple((new.archive_id, new.planned.first_key) for new in archives),
        )
        return self.job

    def finish_planning(self, job: Job, *, reason: str | None = None) -> None:
        self.job = replace(self.job, planning_finished=True)

    def close_if_last(self, job_id: JobId) -> ArchiveJobCompleted | None:
        return None

    def mark_announced(self, job_id: JobId) -> None:
        return None

    def claim(self, message: PackArchive, *, owner: str) -> Archive:
        return self._move(self.archives[message.archive_id], ArchiveState.PACKING)

    @contextmanager
    def held(self, archive: Archive) -> Iterator[None]:
        yield

    def seal(self, archive: Archive, seal: Seal) -> Archive:
        return self._move(replace(archive, seal=seal), ArchiveState.SEALED)

    def mark_indexed(self, archive: Archive) -> Archive:
        return self._move(archive, ArchiveState.INDEXED)

    def finish(self, archive: Archive) -> Archive:
        return self._move(archive, ArchiveState.DONE)

    def fail(self, archive: Archive, reason: str) -> None:
        raise RuntimeError(reason)

    def _move(self, archive: Archive, state: ArchiveState) -> Archive:
        self.archives[archive.archive_id] = moved = replace(archive, state=state)
        return moved


@dataclass(slots=True)
class Mailbox:
    """What was sent or told."""

    messages: list[object] = field(default_factory=list)

    def send(self, *commands: object) -> None:
        self.messages += commands

    def publish(self, *events: Event) -> None:
        self.messages += events


class NoIndex:
    """Neither writes rows nor reads the catalog again for them."""

    def add(self, archive: Archive, files: Iterable[CatalogEntry], *, sealed_at: datetime) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Packer:
    """The use cases, and what they keep in this process."""

    plan: Plan
    pack: Pack
    rows: OneJob
    sent: Mailbox


def order(prefix: str, *, bucket: str = BUCKET, max_files: int) -> JobOrder:
    return JobOrder(
        project=ProjectName("bench"),
        bucket=bucket,
        prefix=prefix,
        max_files=max_files,
        max_bytes=1 << 40,
        storage_class=StorageClass.DEEP_ARCHIVE,
        output_prefix="archives/",
        disposition=Disposition.KEEP,
        compression=Compression.FAST,
        direct_threshold_bytes=64 * 1024**2,
    )


def packer(what: JobOrder) -> Packer:
    """The worker's own use cases with one job in this process."""
    names = ("PACK_QUEUE_URL", "PACK_DEAD_LETTERS_URL", "EVENT_BUS_NAME", "ARCHIVES_TABLE", "FILES_TABLE", "JOBS_TABLE")
    os.environ.update({name: name.lower() for name in names} | {"VAULT_BUCKET": _VAULT, "WORK_BUCKET": "work"})
    use_cases: Mapping[type[Contract], Any] = bootstrap.worker().use_cases
    job = Job(
        job_id=new_job_id(utc_now()),
        state=JobState.ACCEPTED,
        order=what,
        correlation_id=CORRELATION,
        checkpoint_key=None,
        next_number=0,
        listed=0,
        planning_finished=False,
    )
    rows, sent = OneJob(job), Mailbox()
    close = replace(use_cases[PlanArchives].close, jobs=rows, bus=sent)
    plan: Plan = replace(use_cases[PlanArchives], jobs=rows, queue=sent, close=close)
    pack: Pack = replace(use_cases[PackArchive], jobs=rows, archives=rows, bus=sent, close=close)
    return Packer(plan, pack, rows, sent)


class _NoCatalog:
    """The real catalogs, but for reading them again."""

    def __init__(self, catalogs: object) -> None:
        self._catalogs = catalogs

    def __getattr__(self, name: str) -> object:
        return getattr(self._catalogs, name)

    def entries(self, archive_id: ArchiveId, seal: Seal) -> Iterator[object]:
        return iter(())


def plan(files: int, prefix: str, *, archives: int) -> Packer:
    """A job whose files are planned into so many archives."""
    ours = packer(order(prefix, max_files=-(-files // archives)))
    ours.plan(PlanArchives(correlation_id=CORRELATION, job_id=ours.rows.job.job_id))
    planned = sum(archive.planned_files for archive in ours.rows.archives.values())
    assert planned == files, f"{planned} of {files} files were planned"
    return ours


def packing(ours: Packer, number: int, *, with_index: bool) -> Callable[[], dict[str, float]]:
    """The packing of one of the archives."""
    message = [message for message in ours.sent.messages if isinstance(message, PackArchive)][number]
    pack = ours.pack if with_index else replace(ours.pack, index=NoIndex(), catalogs=_NoCatalog(ours.pack.catalogs))

    def work() -> dict[str, float]:
        pack(message)
        archive = ours.rows.archives[message.archive_id]
        assert archive.seal is not None
        assert archive.seal.members == archive.planned_files, f"only {archive.seal.members} files were packed"
        return {"bytes_in": archive.seal.bytes_in, "bytes_out": archive.seal.size_bytes}

    return work


def plan_and_pack(files: int, number: int, processes: int, exchange: Any) -> Callable[[], dict[str, float]]:
    """Plans a job of so many files out of a million in the first process; packs its archives in all, one after the other."""
    ours = packer(order("planned/", bucket="million", max_files=_FILES_AN_ARCHIVE))

    class Handing:
        """The pack queue: shared by all processes, as SQS would be."""

        def send(self, *commands: object) -> None:
            for command in commands:
                if isinstance(command, PackArchive):
                    exchange.put((command, ours.rows.archives[command.archive_id]))

    class TheFirst:
        """Of the listed files, as many as are wanted."""

        def files(self, *where: Any, **after: Any) -> Any:
            return islice(ours.plan.listing.files(*where, **after), files)

    planning = replace(ours.plan, queue=Handing(), listing=TheFirst())

    def work() -> dict[str, float]:
        if number == 0:
            planning(PlanArchives(correlation_id=CORRELATION, job_id=ours.rows.job.job_id))
            for _ in range(processes):
                exchange.put(None)
        packed = 0
        while (told := exchange.get()) is not None:
            message, archive = told
            ours.rows.archives[message.archive_id] = archive
            ours.pack(message)
            seal = ours.rows.archives.pop(message.archive_id).seal
            assert seal is not None
            packed += seal.members
        return {"packed": packed}

    return work


def plan_a_million(max_files: int) -> dict[str, float]:
    """Plans 1,000,000 listed keys; tells by how many MB the process grew at the most."""
    ours = packer(order("planned/", bucket="million", max_files=max_files))
    before = measure.rss_mb()
    ours.plan(PlanArchives(correlation_id=CORRELATION, job_id=ours.rows.job.job_id))
    planned = sum(archive.planned_files for archive in ours.rows.archives.values())
    assert planned == 1_000_000, f"{planned} files were planned"
    return {"growth_mb": max(0.0, measure.peak_rss_mb() - before), "archives": len(ours.rows.archives)}
