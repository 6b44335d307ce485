"""Planning: which files go into which archive."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from glaciate.errors import Permanent
from glaciate.holds import HoldState
from glaciate.jobs import too_large_for
from glaciate.messages import PackArchive, PlanArchives
from glaciate.names import MAX_ARCHIVES_PER_JOB, ArchiveId, JobId, archive_id, vault_key_of_object, vault_key_of_zip
from glaciate.outbox import CommandQueue
from glaciate.requests import DeleteAfterDays, Disposition
from glaciate.telemetry import count, logger
from packer.application.close import CloseJob
from packer.application.sort_manifest import SortManifest
from packer.domain.archives import Job, NewArchive
from packer.domain.earlier import AlreadyArchived, EarlierArchive, KnownFile, KnownFiles
from packer.domain.planning import PlannedArchive, Span, spans
from packer.domain.sources import SourceFile
from packer.ports import Earlier, Holds, Jobs, Listing, Plans, Vault

_OF_NO_USE: Final = "archived, but not held"  # no ETag reads like this


FilesAfter = Callable[[str | None], Iterator[SourceFile]]


class ManifestNotMet(Permanent):
    """The prefix does not hold what the caller declared."""


class TooLittleMemory(Permanent):
    """A worker has no room for files as large as the project has them packed."""


class TooManyArchives(Permanent):
    """The job has more archives than an archive's id has room for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Lists the job's sources, or sorts its manifest, from its checkpoint on, and sends each archive to be packed as soon as it is planned.

    Twice is harmless, one after the other or at once: the archives are recorded, each with the plan that counts, in one
    transaction with the checkpoint, on condition that it is where this planner found it. The commands are sent after that,
    so whoever resumes sends those of the last transaction again; a doubled command is harmless.
    """

    jobs: Jobs
    listing: Listing
    earlier: Earlier
    vault: Vault
    sort: SortManifest
    holds: Holds
    plans: Plans
    queue: CommandQueue
    close: CloseJob
    memory_mib: int

    def __call__(self, message: PlanArchives) -> None:
        """Plans the job to its end; raises `Permanent` after the job has been ended and its failure told."""
        job = self.jobs.load(message.job_id)
        if not job.planning_finished:
            self._send(job)
            try:
                self._plan(job)
            except Permanent as failure:
                self.jobs.finish_planning(self.jobs.load(job.job_id), reason=str(failure))
                self.close(job.job_id)
                raise
        self.close(job.job_id)

    def _plan(self, job: Job) -> None:
        self.jobs.begin_planning(job.job_id)
        order = job.order
        if reason := too_large_for(self.memory_mib, order):
            raise TooLittleMemory(reason)
        files_after = self._source(job)
        if job.checkpoint_key is None:
            self._require_manifest(job, files_after)
        archived = self._archived_already(job)
        for span in spans(files_after(job.checkpoint_key), order, archived):
            job = self._record(job, span)
        if archived.left_out:
            count("EarlierArchivesLeftOut", archived.left_out)
            logger().warning("too many earlier archives hold the same keys", extra={"left_out": archived.left_out})
        self.plans.put_skipped(job.job_id, _list_name(job), b"")  # an earlier attempt may have met files that are gone
        self.jobs.finish_planning(job)
        logger().info(
            "planning finished", extra={"job_id": job.job_id, "listed": job.listed, "archives": job.next_number}
        )

    def _archived_already(self, job: Job) -> AlreadyArchived:
        """By earlier jobs. Where the sources are to be deleted at once, each is archived again: this job's archives answer for it."""
        order = job.order
        archives: Iterator[EarlierArchive] = iter(())
        if order.disposition is not Disposition.DELETE and not order.rearchive:
            archives = self.earlier.archives(order, besides=job.job_id, after=job.checkpoint_key)
        files_of = self._held_files() if isinstance(order.disposition, DeleteAfterDays) else self._files_of
        return AlreadyArchived(archives, files_of, with_tags=order.preserve_tags)

    def _held_files(self) -> KnownFiles:
        """What another job deletes in some days need not be archived in order to be deleted; what nobody deletes is none of the kind."""
        held: dict[JobId, bool] = {}

        def files_of(archive: EarlierArchive) -> Iterator[KnownFile]:
            if archive.job_id not in held:
                hold = self.holds.find(archive.job_id)
                held[archive.job_id] = hold is not None and hold.state in {HoldState.HELD, HoldState.DELETING}
            for file in self._files_of(archive):
                yield file if held[archive.job_id] else file._replace(etag=_OF_NO_USE)

        return files_of

    def _files_of(self, archive: EarlierArchive) -> Iterator[KnownFile]:
        """The files of an archive that is still in the vault as it was sealed; one that is not holds none."""
        stored = self.vault.find(archive.vault_key)
        if stored is None or stored.size_bytes != archive.seal.size_bytes:
            logger().warning("an earlier archive is not in the vault", extra={"archive_id": archive.archive_id})
            return
        yield from self.earlier.files(archive)

    def _source(self, job: Job) -> FilesAfter:
        """What gives the job's files in key order, from a key on: the prefix's listing, or the manifest, sorted."""
        order = job.order
        if order.source is not None:
            manifest = self.sort(job)
            return lambda after: self.sort.files(manifest, after=after)
        return lambda after: self.listing.files(order.bucket, order.prefix, after=after)

    def _require_manifest(self, job: Job, files_after: FilesAfter) -> None:
        declared = job.order.manifest
        if declared is None or (declared.file_count is None and declared.total_size is None):
            return
        files = size = 0
        for file in files_after(None):
            files += 1
            size += file.size
        wrong = [
            f"{there} {what} are there, but the manifest declares {said}"
            for what, said, there in (("files", declared.file_count, files), ("bytes", declared.total_size, size))
            if said is not None and said != there
        ]
        if wrong:
            where = job.order.source.uri if job.order.source else f"s3://{job.order.bucket}/{job.order.prefix}"
            raise ManifestNotMet(f"{'in' if job.order.source else 'under'} {where} " + "; ".join(wrong))

    def _record(self, job: Job, span: Span) -> Job:
        if job.next_number + len(span.archives) > MAX_ARCHIVES_PER_JOB:
            raise TooManyArchives(
                f"a job may have {MAX_ARCHIVES_PER_JOB} archives; use larger caps or smaller prefixes"
            )
        archives = tuple(
            self._planned(job, archive_id(job.job_id, number), planned)
            for number, planned in enumerate(span.archives, start=job.next_number)
        )
        self.plans.put_skipped(job.job_id, _list_name(job), span.skipped_lines)
        moved = self.jobs.record(job, span, archives)
        self._send(moved)
        count("ArchivesPlanned", len(archives))
        return moved

    def _planned(self, job: Job, new: ArchiveId, planned: PlannedArchive) -> NewArchive:
        vault_key_of = vault_key_of_zip if planned.kind == "zip" else vault_key_of_object
        return NewArchive(
            archive_id=new,
            planned=planned,
            plan_key=self.plans.put(new, planned.plan),
            vault_key=vault_key_of(job.order.output_prefix, new),
        )

    def _send(self, job: Job) -> None:
        self.queue.send(
            *(
                PackArchive(
                    correlation_id=job.correlation_id,
                    job_id=job.job_id,
                    archive_id=planned,
                    project=job.order.project,
                    bucket=job.order.bucket,
                    first_key=first_key,
                )
                for planned, first_key in job.last_planned
            )
        )


def _list_name(job: Job) -> str:
    """One list a span, named by how much was listed before it: a planner that repeats the span writes the same list."""
    return f"plan-{job.listed:012}"
