"""The packer's ports in memory, as strict as AWS where it matters: conditions, leases, one object under one vault key."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from typing import Any

from awscrt.checksums import crc64nvme

from fakes.holds import FakeHolds
from faults import Killed
from glaciate.catalog import Catalog, Member, Skipped, read_catalog
from glaciate.contracts import Command, Event
from glaciate.errors import Busy
from glaciate.events import ArchiveJobCompleted
from glaciate.jobs import JobOrder
from glaciate.manifests import Slice
from glaciate.messages import (
    DeleteArchivedSources,
    DeleteHeldSources,
    IndexArchive,
    PackArchive,
    PlanArchives,
    RebuildIndex,
)
from glaciate.names import ArchiveId, JobId, ProjectName
from glaciate.requests import Compression, DeleteAfterDays, Disposition, StorageClass
from packer.application import (
    AskForDeletion,
    AskForIndexing,
    CloseJob,
    DeleteHeld,
    DeleteSources,
    EndHold,
    IndexAgain,
    Pack,
    Plan,
    SortManifest,
)
from packer.domain.archives import (
    Archive,
    ArchiveState,
    CatalogEntry,
    DoneArchive,
    Draft,
    IndexedArchive,
    Job,
    JobState,
    NewArchive,
    Seal,
    StoredObject,
    outcome_of,
)
from packer.domain.codec import pack
from packer.domain.earlier import EarlierArchive, KnownFile
from packer.domain.planning import Span
from packer.domain.sources import Description, ReadFile, SourceFile, SourceState, read_plan_lines
from packer.ports import ArchiveAlreadyDifferent, CatalogOfAnother, LostRace, ManifestUnusable, Unknown

JOB = JobId("01aaaaa00001")
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=300)
GONE = "it vanished since it was listed"
REWRITTEN = "it was rewritten since it was listed"


@cache
def _read(catalog: bytes) -> Catalog:
    """The same few catalogs are looked at after every fault."""
    return read_catalog(catalog)


@dataclass(frozen=True)
class FakeObject:
    body: bytes
    modified: datetime
    storage_class: str = "STANDARD"
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'"{md5(self.body, usedforsecurity=False).hexdigest()}"'

    @property
    def checksum(self) -> str:
        return b64encode(crc64nvme(self.body).to_bytes(8, "big")).decode()


@dataclass
class JobRecord:
    job: Job
    planned: int = 0
    archived: int = 0
    skipped: int = 0
    failed: int = 0
    archives: int = 0
    archives_failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    already_archived: int = 0
    reason: str | None = None
    announced: bool = False
    finished_at: datetime | None = None


@dataclass
class ArchiveRecord:
    archive: Archive
    lease_until: datetime | None = None
    reason: str | None = None


@dataclass
class World:
    """All that is outside the packer."""

    now: datetime = START
    source: dict[str, FakeObject] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    tags_denied: set[str] = field(default_factory=set)
    vault: dict[str, FakeObject] = field(default_factory=dict)
    catalogs: dict[ArchiveId, tuple[bytes, Draft]] = field(default_factory=dict)
    plans: dict[str, bytes] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[JobId, JobRecord] = field(default_factory=dict)
    archives: dict[ArchiveId, ArchiveRecord] = field(default_factory=dict)
    holds: FakeHolds = field(default_factory=FakeHolds)
    index: dict[tuple[ArchiveId, str], tuple[int, datetime]] = field(default_factory=dict)
    queue: list[Command] = field(default_factory=list)
    in_hand: Command | None = None  # what a worker is at: SQS gives it to another when its time runs out
    heard: list[Event] = field(default_factory=list)
    open_uploads: set[str] = field(default_factory=set)
    completions: int = 0

    def put(self, files: dict[str, bytes], **options: Any) -> None:
        self.now += timedelta(seconds=1)
        self.source |= {key: FakeObject(body, self.now, **options) for key, body in files.items()}

    def accept(self, job_id: JobId = JOB, **order: Any) -> PlanArchives:
        wanted = JobOrder(
            **{
                "project": ProjectName("demo"),
                "bucket": "source",
                "prefix": "",
                "max_files": 1000,
                "max_bytes": 100_000_000,
                "storage_class": StorageClass.DEEP_ARCHIVE,
                "output_prefix": "archives/demo/",
                "disposition": Disposition.KEEP,
                "compression": Compression.FAST,
                "direct_threshold_bytes": 64 * 1024**2,
                **order,
            }
        )
        self.jobs[job_id] = JobRecord(
            Job(job_id, JobState.ACCEPTED, wanted, "c-1", None, 0, 0, planning_finished=False)
        )
        command = PlanArchives(correlation_id="c-1", job_id=job_id)
        self.queue.append(command)
        return command

    @property
    def record(self) -> JobRecord:
        return self.jobs[JOB]

    @property
    def skipped(self) -> dict[str, str]:
        lines = [json.loads(line) for text in self.lists.values() for line in text.splitlines()]
        return {line["key"]: line["reason"] for line in lines}

    def members(self) -> list[str]:
        return [member.key for member in self.archived()]

    def archived(self) -> list[Member]:
        return [
            member
            for archive_id, (catalog, _) in sorted(self.catalogs.items())
            if self.archives[archive_id].archive.vault_key in self.vault
            for member in _read(catalog).members
        ]

    def named(self, name: str) -> list[Event]:
        return [event for event in self.heard if event.name == name]

    # the ports of everything at once: the names do not collide

    def send(self, *commands: Command) -> None:
        self.queue.extend(commands)

    def publish(self, *events: Event) -> None:
        self.heard.extend(events)


@dataclass
class FakeJobs:
    world: World

    def load(self, job_id: JobId) -> Job:
        return self._record(job_id).job

    def begin_planning(self, job_id: JobId) -> None:
        record = self._record(job_id)
        if record.job.state is JobState.ACCEPTED:
            record.job = replace(record.job, state=JobState.PLANNING)

    def record(self, job: Job, span: Span, archives: tuple[NewArchive, ...]) -> Job:
        record = self._unmoved(job)
        record.job = replace(
            record.job,
            checkpoint_key=span.last_key,
            next_number=job.next_number + len(archives),
            listed=job.listed + span.listed,
            last_planned=tuple((new.archive_id, new.planned.first_key) for new in archives),
        )
        record.planned += span.planned
        record.skipped += span.skipped
        record.already_archived += span.already
        for new in archives:
            self.world.archives[new.archive_id] = ArchiveRecord(
                Archive(
                    archive_id=new.archive_id,
                    job_id=job.job_id,
                    project=job.order.project,
                    bucket=job.order.bucket,
                    first_key=new.planned.first_key,
                    kind=new.planned.kind,
                    state=ArchiveState.PLANNED,
                    planned_files=new.planned.files,
                    planned_bytes=new.planned.size_bytes,
                    plan_key=new.plan_key,
                    storage_class=job.order.storage_class,
                    vault_bucket="vault",
                    vault_key=new.vault_key,
                )
            )
        return record.job

    def finish_planning(self, job: Job, *, reason: str | None = None) -> None:
        record = self._unmoved(job)
        record.job = replace(record.job, planning_finished=True, state=JobState.PACKING)
        record.reason = reason

    def close_if_last(self, job_id: JobId) -> ArchiveJobCompleted | None:
        record = self._record(job_id)
        job = record.job
        if not job.state.has_ended:
            if not job.planning_finished or record.archives + record.archives_failed < job.next_number:
                return None
            outcome = outcome_of(
                planned=record.planned,
                archived=record.archived,
                archives_failed=record.archives_failed,
                reason=record.reason,
            )
            record.job = job = replace(job, state=JobState(outcome), archives=record.archives)
            record.finished_at = self.world.now
        if record.announced:
            return None
        due_at, disposition = None, job.order.disposition
        if isinstance(disposition, DeleteAfterDays) and record.archived and record.finished_at:
            due_at = record.finished_at + timedelta(days=disposition.delete_after_days)
        return ArchiveJobCompleted.model_validate(
            {
                "correlation_id": job.correlation_id,
                "job_id": job_id,
                "project": job.order.project,
                "bucket": job.order.bucket,
                "prefix": job.order.prefix,
                "outcome": job.state,
                "topic_arn": "arn",
                "archived": record.archived,
                "skipped": record.skipped,
                "failed": record.failed,
                "archives": record.archives,
                "bytes_in": record.bytes_in,
                "bytes_out": record.bytes_out,
                "already_archived": record.already_archived,
                "sources_due_at": due_at,
                "reason": record.reason,
            }
        )

    def mark_announced(self, job_id: JobId) -> None:
        self._record(job_id).announced = True

    def _record(self, job_id: JobId) -> JobRecord:
        try:
            return self.world.jobs[job_id]
        except KeyError:
            raise Unknown(job_id) from None

    def _unmoved(self, job: Job) -> JobRecord:
        record = self._record(job.job_id)
        now, then = record.job, job
        if (now.checkpoint_key, now.next_number) != (then.checkpoint_key, then.next_number) or now.planning_finished:
            raise LostRace("the checkpoint moved")
        return record


@dataclass
class FakeArchives:
    world: World

    def claim(self, message: PackArchive, *, owner: str) -> Archive:
        try:
            record = self.world.archives[message.archive_id]
        except KeyError:
            raise Unknown(message.archive_id) from None
        if record.archive.state.has_ended:
            return record.archive
        if record.lease_until is not None and record.lease_until >= self.world.now:
            left = int((record.lease_until - self.world.now).total_seconds()) + 1
            raise Busy("another worker holds it", retry_after_seconds=left)
        state = record.archive.state
        record.lease_until = self.world.now + LEASE
        record.archive = replace(
            record.archive,
            lease_owner=owner,
            state=ArchiveState.PACKING if state is ArchiveState.PLANNED else state,
        )
        return record.archive

    @contextmanager
    def held(self, archive: Archive) -> Iterator[None]:
        try:
            yield
        except Killed:
            raise
        except BaseException:
            self._give_back(archive)
            raise
        self._give_back(archive)

    def seal(self, archive: Archive, seal: Seal) -> Archive:
        return self._move(archive, state=ArchiveState.SEALED, seal=seal)

    def mark_indexed(self, archive: Archive) -> Archive:
        return self._move(archive, state=ArchiveState.INDEXED)

    def finish(self, archive: Archive) -> Archive:
        done = self._move(archive, state=ArchiveState.DONE)
        seal, job = archive.require_seal(), self.world.jobs[archive.job_id]
        job.archives += 1
        job.archived += seal.members
        job.skipped += archive.planned_files - seal.members
        job.bytes_in += seal.bytes_in
        job.bytes_out += seal.size_bytes
        return done

    def fail(self, archive: Archive, reason: str) -> None:
        self._move(archive, state=ArchiveState.FAILED)
        self.world.archives[archive.archive_id].reason = reason
        job = self.world.jobs[archive.job_id]
        job.archives_failed += 1
        job.failed += archive.planned_files

    def _move(self, archive: Archive, **changes: Any) -> Archive:
        record = self.world.archives[archive.archive_id]
        if (record.archive.lease_owner, record.archive.state) != (archive.lease_owner, archive.state):
            raise LostRace("another worker took it over")
        record.archive = replace(record.archive, **changes)
        return record.archive

    def _give_back(self, archive: Archive) -> None:
        record = self.world.archives[archive.archive_id]
        if record.archive.lease_owner == archive.lease_owner:
            record.lease_until = None
            record.archive = replace(record.archive, lease_owner=None)


@dataclass
class FakeHeldArchives:
    world: World

    def waiting(self, job: Job, *, after: str | None) -> Iterator[DoneArchive]:
        found = sorted(
            DoneArchive(archive.archive_id, archive.first_key, f"{archive.first_key}#{archive.archive_id}")
            for archive in (record.archive for record in self.world.archives.values())
            if (archive.job_id, archive.state) == (job.job_id, ArchiveState.DONE) and not archive.sources_dealt_with
        )
        for archive in sorted(found, key=lambda done: done.place):
            if after is None or archive.place > after:
                yield archive

    def load(self, message: DeleteArchivedSources) -> Archive:
        try:
            return self.world.archives[message.archive_id].archive
        except KeyError:
            raise Unknown(message.archive_id) from None

    def dealt_with(self, archive: Archive, *, deleted: int, left: int) -> bool:
        record = self.world.archives[archive.archive_id]
        if record.archive.sources_dealt_with or not self.world.holds.count(archive.job_id, deleted=deleted, left=left):
            return False
        record.archive = replace(record.archive, sources_dealt_with=True)
        return True


@dataclass
class FakeArchivesToIndex:
    world: World

    def found(self, project: ProjectName | None, *, after: tuple[str, str] | None) -> Iterator[IndexedArchive]:
        for record in sorted(self.world.archives.values(), key=lambda record: record.archive.archive_id):
            archive = record.archive
            place = (f"{archive.project}#{archive.bucket}", archive.archive_id)
            if (
                archive.state in {ArchiveState.INDEXED, ArchiveState.DONE}
                and archive.require_seal().members
                and project in {None, archive.project}
                and (after is None or place > after)
            ):
                yield IndexedArchive(
                    archive.job_id, archive.archive_id, archive.project, archive.bucket, archive.first_key, place
                )

    def load(self, message: IndexArchive) -> Archive:
        try:
            return self.world.archives[message.archive_id].archive
        except KeyError:
            raise Unknown(message.archive_id) from None


@dataclass
class FakeListing:
    world: World

    def files(self, bucket: str, prefix: str, *, after: str | None) -> Iterator[SourceFile]:
        listed = dict(self.world.source)  # S3 gives pages: what changes meanwhile is not seen
        for key in sorted((key for key in listed if key.startswith(prefix)), key=str.encode):
            if after is None or key.encode() > after.encode():
                found = listed[key]
                yield SourceFile(key, len(found.body), found.etag, found.modified, found.storage_class)


@dataclass
class FakeManifests:
    world: World
    slice_bytes: int = 64

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        body = self.world.manifests.get((bucket, key))
        if body is None:
            raise ManifestUnusable(f"s3://{bucket}/{key} can't be read: NoSuchKey")
        found = FakeObject(body, START)
        if etag not in {None, found.etag}:
            raise ManifestUnusable(f"s3://{bucket}/{key} changed since the job was accepted")
        return Slice(body[start : start + self.slice_bytes], found.etag, len(body))


@dataclass
class FakeNotes:
    world: World

    def put(self, job_id: JobId, name: str, data: bytes) -> None:
        self.world.notes[name] = data

    def find(self, job_id: JobId, name: str) -> bytes | None:
        return self.world.notes.get(name)


@dataclass
class FakePlans:
    world: World

    def put(self, archive_id: ArchiveId, plan: bytes) -> str:
        key = f"{archive_id}.{md5(plan, usedforsecurity=False).hexdigest()}"
        self.world.plans[key] = plan
        return key

    def read(self, plan_key: str) -> Iterator[SourceFile]:
        yield from read_plan_lines(gzip.decompress(self.world.plans[plan_key]).splitlines())

    def put_skipped(self, job_id: JobId, name: str, lines: bytes) -> None:
        if lines:
            self.world.lists[name] = lines
        else:
            self.world.lists.pop(name, None)


@dataclass
class FakeSources:
    world: World

    def read(
        self, bucket: str, files: Iterable[SourceFile], *, compression: Compression, tagged: bool = False
    ) -> Generator[ReadFile | Skipped]:
        for file in files:
            state = self.describe(bucket, file, tagged=tagged)
            if isinstance(state, Skipped):
                yield state
            else:
                yield ReadFile(state.file, state.description, pack(self.world.source[file.key].body, compression))

    def describe(self, bucket: str, file: SourceFile, *, tagged: bool = False) -> SourceState | Skipped:
        found = self.world.source.get(file.key)
        if found is None:
            return Skipped(file.key, GONE)
        if file.etag not in {"", found.etag}:
            return Skipped(file.key, REWRITTEN)
        if file.key in self.world.unreadable:
            return Skipped(file.key, "it can't be read: AccessDenied")
        if tagged and file.key in self.world.tags_denied:
            return Skipped(file.key, "its tags, which were asked for, can't be read: AccessDenied")
        if len(found.body) != file.size:
            return Skipped(file.key, f"it has {len(found.body)} bytes, but {file.size} were listed")
        seen = file.seen(etag=found.etag, modified=found.modified)
        tags = dict(found.tags) if tagged else None
        about = Description(content_type="text/plain", metadata=found.metadata, tags=tags)
        return SourceState(about, found.checksum, seen)

    def delete(self, bucket: str, files: Iterable[tuple[str, str]]) -> Iterator[Skipped]:
        for key, etag in files:
            found = self.world.source.get(key)
            if found is None:
                continue
            if found.etag == etag:
                del self.world.source[key]
            else:
                yield Skipped(key, "archived, but the source was rewritten since and is kept")


@dataclass
class FakeUpload:
    world: World
    key: str
    storage_class: str
    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes | memoryview) -> None:
        self.world.open_uploads.add(self.key)
        self.data += data

    def finish_parts(self) -> tuple[int, str]:
        return len(self.data), FakeObject(bytes(self.data), START).checksum

    def complete(self) -> None:
        there = self.world.vault.get(self.key)
        if there is not None and there.body != bytes(self.data):
            raise ArchiveAlreadyDifferent(self.key)
        if there is None:
            self.world.now += timedelta(seconds=1)
            self.world.vault[self.key] = FakeObject(bytes(self.data), self.world.now, self.storage_class)
            self.world.completions += 1
        self.world.open_uploads.discard(self.key)


@dataclass
class FakeVault:
    world: World

    def find(self, vault_key: str) -> StoredObject | None:
        found = self.world.vault.get(vault_key)
        if found is None:
            return None
        return StoredObject(len(found.body), found.checksum, found.storage_class, found.modified)

    @contextmanager
    def upload(self, vault_key: str, *, storage_class: str, most_bytes: int) -> Iterator[FakeUpload]:
        self.world.open_uploads.discard(vault_key)
        upload = FakeUpload(self.world, vault_key, storage_class)
        try:
            yield upload
        except Killed:
            raise
        except BaseException:
            self.world.open_uploads.discard(vault_key)
            raise
        assert len(upload.data) <= most_bytes

    def copy(
        self, bucket: str, file: SourceFile, about: Description, vault_key: str, *, storage_class: str
    ) -> Skipped | None:
        state = FakeSources(self.world).describe(bucket, file)
        if isinstance(state, Skipped):
            return state
        if vault_key not in self.world.vault:
            found = self.world.source[file.key]
            self.world.now += timedelta(seconds=1)
            self.world.vault[vault_key] = replace(
                found, storage_class=storage_class, modified=self.world.now, tags=dict(about.tags or {})
            )
            self.world.completions += 1
        return None


@dataclass
class FakeCatalogs:
    world: World

    def version(self, archive_id: ArchiveId) -> str | None:
        found = self.world.catalogs.get(archive_id)
        return repr(found) if found else None

    def put(self, archive_id: ArchiveId, catalog: bytes, draft: Draft, *, replacing: str | None) -> str:
        if self.version(archive_id) != replacing:
            raise LostRace(archive_id)
        self.world.catalogs[archive_id] = (catalog, draft)
        return repr((catalog, draft))

    def draft(self, archive_id: ArchiveId) -> Draft | None:
        found = self.world.catalogs.get(archive_id)
        return found[1] if found else None

    def entries(self, archive_id: ArchiveId, seal: Seal) -> Iterator[CatalogEntry | Skipped]:
        catalog, draft = self.world.catalogs[archive_id]
        if not draft.became(seal):
            raise CatalogOfAnother(archive_id)
        whole = _read(catalog)
        for member in whole.members:
            yield CatalogEntry(member.key, member.size, member.etag)
        yield from whole.skipped


@dataclass
class FakeEarlier:
    world: World

    def archives(self, order: JobOrder, *, besides: JobId, after: str | None) -> Iterator[EarlierArchive]:
        for archive in sorted(
            (record.archive for record in self.world.archives.values()),
            key=lambda archive: f"{archive.first_key}#{archive.archive_id}",
        ):
            keys = [member.key for member in self._catalog(archive.archive_id).members]
            if archive.state not in {ArchiveState.INDEXED, ArchiveState.DONE} or archive.job_id == besides or not keys:
                continue
            if keys[-1] >= max(order.prefix, after or "") and keys[0] < f"{order.prefix}\U0010ffff":
                yield EarlierArchive(
                    archive_id=archive.archive_id,
                    job_id=archive.job_id,
                    row_order=f"{archive.first_key}#{archive.archive_id}",
                    first_key=archive.first_key,
                    last_key=keys[-1],
                    vault_key=archive.vault_key,
                    seal=archive.require_seal(),
                )

    def files(self, archive: EarlierArchive) -> Iterator[KnownFile]:
        for member in self._catalog(archive.archive_id).members:
            yield KnownFile(member.key, member.etag, member.tags is not None)

    def _catalog(self, archive_id: ArchiveId) -> Catalog:
        found = self.world.catalogs.get(archive_id)
        return _read(found[0]) if found else Catalog(None, ())  # type: ignore[arg-type]  # nobody looks at it


@dataclass
class FakeIndex:
    world: World

    def add(self, archive: Archive, files: Iterable[CatalogEntry], *, sealed_at: datetime) -> None:
        for file in files:
            self.world.index[archive.archive_id, file.key] = (file.size, sealed_at)


Wrap = Callable[[Any], Any]


def build(world: World, wrap: Wrap = lambda port: port) -> dict[type[Command], Callable[[Any], None]]:
    """The packer's use cases in this world; `wrap` may stand between them and every port."""
    jobs, plans, bus = wrap(FakeJobs(world)), wrap(FakePlans(world)), wrap(world)
    holds, held, to_index = wrap(world.holds), wrap(FakeHeldArchives(world)), wrap(FakeArchivesToIndex(world))
    close, end = CloseJob(jobs, holds, bus), EndHold(holds, bus, lambda: world.now)
    catalogs, sources = wrap(FakeCatalogs(world)), wrap(FakeSources(world))
    delete = DeleteSources(sources, catalogs, plans)
    return {
        PlanArchives: Plan(
            jobs=jobs,
            listing=wrap(FakeListing(world)),
            earlier=wrap(FakeEarlier(world)),
            vault=wrap(FakeVault(world)),
            sort=SortManifest(
                wrap(FakeManifests(world)), wrap(FakeNotes(world)), run_bytes=160, chunk_bytes=64, fan_in=2
            ),
            holds=holds,
            plans=plans,
            queue=bus,
            close=close,
            memory_mib=4096,
        ),
        PackArchive: Pack(
            jobs=jobs,
            archives=wrap(FakeArchives(world)),
            plans=plans,
            sources=sources,
            vault=wrap(FakeVault(world)),
            catalogs=catalogs,
            index=wrap(FakeIndex(world)),
            delete=delete,
            bus=bus,
            close=close,
            now=lambda: world.now,
        ),
        DeleteHeldSources: AskForDeletion(jobs, holds, held, bus, end, at_once=2),
        DeleteArchivedSources: DeleteHeld(jobs, holds, held, wrap(FakeVault(world)), delete, end),
        RebuildIndex: AskForIndexing(to_index, bus, at_once=2),
        IndexArchive: IndexAgain(to_index, catalogs, wrap(FakeIndex(world))),
    }
