"""The packer's ports twice: in memory, and on AWS as moto plays it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from moto import mock_aws

from fakes.aws import client, make_tables
from fakes.holds import FakeHolds
from fakes.packer_world import (
    JOB,
    LEASE,
    FakeArchives,
    FakeArchivesToIndex,
    FakeCatalogs,
    FakeEarlier,
    FakeHeldArchives,
    FakeJobs,
    FakePlans,
    FakeVault,
    World,
)
from glaciate import tables
from glaciate.holds import DynamoHolds
from glaciate.jobs import JobOrder
from glaciate.messages import ArchiveCommand
from glaciate.names import ArchiveId
from packer.adapters.earlier import IndexedArchives
from packer.adapters.held import PynamoHeldArchives
from packer.adapters.indexed import PynamoArchivesToIndex
from packer.adapters.objects import S3Catalogs, S3Plans
from packer.adapters.rows import PynamoArchives, PynamoJobs
from packer.adapters.vault import S3Vault
from packer.domain.archives import Archive
from packer.ports import Archives, ArchivesToIndex, Catalogs, Earlier, HeldArchives, Jobs, Plans, Vault

Asked = TypeVar("Asked", bound=ArchiveCommand)


@dataclass
class Clock:
    now: datetime = datetime(2026, 7, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Ground:
    """One implementation of the ports, and how to move its time."""

    jobs: Jobs
    archives: Archives
    plans: Plans
    catalogs: Catalogs
    vault: Vault
    earlier: Earlier
    holds: FakeHolds | DynamoHolds
    held: HeldArchives
    to_index: ArchivesToIndex
    world: World | None = None
    clock: Clock | None = None

    def pass_time(self, **how_long: float) -> None:
        if self.world is not None:
            self.world.now += timedelta(**how_long)
        if self.clock is not None:
            self.clock.now += timedelta(**how_long)

    def counts(self) -> dict[str, int]:
        names = ("planned", "archived", "skipped", "failed", "archives", "archives_failed", "bytes_in", "bytes_out")
        row: Any = (
            self.world.record
            if self.world is not None
            else tables.JobRow.get(JOB, tables.JOB_ITEM, consistent_read=True)
        )
        return {name: int(getattr(row, name)) for name in names}


def about(contract: type[Asked], archive: Archive, *, number: ArchiveId | None = None) -> Asked:
    """A command about this archive, or about one of another number."""
    return contract(
        correlation_id="c-1",
        job_id=JOB,
        archive_id=number or archive.archive_id,
        project=archive.project,
        bucket=archive.bucket,
        first_key=archive.first_key,
    )


def order() -> JobOrder:
    world = World()
    world.accept(prefix="in/")
    return world.record.job.order


@pytest.fixture(params=["fake", "aws"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    if request.param == "fake":
        world = World()
        world.accept(prefix="in/")
        yield Ground(
            FakeJobs(world),
            FakeArchives(world),
            FakePlans(world),
            FakeCatalogs(world),
            FakeVault(world),
            FakeEarlier(world),
            world.holds,
            FakeHeldArchives(world),
            FakeArchivesToIndex(world),
            world=world,
        )
        return
    with mock_aws():
        tables.bind(files="files", archives="archives", jobs="jobs")
        make_tables(tables.JobRow, tables.ArchiveRow)
        s3 = client("s3")
        for bucket in ("vault", "work", "source"):
            s3.create_bucket(Bucket=bucket)
        clock = Clock()
        tables.JobRow(
            JOB,
            tables.JOB_ITEM,
            state="ACCEPTED",
            project="demo",
            bucket="source",
            prefix="in/",
            request=order().model_dump(mode="json"),
            correlation_id="c-1",
            topic_arn="arn",
            accepted_at=clock.now,
        ).save()
        yield Ground(
            PynamoJobs("vault", now=clock),
            PynamoArchives(lease_seconds=LEASE.total_seconds(), now=clock),
            S3Plans(s3, "work"),
            S3Catalogs(s3, "vault"),
            S3Vault(s3, "vault", part_size_bytes=5 * 1024**2, parts_in_flight=2),
            IndexedArchives(s3, "vault"),
            DynamoHolds(),
            PynamoHeldArchives(clock),
            PynamoArchivesToIndex(),
            clock=clock,
        )
