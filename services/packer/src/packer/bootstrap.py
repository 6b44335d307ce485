"""Builds the packer: the launcher for Lambda, the worker for Batch."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from glaciate import aws, tables
from glaciate.launcher import BatchFleet, KeepWorkersRunning, SqsBacklog
from packer.settings import LauncherSettings, WorkerSettings

if TYPE_CHECKING:
    from glaciate.worker_loop import Worker
    from packer.adapters.aws_requests import AwsRequests
    from packer.adapters.index import DynamoFileIndex
    from packer.adapters.sources import CurlSources

_INDEX_REQUESTS: Final = 32  # at once
_INDEX_WINDOW_BYTES: Final = 1024**2


@cache
def launcher() -> KeepWorkersRunning:
    """What keeps enough workers running."""
    settings = LauncherSettings()
    return KeepWorkersRunning(
        backlog=SqsBacklog(aws.sqs(), settings.pack_queue_url),
        fleet=BatchFleet(
            aws.batch(),
            job_queue=settings.batch_job_queue,
            job_definition=settings.batch_job_definition,
            job_name="packer",
        ),
        messages_per_worker=settings.messages_per_worker,
        max_workers=settings.max_workers,
    )


@cache
def worker() -> "Worker":
    """What drains the pack queue. Imported here: the launcher's bundle has neither libcurl nor codecs."""
    from glaciate.holds import DynamoHolds
    from glaciate.messages import (
        DeleteArchivedSources,
        DeleteHeldSources,
        IndexArchive,
        PackArchive,
        PlanArchives,
        RebuildIndex,
    )
    from glaciate.outbox import EventBridgeBus, SqsCommandQueue, SqsDeadLetters
    from glaciate.worker_loop import SqsInbox, Worker
    from packer.adapters.earlier import IndexedArchives
    from packer.adapters.held import PynamoHeldArchives
    from packer.adapters.indexed import PynamoArchivesToIndex
    from packer.adapters.listing import S3Listing
    from packer.adapters.objects import S3Catalogs, S3Manifests, S3Notes, S3Plans
    from packer.adapters.rows import PynamoArchives, PynamoJobs, utc_now
    from packer.adapters.vault import S3Vault
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

    settings = WorkerSettings()
    tables.bind(files=settings.files_table, archives=settings.archives_table, jobs=settings.jobs_table)
    s3 = aws.s3()
    jobs = PynamoJobs(vault_bucket=settings.vault_bucket, day=timedelta(seconds=settings.day_seconds))
    plans = S3Plans(s3, settings.work_bucket)
    bus = EventBridgeBus(aws.events(), settings.event_bus_name)
    holds = DynamoHolds()
    close = CloseJob(jobs, holds, bus)
    queue = SqsCommandQueue(aws.sqs(), settings.pack_queue_url)
    vault = S3Vault(
        s3,
        settings.vault_bucket,
        part_size_bytes=settings.part_size_bytes,
        parts_in_flight=settings.parts_in_flight,
    )
    plan = Plan(
        jobs=jobs,
        listing=S3Listing(s3),
        earlier=IndexedArchives(s3, settings.vault_bucket),
        vault=vault,
        sort=SortManifest(S3Manifests(s3), S3Notes(s3, settings.work_bucket)),
        holds=holds,
        plans=plans,
        queue=queue,
        close=close,
        memory_mib=settings.memory_mib // settings.processes,
    )
    catalogs = S3Catalogs(s3, settings.vault_bucket)
    source_files = sources(
        settings.aws_endpoint_url, most=settings.fetch_concurrency, window_bytes=settings.fetch_window_bytes
    )
    delete = DeleteSources(source_files, catalogs, plans)
    file_index = index(settings.files_table)
    pack = Pack(
        jobs=jobs,
        archives=PynamoArchives(lease_seconds=settings.lease_seconds),
        plans=plans,
        sources=source_files,
        vault=vault,
        catalogs=catalogs,
        index=file_index,
        delete=delete,
        bus=bus,
        close=close,
        now=utc_now,
    )
    end = EndHold(holds, bus, utc_now)
    held = PynamoHeldArchives()
    to_index = PynamoArchivesToIndex()
    return Worker(
        inbox=SqsInbox(aws.sqs(), settings.pack_queue_url, settings.visibility_seconds),
        dead_letters=SqsDeadLetters(aws.sqs(), settings.pack_dead_letters_url),
        use_cases={
            PlanArchives: plan,
            PackArchive: pack,
            DeleteHeldSources: AskForDeletion(jobs, holds, held, queue, end),
            DeleteArchivedSources: DeleteHeld(jobs, holds, held, vault, delete, end),
            RebuildIndex: AskForIndexing(to_index, queue),
            IndexArchive: IndexAgain(to_index, catalogs, file_index),
        },
        idle_seconds=settings.idle_seconds,
    )


def index(files_table: str) -> "DynamoFileIndex":
    """The index, at the endpoint that boto3 would use."""
    from packer.adapters.index import BatchWriter, DynamoFileIndex
    from packer.adapters.transfers import Transfers

    meta = aws.dynamodb().meta
    posts = requests("dynamodb", meta.region_name)
    transfers = Transfers(posts.handle, most=_INDEX_REQUESTS, window_bytes=_INDEX_WINDOW_BYTES)
    return DynamoFileIndex(BatchWriter(meta.endpoint_url, posts), transfers, files_table)


def sources(endpoint_url: str | None, *, most: int, window_bytes: int) -> "CurlSources":
    """The source files, at the endpoint that boto3 would use, or that of a local cloud."""
    from packer.adapters.aws_requests import S3Urls
    from packer.adapters.sources import CurlSources
    from packer.adapters.transfers import Transfers

    s3 = aws.s3()
    gets = requests("s3", s3.meta.region_name)
    urls = S3Urls(endpoint_url or s3.meta.endpoint_url, by_path=endpoint_url is not None)
    return CurlSources(s3, gets, urls, Transfers(gets.handle, most=most, window_bytes=window_bytes))


def requests(service: str, region: str) -> "AwsRequests":
    """Requests with boto3's credentials and certificates."""
    import botocore.session
    from botocore.httpsession import where

    from packer.adapters.aws_requests import AwsRequests
    from packer.adapters.signing import Signer

    session = botocore.session.get_session()
    credentials = session.get_credentials()
    if credentials is None:
        msg = "there are no AWS credentials"
        raise RuntimeError(msg)
    return AwsRequests(Signer(service, region, credentials), session.get_config_variable("ca_bundle") or where())
