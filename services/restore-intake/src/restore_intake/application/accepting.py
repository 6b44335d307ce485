"""Accepting a restore: check, find, quote, record, and let the thaw queue do the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from glaciate.answers import Estimate, RestoreAnswer
from glaciate.api import require_deployment
from glaciate.costs import ArchiveToRead, RestoreEstimate, restore_estimate, tiers_of
from glaciate.errors import Transient, conflict, not_found, unprocessable
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, ProjectName, RequestId, job_of, new_request_id
from glaciate.outbox import CommandQueue
from glaciate.part_documents import PartDocuments
from glaciate.requests import RestoreRequest, StorageClass
from glaciate.restores import RequestState
from glaciate.telemetry import count, logger
from restore_intake.application.finding import FindWanted, Found
from restore_intake.domain.finding import ArchiveRange, collisions, wanted_by_archive
from restore_intake.domain.ordering import PlannedPart, Request, RestoreOrder, order
from restore_intake.domain.thawing import ArchiveHead, available_tier, known_class, ready_by, thaw_days
from restore_intake.ports import Clock, Deletions, Projects, Requests, Thaws, Vault

MOST_ARCHIVES_READ: Final = 20  # of a prefix, while the caller waits
MOST_MEMBERS_READ: Final = 100_000
MOST_PARTS_RECORDED: Final = 40  # in one transaction, with the request
Promised = frozenset[tuple[str | None, str]]  # the places of `WantedFile.place`


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order finds and costs. `found` is None where a prefix is so large that the thaw queue resolves it: that is `at_most`."""

    order: RestoreOrder
    topic_arn: str
    found: Found | None
    estimate: RestoreEstimate
    missing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The estimate as callers see it."""
        return {
            **asdict(self.estimate),
            "tier": self.order.tier.value,
            "thaw_days": thaw_days(self.order.days),
            "at_most": self.found is None,
        }


@dataclass(frozen=True, slots=True)
class QuoteRestore:
    """Checks a request, finds its files, and says what they cost; records nothing."""

    projects: Projects
    find: FindWanted
    vault: Vault
    thaws: Thaws
    deletions: Deletions
    now: Clock
    region: str
    account_id: str
    stack_topic: str
    restored_days: int | None

    def __call__(self, body: RestoreRequest, *, request_id: RequestId) -> Quote:
        """The quote.

        Raises:
            Problem: 422 another deployment, or a tier that the archives' class has not; 404 unknown project or files;
                403 a topic or bucket that the project may not use or restore to; 409 an ambiguous name, files that would land
                on one another, files that their job would delete again, or a cost above `max_cost_usd`.
        """
        require_deployment(body, region=self.region, account=self.account_id)
        project = self.projects.load().require(body.project_name)
        topic = project.topic(body.sns_topic_arn, stack_topic=self.stack_topic)
        _refuse_contradictions(body)
        if body.bucket_name is not None:
            project.require_bucket(body.bucket_name)
        buckets = (body.bucket_name,) if body.bucket_name is not None else tuple(sorted(project.source_buckets))
        wanted = order(body, request_id=request_id, project=ProjectName(project.name), buckets=buckets, now=self.now())
        if wanted.to_original:
            project.require_original(buckets if set(buckets).isdisjoint(project.original_buckets) else ())
        quote = self._by_names(wanted, topic) if wanted.names else self._in_archives(wanted, topic)
        if wanted.to_original:
            project.require_original(quote.order.buckets)
        _refuse_high_cost(quote)
        return quote

    def dry_run(self, body: RestoreRequest) -> dict[str, Any]:
        """What the request would cost, and what it would not find.

        Raises:
            Problem: as the call itself.
        """
        quote = self(body, request_id=new_request_id(self.now()))
        return {
            "dry_run": True,
            "estimate": quote.as_json(),
            "expected_by": self.now() + timedelta(hours=quote.estimate.hours),
            "counts": {
                "files": len(quote.found.versions) if quote.found else None,
                "missing": len(quote.missing),
            },
            "missing": list(quote.missing),
        }

    def _by_names(self, wanted: RestoreOrder, topic: str) -> Quote:
        found = self.find.by_names(wanted)
        if found.missing and not wanted.allow_missing:
            message = f"no archive holds {', '.join(found.missing)}"
            raise not_found("FilesNotFound", message, {"missing": list(found.missing)})
        return self._quote(wanted, topic, found)

    def _in_archives(self, wanted: RestoreOrder, topic: str) -> Quote:
        ranges = [archive for bucket in wanted.buckets for archive in self.find.ranges(wanted, bucket)]
        if len(ranges) > MOST_ARCHIVES_READ or sum(archive.members for archive in ranges) > MOST_MEMBERS_READ:
            return self._quote_unread(wanted, topic, ranges)
        found = self.find.in_archives(wanted, ranges)
        if found.lost:
            _refuse_lost_catalogs(found.lost)
        if not found.versions:
            if not wanted.allow_missing:
                message = f"no archive holds {wanted.wanted}"
                raise not_found("FilesNotFound", message, {"missing": [wanted.wanted]})
            found = replace(found, missing=(wanted.wanted,))
        return self._quote(wanted, topic, found)

    def _quote(self, wanted: RestoreOrder, topic: str, found: Found) -> Quote:
        if same := collisions(found.versions, wanted.place):
            message = (
                f"{len(same)} files would land on one another in the restore bucket: give bucket_name to say which"
            )
            raise conflict("SameDestination", message, {"collisions": [asdict(entry) for entry in same[:20]]})
        heads = self._heads(found)
        archives = self._archives(wanted, found, heads)
        _refuse_unknown_tier(wanted, {archive.storage_class for archive in archives})
        if wanted.to_original:
            wanted = wanted.model_copy(update={"buckets": tuple(sorted({file.bucket for file in found.versions}))})
            self._refuse_deleted_again(file.archive_id for file in found.versions)
        estimate = replace(self._estimate(wanted, archives), hours=self._hours(wanted, heads))
        return Quote(wanted, topic, found, estimate, found.missing)

    def _estimate(self, wanted: RestoreOrder, archives: tuple[ArchiveToRead, ...]) -> RestoreEstimate:
        days = thaw_days(wanted.days)
        return restore_estimate(archives, tier=wanted.tier, days=days, file_days=wanted.file_days(self.restored_days))

    def _quote_unread(self, wanted: RestoreOrder, topic: str, ranges: list[ArchiveRange]) -> Quote:
        """The most that a large prefix can cost: every archive that may hold files of it, and all they hold."""
        buckets = sorted({archive.bucket for archive in ranges})
        if len(buckets) > 1:
            message = f"archives from {', '.join(buckets)} hold files under this prefix: give bucket_name to say which"
            raise conflict("SeveralBuckets", message, {"buckets": buckets})
        archives = tuple(
            ArchiveToRead(
                storage_class=known_class(archive.storage_class) or StorageClass.STANDARD,
                size_bytes=archive.size_bytes,
                wanted_files=archive.members,
                wanted_bytes=archive.bytes_in,
            )
            for archive in ranges
        )
        _refuse_unknown_tier(wanted, {archive.storage_class for archive in archives})
        if wanted.to_original:
            wanted = wanted.model_copy(update={"buckets": tuple(buckets)})
            self._refuse_deleted_again(archive.archive_id for archive in ranges)
        return Quote(wanted, topic, None, self._estimate(wanted, archives))

    def _refuse_deleted_again(self, archives: Iterable[ArchiveId]) -> None:
        """Their job deletes sources that are what it archived, and that is what comes back."""
        jobs = sorted({job_of(archive_id) for archive_id in archives})
        ahead = [deletion for job_id in jobs if (deletion := self.deletions.ahead(job_id)) is not None]
        if ahead:
            jobs_and_days = "; ".join(
                f"job {deletion.job_id} {f'on {deletion.due_at:%Y-%m-%d}' if deletion.due_at else 'as it goes on'}"
                for deletion in ahead[:20]
            )
            way_out = "keep them first (POST /archive/{job_id}/keep), or wait for the end"
            message = f"files that go back would be deleted again, by {jobs_and_days}: {way_out}"
            details = [
                {"job_id": deletion.job_id, "due_at": deletion.due_at.isoformat() if deletion.due_at else None}
                for deletion in ahead[:20]
            ]
            raise conflict("DeletedAgain", message, {"deletions": details})

    def _heads(self, found: Found) -> dict[ArchiveId, ArchiveHead]:
        """What S3 says of the archives concerned, but for those that are gone."""
        places = {
            version.archive_id: (
                found.headers[version.archive_id].vault_bucket,
                found.headers[version.archive_id].vault_key,
            )
            for version in found.versions
        }
        heads = self.vault.heads(places.values())
        return {archive_id: head for archive_id, place in places.items() if (head := heads[place]) is not None}

    def _hours(self, wanted: RestoreOrder, heads: Mapping[ArchiveId, ArchiveHead]) -> float:
        """Until the last of the archives can be read; one that thaws already is ready when that thaw is."""
        now = self.now()
        ready = [
            ready_by(
                head,
                now=now,
                tier=available_tier(head, wanted.tier),
                days=wanted.days,
                last=self.thaws.last_thaw(archive_id) if head.ongoing else None,
            )
            for archive_id, head in heads.items()
        ]
        return (max(ready, default=now) - now) / timedelta(hours=1)

    def _archives(
        self, wanted: RestoreOrder, found: Found, heads: Mapping[ArchiveId, ArchiveHead]
    ) -> tuple[ArchiveToRead, ...]:
        now = self.now()
        return tuple(
            _to_read(heads[archive_id], len(files), sum(file.size for file in files), now=now)
            for archive_id, files in wanted_by_archive(found.versions, wanted.want).items()
            if archive_id in heads
        )


def _to_read(head: ArchiveHead, files: int, size: int, *, now: datetime) -> ArchiveToRead:
    readable = head.expires_at - now if head.expires_at is not None and head.expires_at > now else None
    return ArchiveToRead(
        storage_class=known_class(head.storage_class) or StorageClass.STANDARD,
        size_bytes=head.size_bytes,
        wanted_files=files,
        wanted_bytes=size,
        readable_days=readable / timedelta(days=1) if readable is not None else None,
    )


def _refuse_lost_catalogs(lost: tuple[ArchiveRange, ...]) -> NoReturn:
    names = ", ".join(f"{archive.archive_id} ({archive.first_key} to {archive.last_key})" for archive in lost)
    message = (
        f"the catalogs of these archives are lost: {names}; restore one file of each by its key, which rebuilds it"
    )
    details = [{"archive_id": one.archive_id, "first_key": one.first_key, "last_key": one.last_key} for one in lost]
    raise conflict("CatalogLost", message, {"archives": details})


def _refuse_contradictions(body: RestoreRequest) -> None:
    if body.overwrite and body.to != "original":
        message = "overwrite goes with to: original; in the restore bucket nothing is ever written over"
        raise unprocessable("OverwriteWithoutOriginal", message)
    if body.to == "original" and body.destination_prefix:
        message = "to: original puts each file back under its own key: leave destination_prefix out"
        raise unprocessable("OriginalHasNoPrefix", message)
    if body.to == "original" and body.versions == "all":
        message = "to: original restores one version of each file: leave versions out, or pick one by as_of"
        raise unprocessable("OriginalIsOneVersion", message)


def _refuse_unknown_tier(wanted: RestoreOrder, classes: set[StorageClass]) -> None:
    without = {
        storage_class.value: dict(tiers_of(storage_class))
        for storage_class in sorted(classes)
        if storage_class.needs_thaw and wanted.tier not in tiers_of(storage_class)
    }
    if without:
        ways = "; ".join(
            f"{name} has {', '.join(f'{tier} (within {hours:g} h)' for tier, hours in tiers.items())}"
            for name, tiers in without.items()
        )
        message = f"these files cannot be thawed by {wanted.tier}: {ways}"
        raise unprocessable("TierNotAvailable", message, {"hours_by_tier": without})


def _refuse_high_cost(quote: Quote) -> None:
    limit = quote.order.max_cost_usd
    if limit is not None and quote.estimate.total_usd > limit:
        at_most = "up to " if quote.found is None else ""
        message = f"it would cost {at_most}${quote.estimate.total_usd:.6f}, above max_cost_usd {limit:g}"
        raise conflict("CostAboveLimit", message, {"estimate": quote.as_json()})


@dataclass(frozen=True, slots=True)
class AcceptRestore:
    """Records what was quoted and sends it on its way. What a crash leaves undone, the thaw queue or the sweeper does:
    the request waits to be looked at from the moment it is recorded."""

    quote: QuoteRestore
    requests: Requests
    documents: PartDocuments
    queue: CommandQueue
    now: Clock
    restore_bucket: str
    look_after: timedelta

    def __call__(self, body: RestoreRequest, *, correlation_id: str, stage_url: str) -> dict[str, Any]:
        """The answer to the caller.

        Raises:
            Problem: see `QuoteRestore`.
        """
        request_id = new_request_id(self.now())
        quote = self.quote(body, request_id=request_id)
        parts = self._planned(quote)
        request = self._request(quote, request_id, correlation_id, f"{stage_url}/restore/{request_id}", parts)
        for part in parts or ():
            self.documents.put_wanted(request_id, part.archive_id, part.files)
        if not self.requests.accept(request, parts, look_at=self.now() + self.look_after):
            msg = f"the id {request_id} is taken"
            raise conflict("InProgress", f"{msg}; send the same call again")
        self._send(ThawFiles(correlation_id=correlation_id, request_id=request_id))
        logger().info("restore accepted", extra={"request_id": request_id, "archives": quote.estimate.archives})
        count("RestoreAccepted")
        return RestoreAnswer(
            request_id=request_id,
            status_url=request.status_url or "",
            estimate=Estimate(**quote.as_json()),
            expected_by=request.expected_by,
        ).model_dump(mode="json")

    def _send(self, command: ThawFiles) -> None:
        """What is not sent now, the sweeper sends: the request is recorded, so the caller need not ask again."""
        try:
            self.queue.send(command)
        except Transient as failure:
            logger().warning("left to the sweeper", extra={"request_id": command.request_id, "reason": str(failure)})

    def _planned(self, quote: Quote) -> tuple[PlannedPart, ...] | None:
        """The parts, where they are few enough to be recorded with the request."""
        if quote.found is None:
            return None
        parts = planned_parts(quote.order, quote.found)
        return parts if len(parts) <= MOST_PARTS_RECORDED else None

    def _request(
        self,
        quote: Quote,
        request_id: RequestId,
        correlation_id: str,
        status_url: str,
        parts: tuple[PlannedPart, ...] | None,
    ) -> Request:
        now = self.now()
        return Request(
            request_id=request_id,
            state=RequestState.ACCEPTED,
            order=quote.order,
            correlation_id=correlation_id,
            topic_arn=quote.topic_arn,
            status_url=status_url,
            location=quote.order.location(self.restore_bucket),
            accepted_at=now,
            expected_by=now + timedelta(hours=quote.estimate.hours),
            resolved=parts is not None,
            parts=len(parts or ()),
            files=len(quote.found.versions) if quote.found else 0,
            missing=quote.missing,
            estimate=quote.as_json(),
        )


def planned_parts(wanted: RestoreOrder, found: Found, *, without: Promised = frozenset()) -> tuple[PlannedPart, ...]:
    """One part for each archive that holds something wanted; `without` are the places already promised."""
    parts: list[PlannedPart] = []
    for archive_id, files in wanted_by_archive(found.versions, wanted.want).items():
        left = tuple(file for file in files if file.place not in without)
        if left:
            header = found.headers[archive_id]
            parts.append(
                PlannedPart(ArchiveId(archive_id), header.vault_bucket, header.vault_key, header.storage_class, left)
            )
    return tuple(parts)
