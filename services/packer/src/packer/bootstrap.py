"""Builds the packer: the launcher for Lambda, the worker for Batch."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from glaciate import aws, tables
from glaciate.launcher import BatchFleet, KeepWorkersRunning, SqsBacklog
from packer.settings import LauncherSettings, WorkerSettings

if TYPE_CHECKING:
    from obstore.store import S3Store

    from glaciate.worker_loop import Worker
    from packer.adapters.index import SignedBatchWriter


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
    """What drains the pack queue. Imported here: the launcher's bundle has neither obstore nor codecs."""
    from glaciate.holds import DynamoHolds
    from glaciate.messages import DeleteArchivedSources, DeleteHeldSources, PackArchive, PlanArchives
    from glaciate.outbox import EventBridgeBus, SqsCommandQueue, SqsDeadLetters
    from glaciate.worker_loop import SqsInbox, Worker
    from packer.adapters.earlier import IndexedArchives
    from packer.adapters.held import PynamoHeldArchives
    from packer.adapters.index import DynamoFileIndex
    from packer.adapters.listing import S3Listing
    from packer.adapters.objects import S3Catalogs, S3Manifests, S3Notes, S3Plans
    from packer.adapters.rows import PynamoArchives, PynamoJobs, utc_now
    from packer.adapters.sources import ObstoreSources
    from packer.adapters.vault import S3Vault
    from packer.application import (
        AskForDeletion,
        CloseJob,
        DeleteHeld,
        DeleteSources,
        EndHold,
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
    sources = ObstoreSources(
        s3,
        store_of=stores(settings.aws_endpoint_url),
        concurrency=settings.fetch_concurrency,
        window_bytes=settings.fetch_window_bytes,
    )
    catalogs = S3Catalogs(s3, settings.vault_bucket)
    delete = DeleteSources(sources, catalogs, plans)
    pack = Pack(
        jobs=jobs,
        archives=PynamoArchives(lease_seconds=settings.lease_seconds),
        plans=plans,
        sources=sources,
        vault=vault,
        catalogs=catalogs,
        index=DynamoFileIndex(batch_writer(), settings.files_table),
        delete=delete,
        bus=bus,
        close=close,
        now=utc_now,
    )
    end = EndHold(holds, bus, utc_now)
    held = PynamoHeldArchives()
    return Worker(
        inbox=SqsInbox(aws.sqs(), settings.pack_queue_url, settings.visibility_seconds),
        dead_letters=SqsDeadLetters(aws.sqs(), settings.pack_dead_letters_url),
        use_cases={
            PlanArchives: plan,
            PackArchive: pack,
            DeleteHeldSources: AskForDeletion(jobs, holds, held, queue, end),
            DeleteArchivedSources: DeleteHeld(jobs, holds, held, vault, delete, end),
        },
        idle_seconds=settings.idle_seconds,
    )


def batch_writer() -> "SignedBatchWriter":
    """DynamoDB's BatchWriteItem, at the endpoint and with the certificates that boto3 would use."""
    import botocore.session
    from botocore.httpsession import where

    from packer.adapters.index import Connections, SignedBatchWriter

    session = botocore.session.get_session()
    credentials = session.get_credentials()
    if credentials is None:
        msg = "there are no AWS credentials"
        raise RuntimeError(msg)
    meta = aws.dynamodb().meta
    connections = Connections(meta.endpoint_url, ca_bundle=session.get_config_variable("ca_bundle") or where())
    return SignedBatchWriter(meta.endpoint_url, meta.region_name, credentials, connections)


def stores(endpoint_url: str | None) -> Callable[[str], "S3Store"]:
    """obstore's view of a bucket, with boto3's credentials: explicitly, for by itself it would ask the metadata address."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    session = boto3.Session()

    @cache
    def store_of(bucket: str) -> S3Store:
        return S3Store(
            bucket,
            region=session.region_name,
            credential_provider=Boto3CredentialProvider(session),
            endpoint=endpoint_url,
            virtual_hosted_style_request=endpoint_url is None,
            client_options={
                "allow_http": endpoint_url is not None,
                "timeout": timedelta(seconds=120),
                "connect_timeout": timedelta(seconds=5),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )

    return store_of
