"""Identifiers, and where things are kept: every name that two services must agree on is made here."""

import secrets
from datetime import UTC, datetime
from typing import Final, NewType

ProjectName = NewType("ProjectName", str)
JobId = NewType("JobId", str)
ArchiveId = NewType("ArchiveId", str)
RequestId = NewType("RequestId", str)

EVENT_SOURCE: Final = "glaciate"
METRICS_NAMESPACE: Final = "Glaciate"

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: sorts as the number does, no i, l, o, u
_TIME_WIDTH: Final = 7
_JOB_ID_WIDTH: Final = 12
_NUMBER_WIDTH: Final = 4
_REQUEST_PREFIX: Final = "r-"
_ZIP_SUFFIX: Final = ".zip"
_OBJECT_SUFFIX: Final = ".object"

MAX_ARCHIVES_PER_JOB: Final = 32**_NUMBER_WIDTH


def encode_number(number: int, width: int) -> str:
    """`number` in base 32, padded to `width` characters, so that texts sort as the numbers do.

    Raises:
        ValueError: the number is negative or does not fit.
    """
    if not 0 <= number < 32**width:
        msg = f"{number} does not fit into {width} base-32 characters"
        raise ValueError(msg)
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(width)))


def decode_number(text: str) -> int:
    """The number that `encode_number` wrote.

    Raises:
        ValueError: the text holds a character that base 32 does not have.
    """
    number = 0
    for character in text:
        number = number << 5 | _ALPHABET.index(character)
    return number


def encode_time(moment: datetime) -> str:
    """Whole seconds of a moment as 7 characters that sort by time."""
    return encode_number(int(moment.timestamp()), _TIME_WIDTH)


def new_job_id(now: datetime) -> JobId:
    """A job's id: 12 characters that sort by the time of acceptance. Whoever stores it does so on condition that it is new."""
    return JobId(encode_time(now) + encode_number(secrets.randbelow(32**5), 5))


def new_request_id(now: datetime) -> RequestId:
    """A restore request's id: `r-` and 12 characters that sort by the time of acceptance."""
    return RequestId(_REQUEST_PREFIX + new_job_id(now))


def is_request_id(text: str) -> bool:
    """Whether an id names a restore request rather than an archive job."""
    return text.startswith(_REQUEST_PREFIX)


def accepted_at_of(request_id: RequestId) -> datetime | None:
    """When a request of that id was accepted, to the second; None for a text that is no request's id."""
    text = request_id.removeprefix(_REQUEST_PREFIX)
    if not is_request_id(request_id) or not is_job_id(text):
        return None
    return datetime.fromtimestamp(decode_number(text[:_TIME_WIDTH]), UTC)


def is_job_id(text: str) -> bool:
    """Whether a text has the form of an archive job's id."""
    return len(text) == _JOB_ID_WIDTH and set(text) <= set(_ALPHABET)


def archive_id(job_id: JobId, number: int) -> ArchiveId:
    """The id of a job's archive `number` (from 0): the job's id and the number, 16 characters.

    Raises:
        ValueError: a job has more archives than the id has room for (1,048,576).
    """
    return ArchiveId(job_id + encode_number(number, _NUMBER_WIDTH))


def job_of(archive: ArchiveId) -> JobId:
    """The job that made an archive."""
    return JobId(archive[:_JOB_ID_WIDTH])


def vault_key_of_zip(output_prefix: str, archive: ArchiveId) -> str:
    """Where an archive's ZIP lies in the vault bucket."""
    return f"{output_prefix}{archive}{_ZIP_SUFFIX}"


def vault_key_of_object(output_prefix: str, archive: ArchiveId) -> str:
    """Where a big file, kept as it is in an archive of its own, lies in the vault bucket."""
    return f"{output_prefix}{archive}{_OBJECT_SUFFIX}"


def is_vault_key_of_object(key: str) -> bool:
    """Whether a vault key is that of a big file kept as it is."""
    return key.endswith(_OBJECT_SUFFIX)


def archive_of_vault_key(key: str) -> ArchiveId:
    """The archive that lies under a vault key.

    Raises:
        ValueError: no archive of Glaciate has such a key.
    """
    name = key.rpartition("/")[2]
    for suffix in (_ZIP_SUFFIX, _OBJECT_SUFFIX):
        stem = name.removesuffix(suffix)
        if stem != name and len(stem) == _JOB_ID_WIDTH + _NUMBER_WIDTH and set(stem) <= set(_ALPHABET):
            return ArchiveId(stem)
    msg = f"no archive of Glaciate has the key {key!r}"
    raise ValueError(msg)


CATALOGS_PREFIX: Final = "catalogs/"


def catalog_key(archive: ArchiveId) -> str:
    """Where an archive's catalog lies in the vault bucket (storage class Standard)."""
    return f"{CATALOGS_PREFIX}{job_of(archive)}/{archive}.jsonl.gz"


def plan_key(archive: ArchiveId, digest: str) -> str:
    """Where a plan of one archive lies in the work bucket; its row says which, for two planners may have written one each."""
    return f"plans/{job_of(archive)}/{archive}.{digest}.jsonl.gz"


def note_key(job_id: JobId, name: str) -> str:
    """Where the planner of a job keeps in the work bucket what it needs to go on after a crash."""
    return f"notes/{job_id}/{name}"


def skipped_prefix(job_id: JobId) -> str:
    """Under what prefix of the work bucket a job's lists of skipped files lie (one object per page or archive, JSON lines)."""
    return f"skipped/{job_id}/"


def part_key(request_id: RequestId, archive: ArchiveId) -> str:
    """Where the list of files that one part of a restore request wants lies in the work bucket."""
    return f"restores/{request_id}/{archive}.wanted.jsonl.gz"


def part_result_key(request_id: RequestId, archive: ArchiveId) -> str:
    """Where the outcome, file by file, of one part of a restore request lies in the work bucket."""
    return f"restores/{request_id}/{archive}.result.jsonl.gz"
