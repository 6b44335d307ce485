"""The DynamoDB tables as PynamoDB models. Only adapters use them; table names are bound when a service starts.

files     n = project#basename          d = bucket/head#sealed-at + archive id     one row a member, written once
archives  owner = project#bucket        range_id = first_key#archive_id            one row an archive: range, object, state, lease
jobs      id = job or request id        item = job | request | part#<archive>      counters and states, moved conditionally
          id = waiting#<archive id>     item = <request id>                        who waits for an archive
          id = waiting#<request id>     item = <request id>                        a request whose end is not announced
          id = <request id>             item = expiring                            its files will expire: people are to be told
          id = thaw#<archive id>        item = thaw                                the last thaw asked for
          id = running#project#bucket   item = # | <job id>                        a version, and the prefixes being archived
          id = job id                   item = hold                           its sources wait for their day, or are kept
          id = job or request id        item = told#<event>#<outcome>              people were told so
          id = unsent                   item = <job id>                            accepted, its first message not known to be sent
          id = fallback#project         item = <day>#<rule>                        what the fallback schedule decided
"""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.connection import Connection
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from glaciate.names import ArchiveId, ProjectName, RequestId, decode_number, encode_time

_ROW_BYTES: Final = 120  # of a file's row, on top of the file's key
_SORT_KEY_BYTES: Final = 1024
_STAMP_CHARACTERS: Final = 7 + 16
_DIGEST_CHARACTERS: Final = 32


class FileRow(Model):
    """Where one version of a file went. At most 120 bytes on top of the key's own length, by DynamoDB's size rules."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    n = UnicodeAttribute(hash_key=True)
    d = UnicodeAttribute(range_key=True)
    s = NumberAttribute()
    c = BooleanAttribute(null=True)  # the directory was too long for the sort key: cut, completed by a digest
    p = NumberAttribute(null=True)  # in which page of its archive's catalog to look for it: glaciate.catalog_index


def number_bytes(number: int) -> int:
    """How much of an item a whole number from 0 on takes, or less: about a byte for two digits, and one more."""
    return (len(str(number)) + 1) // 2 + 1


def file_numbers_room(project: str, bucket: str) -> int:
    """How many bytes the numbers in a file's row, and the name of the page's, may take: what its keys leave of the 120."""
    return _ROW_BYTES - len("nds") - len(project) - len(bucket) - len("#/#") - _STAMP_CHARACTERS


def split_key(key: str) -> tuple[str, str]:
    """A key's head (all up to and with its last slash) and its bare name; together they are the key again."""
    cut = key.rfind("/") + 1
    return key[:cut], key[cut:]


def file_hash_key(project: str, basename: str) -> str:
    """The partition of all files of one bare name."""
    return f"{project}#{basename}"


def file_range_prefix(bucket: str, head: str) -> tuple[str, bool]:
    """The sort key of a file without its stamp, and whether it had to be cut to DynamoDB's 1,024 bytes."""
    whole = f"{bucket}/{head}#"
    room = _SORT_KEY_BYTES - _STAMP_CHARACTERS
    encoded = whole.encode()
    if len(encoded) <= room:
        return whole, False
    digest = sha256(encoded).hexdigest()[:_DIGEST_CHARACTERS]
    start = encoded[: room - _DIGEST_CHARACTERS - 2].decode(errors="ignore")
    return f"{start}~{digest}#", True


def file_stamp(sealed_at: datetime, archive_id: ArchiveId) -> str:
    """The end of a file's sort key: when its archive was sealed, and which it is. Sorts by time."""
    return encode_time(sealed_at) + archive_id


def read_file_stamp(range_key: str) -> tuple[str, datetime, ArchiveId]:
    """A sort key's `bucket/head` (as far as it was stored), the moment of sealing, and the archive."""
    stamp = range_key[-_STAMP_CHARACTERS:]
    sealed_at = datetime.fromtimestamp(decode_number(stamp[:7]), UTC)
    return range_key[: -_STAMP_CHARACTERS - 1], sealed_at, ArchiveId(stamp[7:])


class ArchiveRow(Model):
    """One archive: PLANNED → PACKING (lease) → SEALED → INDEXED → DONE, or FAILED with a reason."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    owner = UnicodeAttribute(hash_key=True)
    range_id = UnicodeAttribute(range_key=True)
    archive_id = UnicodeAttribute()
    job_id = UnicodeAttribute()
    state = UnicodeAttribute()
    first_key = UnicodeAttribute()
    last_key = UnicodeAttribute()
    kind = UnicodeAttribute()  # zip | object
    planned_files = NumberAttribute()
    planned_bytes = NumberAttribute()
    plan_key = UnicodeAttribute(null=True)  # where its plan lies in the work bucket
    storage_class = UnicodeAttribute()
    vault_bucket = UnicodeAttribute()
    vault_key = UnicodeAttribute()
    members = NumberAttribute(null=True)
    bytes_in = NumberAttribute(null=True)
    size_bytes = NumberAttribute(null=True)
    checksum = UnicodeAttribute(null=True)  # CRC64NVME, base64, of the whole object
    sealed_at = UTCDateTimeAttribute(null=True)
    lease_owner = UnicodeAttribute(null=True)
    lease_until = UTCDateTimeAttribute(null=True)
    disposed_at = UTCDateTimeAttribute(null=True)  # its held sources are dealt with
    reason = UnicodeAttribute(null=True)


def archive_hash_key(project: str, bucket: str) -> str:
    """The partition of all archives of one source bucket."""
    return f"{project}#{bucket}"


def archive_range_key(first_key: str, archive_id: ArchiveId) -> str:
    """An archive's sort key: its first member's key, cut so that it fits (a cut key sorts before the whole one), and its id."""
    room = _SORT_KEY_BYTES - len(archive_id) - 1
    return f"{first_key.encode()[:room].decode(errors='ignore')}#{archive_id}"


class Listing(GlobalSecondaryIndex["JobRow"]):  # type: ignore[no-untyped-call]
    """Sparse: the jobs and requests of a project in order of acceptance, and the parts that wait, by when they are due."""

    class Meta:
        """Its keys are set only on rows that are to be listed."""

        index_name = "listing"
        projection = AllProjection()

    list_key = UnicodeAttribute(hash_key=True)
    list_order = UnicodeAttribute(range_key=True)


class _JobsTable(Model):
    id = UnicodeAttribute(hash_key=True)
    item = UnicodeAttribute(range_key=True)
    list_key = UnicodeAttribute(null=True)
    list_order = UnicodeAttribute(null=True)
    expires_at = TTLAttribute(null=True)


JOB_ITEM: Final = "job"
REQUEST_ITEM: Final = "request"
PART_PREFIX: Final = "part#"


class JobRow(_JobsTable):
    """An archive job: `ACCEPTED · PLANNING · PACKING · COMPLETED · PARTIAL · FAILED`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    listing = Listing()
    state = UnicodeAttribute()
    project = UnicodeAttribute()
    bucket = UnicodeAttribute()
    prefix = UnicodeAttribute()
    request = JSONAttribute()  # the accepted request with the project's defaults filled in: glaciate.jobs.JobOrder
    correlation_id = UnicodeAttribute()
    topic_arn = UnicodeAttribute()
    status_url = UnicodeAttribute(null=True)
    scheduled_for = UnicodeAttribute(null=True)  # the fallback period that started it
    accepted_at = UTCDateTimeAttribute()
    finished_at = UTCDateTimeAttribute(null=True)
    checkpoint_key = UnicodeAttribute(null=True)  # the last key the planner has put into a plan or skipped
    next_number = NumberAttribute(default=0)  # the next archive's number
    last_planned = JSONAttribute(
        null=True
    )  # [archive id, first key] of what was planned with the checkpoint: sent again by who resumes
    planning_finished = BooleanAttribute(default=False)
    listed = NumberAttribute(default=0)
    planned = NumberAttribute(default=0)
    archived = NumberAttribute(default=0)
    skipped = NumberAttribute(default=0)
    failed = NumberAttribute(default=0)
    archives = NumberAttribute(default=0)  # sealed, indexed and disposed
    archives_failed = NumberAttribute(default=0)
    bytes_in = NumberAttribute(default=0)
    bytes_out = NumberAttribute(default=0)
    already_archived = NumberAttribute(default=0)  # listed, but an earlier job's archive holds it as it is
    reason = UnicodeAttribute(null=True)
    announced = BooleanAttribute(default=False)  # its last event is on the bus


class HoldRow(_JobsTable):
    """A job's sources that are deleted some days after: `HELD · KEPT · DELETING · DELETED`. Listed under `held` by when to look at it."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    listing = Listing()
    state = UnicodeAttribute()
    due_at = UTCDateTimeAttribute(null=True)
    archives = NumberAttribute(null=True)
    deleted = NumberAttribute(null=True)
    left = NumberAttribute(null=True)
    announced = BooleanAttribute(null=True)
    decided_at = UTCDateTimeAttribute(null=True)
    ended_at = UTCDateTimeAttribute(null=True)


class RequestRow(_JobsTable):
    """A restore request: `ACCEPTED · THAWING · UNPACKING · COMPLETED · PARTIAL · FAILED · CANCELLED`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    listing = Listing()
    state = UnicodeAttribute()
    project = UnicodeAttribute()
    request = JSONAttribute()
    wanted = UnicodeAttribute()  # what was asked for, for people
    correlation_id = UnicodeAttribute()
    topic_arn = UnicodeAttribute()
    status_url = UnicodeAttribute(null=True)
    tier = UnicodeAttribute()
    days = NumberAttribute()
    destination_prefix = UnicodeAttribute()
    location = UnicodeAttribute(null=True)  # s3://<restore bucket>/<destination prefix>, or the original buckets
    to_original = BooleanAttribute(null=True)  # its files go back to where they came from, and stay
    accepted_at = UTCDateTimeAttribute()
    expected_by = UTCDateTimeAttribute(null=True)
    finished_at = UTCDateTimeAttribute(null=True)
    available_until = UTCDateTimeAttribute(null=True)  # when the first of its files expires
    resolved = BooleanAttribute(default=False)  # every part is recorded
    resolved_to = UnicodeAttribute(null=True)  # how far, while a large prefix is being resolved
    acceptance_told = BooleanAttribute(default=False)  # the event of its acceptance is on the bus
    parts = NumberAttribute(default=0)
    parts_ended = NumberAttribute(default=0)
    files = NumberAttribute(default=0)
    restored = NumberAttribute(default=0)
    failed = NumberAttribute(default=0)
    missing = JSONAttribute(null=True)  # names that no archive holds
    estimate = JSONAttribute(null=True)
    reason = UnicodeAttribute(null=True)
    announced = BooleanAttribute(default=False)


class PartRow(_JobsTable):
    """What one request wants of one archive: `PENDING · THAWING · UNPACKING · COMPLETED · PARTIAL · FAILED · CANCELLED`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    state = UnicodeAttribute()
    archive_id = UnicodeAttribute()
    project = UnicodeAttribute()
    vault_bucket = UnicodeAttribute()
    vault_key = UnicodeAttribute()
    storage_class = UnicodeAttribute()
    files = NumberAttribute()
    restored = NumberAttribute(default=0)
    failed = NumberAttribute(default=0)
    wanted_bytes = NumberAttribute(default=0)
    asked_at = UTCDateTimeAttribute(null=True)  # when S3 was last asked to thaw
    charges = UnicodeSetAttribute(null=True)  # what this part's asking of S3 cost: glaciate.costs.Charge as text
    asking = UnicodeAttribute(
        null=True
    )  # what it is about to ask S3, until the answer is kept: the intake's Asking as text
    expected_by = UTCDateTimeAttribute(null=True)
    readable_until = UTCDateTimeAttribute(null=True)
    available_until = UTCDateTimeAttribute(null=True)  # when the files expire that were written since it was last begun
    begun = BooleanAttribute(null=True)  # a worker may have written files of it
    reason = UnicodeAttribute(null=True)


class WaiterRow(_JobsTable):
    """A part that waits for its archive; there until it has ended and is settled. Listed under `waiting` by when to look at it."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    listing = Listing()
    project = UnicodeAttribute()


class ExpiringRow(_JobsTable):
    """Restored files that will expire. Listed under `expiring` by when to tell; there until that is told, or no use any more."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    listing = Listing()


class ThawRow(_JobsTable):
    """The last thaw of an archive that we asked S3 for: an upgrade may not change its days."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    tier = UnicodeAttribute()
    days = NumberAttribute()
    expected_by = UTCDateTimeAttribute()
    asked_by = UnicodeAttribute(null=True)  # the request for which it was asked


class RunningRow(_JobsTable):
    """A prefix that a job may still be archiving; taken away some time after the job has ended. Item `#` carries the version instead."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    prefix = UnicodeAttribute(null=True)
    fingerprint = UnicodeAttribute(null=True)  # of the call that started the job
    version = NumberAttribute(null=True)  # counts the jobs accepted, so that two calls cannot both see a prefix free


class UnsentRow(_JobsTable):
    """An accepted job whose first message is not known to be sent; written with the job, taken away after sending."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"


class FallbackRow(_JobsTable):
    """What the fallback schedule decided about one rule and one day: `STARTED · SKIPPED · FAILED`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    outcome = UnicodeAttribute()
    bucket = UnicodeAttribute()
    prefix = UnicodeAttribute()
    day = UnicodeAttribute()
    period_start = UTCDateTimeAttribute()
    decided_at = UTCDateTimeAttribute()
    job_id = UnicodeAttribute(null=True)
    reason = UnicodeAttribute(null=True)


class ToldRow(_JobsTable):
    """A fact about a job or request that people were told, or that somebody is telling; beside the row it is about."""

    class Meta:
        """Bound by `bind`."""

        table_name = "unbound"

    told_at = UTCDateTimeAttribute(null=True)
    telling_until = UTCDateTimeAttribute(null=True)


WAITING_LIST: Final = "waiting"
EXPIRING_LIST: Final = "expiring"
EXPIRING_ITEM: Final = "expiring"
HELD_LIST: Final = "held"
HOLD_ITEM: Final = "hold"
THAW_ITEM: Final = "thaw"
RUNNING_VERSION_ITEM: Final = "#"  # sorts before every job id: read first
UNSENT: Final = "unsent"


_IN_JOBS: Final[tuple[type[Model], ...]] = (
    JobRow,
    HoldRow,
    RequestRow,
    PartRow,
    WaiterRow,
    ExpiringRow,
    ThawRow,
    RunningRow,
    UnsentRow,
    FallbackRow,
    ToldRow,
)


def jobs_connection() -> Connection:
    """The models' own connection, for transactions: another one would load the API's description again."""
    return RequestRow._get_connection().connection  # noqa: SLF001 - PynamoDB offers no public way


def jobs_list_key(project: ProjectName) -> str:
    """Under what the jobs of a project are listed; in order of their ids, which is the order of acceptance."""
    return f"jobs#{project}"


def requests_list_key(project: ProjectName) -> str:
    """Under what the restore requests of a project are listed."""
    return f"requests#{project}"


def waiting_key(archive_id: ArchiveId) -> str:
    """Under what the requests that wait for an archive are found."""
    return f"waiting#{archive_id}"


def request_waiting_key(request_id: RequestId) -> str:
    """Where a request waits itself, until its end is announced."""
    return f"waiting#{request_id}"


def thaw_key(archive_id: ArchiveId) -> str:
    """Where the last thaw of an archive is kept."""
    return f"thaw#{archive_id}"


def running_key(project: ProjectName, bucket: str) -> str:
    """The partition of the prefixes of a bucket that are being archived."""
    return f"running#{project}#{bucket}"


def fallback_key(project: ProjectName) -> str:
    """The partition of the fallback's decisions about a project."""
    return f"fallback#{project}"


def part_item(archive_id: ArchiveId) -> str:
    """The sort key of a request's part."""
    return f"{PART_PREFIX}{archive_id}"


def due_order(due_at: datetime, archive_id: ArchiveId, request_id: RequestId) -> str:
    """Sorts the waiting parts by when the sweeper should look at them."""
    return f"{encode_time(due_at)}#{archive_id}#{request_id}"


def bind(*, files: str | None = None, archives: str | None = None, jobs: str | None = None) -> None:
    """Gives the models the deployment's table names; a service binds only what it uses.

    The models of one call share one connection: each of their own would load the API's description again.
    """
    shared: Connection | None = None
    for names, models in (
        (files, (FileRow,)),
        (archives, (ArchiveRow,)),
        (jobs, _IN_JOBS),
    ):
        if names is None:
            continue
        for model in models:
            model.Meta.table_name = names
            model._connection = None  # noqa: SLF001 - PynamoDB keeps the connection of the old name otherwise
            own = model._get_connection()  # noqa: SLF001 - nor does it let connections be shared
            meta_table = own.get_meta_table()
            shared = shared or own.connection
            if names not in shared._tables:  # noqa: SLF001 - it refuses to learn a table twice
                shared.add_meta_table(meta_table)
            own.connection = shared
