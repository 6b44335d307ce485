"""Builds the unpacker from its settings, on first use."""

from functools import cache

from glaciate import aws, tables
from glaciate.events import ArchiveReadable, ObjectRestoreCompleted
from glaciate.launcher import BatchFleet, KeepWorkersRunning, SqsBacklog
from glaciate.outbox import EventBridgeBus, SqsCommandQueue, SqsDeadLetters
from glaciate.part_documents import S3PartDocuments
from glaciate.restore_ledger import RestoreLedger
from glaciate.worker_loop import SqsInbox, Worker
from unpacker.settings import LauncherSettings, WorkerSettings


@cache
def keep_workers_running() -> KeepWorkersRunning:
    """The launcher."""
    settings = LauncherSettings()
    return KeepWorkersRunning(
        backlog=SqsBacklog(aws.sqs(), settings.unpack_queue_url),
        fleet=BatchFleet(aws.batch(), settings.batch_job_queue, settings.batch_job_definition, job_name="unpack"),
        messages_per_worker=settings.messages_per_worker,
        max_workers=settings.max_workers,
    )


@cache
def worker() -> Worker:
    """The worker; only here are the libraries of the data plane needed, which the launcher's bundle lacks."""
    from unpacker.adapters.catalogs import S3Catalogs
    from unpacker.adapters.original_files import S3OriginalFiles
    from unpacker.adapters.restored_files import S3RestoredFiles
    from unpacker.adapters.stores import open_store
    from unpacker.adapters.vault import RangedVault
    from unpacker.application import RebuildCatalog, UnpackArchive, UnpackMembers
    from unpacker.domain import ReadLimits

    settings = WorkerSettings()
    tables.bind(jobs=settings.jobs_table)
    documents = S3PartDocuments(aws.s3(), settings.work_bucket)
    vault_store = open_store(settings.vault_bucket)
    vault = RangedVault(aws.s3(), settings.vault_bucket, vault_store)
    catalogs = S3Catalogs(aws.s3(), settings.vault_bucket, vault_store)
    unpack_members = UnpackMembers(
        vault=vault,
        restored_files=S3RestoredFiles(
            aws.s3(),
            open_store(settings.restore_bucket),
            settings.restore_bucket,
            vault_bucket=settings.vault_bucket,
            part_size_bytes=settings.part_size_bytes,
            copy_part_bytes=settings.copy_part_bytes,
        ),
        originals=S3OriginalFiles(
            aws.s3(),
            vault_bucket=settings.vault_bucket,
            part_size_bytes=settings.part_size_bytes,
            copy_part_bytes=settings.copy_part_bytes,
        ),
        limits=ReadLimits(
            gap_bytes=settings.coalesce_gap_bytes,
            limit_bytes=settings.coalesce_limit_bytes,
            whole_share=settings.whole_share,
            whole_member_bytes=settings.whole_member_bytes,
        ),
        read_concurrency=settings.read_concurrency,
        write_concurrency=settings.write_concurrency,
        open_concurrency=settings.open_concurrency,
    )
    unpack_archive = UnpackArchive(
        vault_bucket=settings.vault_bucket,
        ledger=RestoreLedger(documents, restored_days=settings.restore_expiry_days, kept_days=settings.kept_days),
        catalogs=catalogs,
        rebuild_catalog=RebuildCatalog(vault, catalogs, settings.coalesce_limit_bytes),
        documents=documents,
        unpack=unpack_members,
        thaw_queue=SqsCommandQueue(aws.sqs(), settings.thaw_queue_url),
        bus=EventBridgeBus(aws.events(), settings.event_bus_name),
    )
    return Worker(
        inbox=SqsInbox(aws.sqs(), settings.unpack_queue_url, settings.visibility_seconds),
        dead_letters=SqsDeadLetters(aws.sqs(), settings.unpack_dead_letters_url),
        use_cases={ObjectRestoreCompleted: unpack_archive, ArchiveReadable: unpack_archive},
        idle_seconds=settings.idle_seconds,
    )
