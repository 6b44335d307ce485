"""Builds the use cases, once, on first use."""

from datetime import UTC, datetime, timedelta
from functools import cache

from glaciate import aws, tables
from glaciate.holds import DynamoHolds
from glaciate.outbox import EventBridgeBus, SqsCommandQueue, SqsDeadLetters
from glaciate.part_documents import S3PartDocuments
from glaciate.projects import SsmProjects
from glaciate.restore_ledger import RestoreLedger
from restore_intake.adapters.index import DynamoIndex, S3Catalogs
from restore_intake.adapters.jobs import DynamoDeletions
from restore_intake.adapters.requests import DynamoRequests
from restore_intake.adapters.vault import S3Vault
from restore_intake.application.accepting import AcceptRestore, QuoteRestore
from restore_intake.application.asking import AskS3
from restore_intake.application.closing import CloseRequest, EndCancelled
from restore_intake.application.describing import CancelRestore, DescribeRestore, ListRestores
from restore_intake.application.finding import FindWanted
from restore_intake.application.listing import ListFiles
from restore_intake.application.reminding import RemindOfExpiry
from restore_intake.application.resolving import ResolveRequest
from restore_intake.application.sweeping import Sweep
from restore_intake.application.thawing import ThawFilesOfRequest, ThawPart
from restore_intake.settings import ApiSettings, ThawSettings


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


@cache
def api_settings() -> ApiSettings:
    """What the API's environment says."""
    return ApiSettings()


@cache
def thaw_settings() -> ThawSettings:
    """What the environment of the thaw consumer and the sweeper says."""
    return ThawSettings()


def _bind(here: ApiSettings | ThawSettings) -> None:
    tables.bind(files=here.files_table, archives=here.archives_table, jobs=here.jobs_table)


def _look_after(here: ApiSettings | ThawSettings) -> timedelta:
    return timedelta(seconds=here.sweep_after_seconds)


def _documents(here: ApiSettings | ThawSettings) -> S3PartDocuments:
    return S3PartDocuments(aws.s3(), here.work_bucket)


def _ledger(here: ApiSettings | ThawSettings) -> RestoreLedger:
    _bind(here)
    return RestoreLedger(_documents(here), here.restored_days, here.kept_days)


def _requests(here: ApiSettings | ThawSettings) -> DynamoRequests:
    return DynamoRequests(_ledger(here))


def _find(here: ApiSettings | ThawSettings) -> FindWanted:
    _bind(here)
    catalogs = S3Catalogs(aws.s3(), here.vault_bucket)
    return FindWanted(DynamoIndex(catalogs), catalogs)


def _queue(here: ApiSettings | ThawSettings) -> SqsCommandQueue:
    return SqsCommandQueue(aws.sqs(), here.thaw_queue_url)


def _bus(here: ApiSettings | ThawSettings) -> EventBridgeBus:
    return EventBridgeBus(aws.events(), here.event_bus_name)


def _close(here: ApiSettings | ThawSettings) -> CloseRequest:
    return CloseRequest(_ledger(here), _bus(here))


def _end_cancelled(here: ApiSettings | ThawSettings) -> EndCancelled:
    return EndCancelled(_requests(here), _ledger(here), _close(here))


@cache
def _projects() -> SsmProjects:
    return SsmProjects(api_settings().projects_parameter)


@cache
def quote_restore() -> QuoteRestore:
    """Answers `POST /restore` with `dry_run`."""
    here = api_settings()
    return QuoteRestore(
        _projects(),
        _find(here),
        S3Vault(aws.s3()),
        _requests(here),
        DynamoDeletions(DynamoHolds()),
        utc_now,
        here.aws_region,
        here.account_id,
        here.topic_arn,
        here.restored_days,
    )


@cache
def accept_restore() -> AcceptRestore:
    """Answers `POST /restore`."""
    here = api_settings()
    return AcceptRestore(
        quote_restore(),
        _requests(here),
        _documents(here),
        _queue(here),
        utc_now,
        here.restore_bucket,
        _look_after(here),
    )


@cache
def describe_restore() -> DescribeRestore:
    """Answers `GET /restore/{request_id}`."""
    here = api_settings()
    return DescribeRestore(_requests(here), _documents(here), here.restore_bucket, here.restored_days)


@cache
def list_restores() -> ListRestores:
    """Answers `GET /restore`."""
    return ListRestores(_projects(), _requests(api_settings()))


@cache
def cancel_restore() -> CancelRestore:
    """Answers `POST /restore/{request_id}/cancel`."""
    here = api_settings()
    return CancelRestore(_requests(here), _end_cancelled(here), _queue(here))


@cache
def list_files() -> ListFiles:
    """Answers `GET /files`."""
    here = api_settings()
    find = _find(here)
    return ListFiles(_projects(), find.index, find.catalogs, S3Vault(aws.s3()), utc_now)


@cache
def _thaw_part() -> ThawPart:
    here = thaw_settings()
    vault = S3Vault(aws.s3())
    return ThawPart(
        _requests(here),
        _ledger(here),
        vault,
        AskS3(_requests(here), vault, utc_now),
        _bus(here),
        _close(here),
        utc_now,
        _look_after(here),
        timedelta(minutes=here.sweep_minutes),
    )


@cache
def thaw_files() -> ThawFilesOfRequest:
    """Handles `ThawFiles`."""
    here = thaw_settings()
    resolve = ResolveRequest(_find(here), _requests(here), _documents(here), utc_now, _look_after(here))
    return ThawFilesOfRequest(
        _requests(here), resolve, _thaw_part(), _end_cancelled(here), _close(here), _queue(here), _bus(here)
    )


@cache
def sweep() -> Sweep:
    """Looks at what has waited too long."""
    here = thaw_settings()
    return Sweep(
        _requests(here),
        _ledger(here),
        _thaw_part(),
        _end_cancelled(here),
        _close(here),
        RemindOfExpiry(_requests(here), _bus(here), utc_now),
        _queue(here),
        utc_now,
        _look_after(here),
    )


@cache
def dead_letters() -> SqsDeadLetters:
    """Where messages go that nobody understands."""
    return SqsDeadLetters(aws.sqs(), thaw_settings().thaw_dead_letters_url)
