"""Packing: one archive from its plan to its end, in the order of the commit protocol."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from glaciate.catalog import Catalog, Member, Skipped, compress, write_catalog
from glaciate.errors import Permanent
from glaciate.events import ArchiveSealed
from glaciate.messages import PackArchive
from glaciate.outbox import EventBus
from glaciate.requests import Disposition
from glaciate.telemetry import count, logger
from packer.application.close import CloseJob
from packer.application.deleting import DeleteSources
from packer.domain.archives import Archive, ArchiveState, CatalogEntry, Draft, Job, Seal
from packer.domain.codec import STORED
from packer.domain.sources import Description, SourceFile, skipped_json_line
from packer.domain.zip_archive import ZipArchive
from packer.domain.zip_writer import overhead_bytes
from packer.ports import (
    ArchiveAlreadyDifferent,
    ArchiveNotAsSent,
    Archives,
    Catalogs,
    Clock,
    FileIndex,
    Jobs,
    Plans,
    Sources,
    Vault,
)


@dataclass(frozen=True, slots=True)
class Pack:
    """Packs, seals, indexes and disposes one archive, and ends the job with its last one.

    Twice is harmless, one after the other or at once: the archive's row is held by a lease, says which steps are done, and
    moves by conditional writes; the vault takes an archive's object only once; index rows are the same rows again; a source
    is deleted only if it is still what was archived; the job counts the archive in one transaction with its last move.
    """

    jobs: Jobs
    archives: Archives
    plans: Plans
    sources: Sources
    vault: Vault
    catalogs: Catalogs
    index: FileIndex
    delete: DeleteSources
    bus: EventBus
    close: CloseJob
    now: Clock

    def __call__(self, message: PackArchive) -> None:
        """Brings the archive to its end; raises `Permanent` after its failure has been recorded and told."""
        job = self.jobs.load(message.job_id)
        archive = self.archives.claim(message, owner=secrets.token_hex(8))
        if not archive.state.has_ended:
            with self.archives.held(archive):
                try:
                    archive = self._bring_to_its_end(archive, job)
                except Permanent as failure:
                    self.archives.fail(archive, str(failure))
                    count("ArchiveFailed")
                    self.close(job.job_id)
                    raise
        if archive.state is ArchiveState.DONE:
            self._tell(archive, job)
        self.close(job.job_id)

    def _bring_to_its_end(self, archive: Archive, job: Job) -> Archive:
        if archive.state is ArchiveState.PACKING:
            archive = self.archives.seal(archive, self._make(archive, job))
        if archive.state is ArchiveState.SEALED:
            self._tell_where(archive)
            archive = self.archives.mark_indexed(archive)
        if job.order.disposition is Disposition.DELETE:
            self.delete(archive)
        return self.archives.finish(archive)

    def _make(self, archive: Archive, job: Job) -> Seal:
        """The archive's object: an earlier attempt's where it got that far, else a new one."""
        catalog_there = self.catalogs.version(archive.archive_id)  # before the look at the vault: see Catalogs.put
        if self.vault.find(archive.vault_key) is not None:
            draft = self.catalogs.draft(archive.archive_id)
            if draft is None:
                raise ArchiveAlreadyDifferent(f"{archive.vault_key} is there already, but no catalog that tells of it")
        elif archive.kind == "object":
            draft = self._copy_object(archive, job, replacing=catalog_there)
        else:
            draft = self._write_zip(archive, job, replacing=catalog_there)
        return self._verified(archive, draft)

    def _write_zip(self, archive: Archive, job: Job, *, replacing: str | None) -> Draft:
        packed = ZipArchive(archive.catalog_header(job.order.prefix))
        files = self.plans.read(archive.plan_key)
        with (
            closing(
                self.sources.read(
                    archive.bucket, files, compression=job.order.compression, tagged=job.order.preserve_tags
                )
            ) as read,
            self.vault.upload(
                archive.vault_key, storage_class=archive.storage_class, most_bytes=_most_bytes(archive, job)
            ) as upload,
        ):
            for file in read:
                if isinstance(file, Skipped):
                    packed.skip(file)
                else:
                    upload.write(packed.member(file))
                    upload.write(file.packed.data)
            if not packed.members:
                draft = Draft(0, None, 0, 0)
                self.catalogs.put(archive.archive_id, packed.catalog(), draft, replacing=replacing)
                return draft
            for block in packed.end():
                upload.write(block)
            size_bytes, checksum = upload.finish_parts()
            draft = Draft(size_bytes, checksum, packed.members, packed.bytes_in)
            written = self.catalogs.put(archive.archive_id, packed.catalog(), draft, replacing=replacing)
            upload.complete()
        now_there = self.catalogs.version(archive.archive_id)
        if now_there != written:  # another worker drafted its object, but ours was complete first
            self.catalogs.put(archive.archive_id, packed.catalog(), draft, replacing=now_there)
        return draft

    def _copy_object(self, archive: Archive, job: Job, *, replacing: str | None) -> Draft:
        (file,) = self.plans.read(archive.plan_key)
        source = self.sources.describe(archive.bucket, file, tagged=job.order.preserve_tags)
        skipped = source if isinstance(source, Skipped) else None
        draft = Draft(0, None, 0, 0)
        if not isinstance(source, Skipped):
            file = source.file
            draft = Draft(file.size, source.checksum, 1, file.size)
            member = _whole(file, source.description)
            replacing = self._put_catalog(archive, job, draft, replacing, members=(member,))
            skipped = self.vault.copy(
                archive.bucket, file, source.description, archive.vault_key, storage_class=archive.storage_class
            )
            if skipped is not None and self.vault.find(archive.vault_key) is not None:
                skipped = None  # another worker copied it, and has disposed of the source already
        if skipped is not None:
            draft = Draft(0, None, 0, 0)
            self._put_catalog(archive, job, draft, replacing, skipped=(skipped,))
        return draft

    def _put_catalog(
        self,
        archive: Archive,
        job: Job,
        draft: Draft,
        replacing: str | None,
        *,
        members: tuple[Member, ...] = (),
        skipped: tuple[Skipped, ...] = (),
    ) -> str:
        catalog = Catalog(archive.catalog_header(job.order.prefix), members, skipped)
        return self.catalogs.put(archive.archive_id, compress(write_catalog(catalog)), draft, replacing=replacing)

    def _verified(self, archive: Archive, draft: Draft) -> Seal:
        """What S3 holds is what was sent; an archive whose every member vanished has no object."""
        if not draft.members:
            return Seal(0, None, 0, 0, self.now())
        stored = self.vault.find(archive.vault_key)
        if stored is None:
            raise ArchiveNotAsSent(f"{archive.vault_key} is not in the vault")
        for what, sent, held in (
            ("bytes", draft.size_bytes, stored.size_bytes),
            ("CRC64NVME", draft.checksum or stored.checksum, stored.checksum),
            ("storage class", archive.storage_class, stored.storage_class),
        ):
            if sent != held:
                raise ArchiveNotAsSent(f"{archive.vault_key} was sent with {what} {sent}, but the vault has {held}")
        return Seal(draft.size_bytes, stored.checksum, draft.members, draft.bytes_in, stored.modified)

    def _tell_where(self, archive: Archive) -> None:
        """By the catalog: what is in the archive goes to the index, what is not to the job's list of skipped files."""
        seal = archive.require_seal()
        skipped: list[Skipped] = []

        def members() -> Iterator[CatalogEntry]:
            for entry in self.catalogs.entries(archive.archive_id, seal):
                if isinstance(entry, Skipped):
                    skipped.append(entry)
                else:
                    yield entry

        self.index.add(archive, members(), sealed_at=seal.sealed_at)
        lines = b"".join(skipped_json_line(file.key, file.reason) for file in skipped)
        self.plans.put_skipped(archive.job_id, archive.archive_id, lines)

    def _tell(self, archive: Archive, job: Job) -> None:
        seal = archive.require_seal()
        if not seal.members:
            return
        self.bus.publish(
            ArchiveSealed(
                correlation_id=job.correlation_id,
                job_id=archive.job_id,
                archive_id=archive.archive_id,
                project=archive.project,
                vault_bucket=archive.vault_bucket,
                vault_key=archive.vault_key,
                storage_class=archive.storage_class,
                members=seal.members,
                size_bytes=seal.size_bytes,
            )
        )
        count("ArchiveSealed")
        logger().info(
            "archive sealed",
            extra={"archive_id": archive.archive_id, "members": seal.members, "size_bytes": seal.size_bytes},
        )


def _most_bytes(archive: Archive, job: Job) -> int:
    """No ZIP of these files is larger, whatever metadata (2 KB at the most) and tags (ten) they carry: S3 takes 10,000 parts."""
    tags = 16 * 1024 if job.order.preserve_tags else 0
    return archive.planned_bytes + archive.planned_files * (overhead_bytes("") + 3 * 1024 + 4096 + tags) + 1024**2


def _whole(file: SourceFile, about: Description) -> Member:
    """The one member of an archive that is the file itself."""
    return Member(
        key=file.key,
        name=file.key,
        offset=0,
        compressed_size=file.size,
        size=file.size,
        method=STORED,
        crc32=None,
        etag=file.etag,
        version_id=about.version_id,
        modified=file.modified,
        content_type=about.content_type,
        content_encoding=about.content_encoding,
        content_disposition=about.content_disposition,
        content_language=about.content_language,
        cache_control=about.cache_control,
        metadata=about.metadata,
        tags=about.tags,
    )
