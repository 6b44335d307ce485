"""The bodies of `POST /archive` and `POST /restore`: the public contract; field names stay as they are."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from glaciate.names import CATALOGS_PREFIX

MAX_NAMES_PER_REQUEST = 1000
MAX_KEY_BYTES = 1024  # S3's limit of a key
ARCHIVE_ID = r"^[0-9a-z]{16}$"
JOB_ID = r"^[0-9a-z]{12}$"

ProjectField = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,19}$")]
BucketField = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
AccountField = Annotated[
    str,
    StringConstraints(pattern=r"^\d{12}$"),
    BeforeValidator(lambda value: str(value).zfill(12) if type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d{12}$"}, {"type": "integer", "minimum": 0}]}),
]


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        msg = "must be a number"
        raise ValueError(msg)
    return value


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _fits_s3(value: str) -> str:
    if len(value.encode()) > MAX_KEY_BYTES:
        msg = f"may have {MAX_KEY_BYTES} bytes of UTF-8 at the most"
        raise ValueError(msg)
    return value


def _number_or_digits(**limits: int) -> WithJsonSchema:
    """What the gateway lets through: callers of old wrote numbers as texts. The service reads both, and holds both to the limits."""
    return WithJsonSchema({"anyOf": [{"type": "integer", **limits}, {"type": "string", "pattern": r"^\d{1,18}$"}]})


NotNegative = Annotated[int, Field(ge=0), BeforeValidator(_no_boolean), _number_or_digits(minimum=0)]
Cap = Annotated[
    int, Field(ge=1, le=1_000_000), BeforeValidator(_no_boolean), _number_or_digits(minimum=1, maximum=1_000_000)
]
Days = Annotated[int, Field(ge=1, le=365), BeforeValidator(_no_boolean), _number_or_digits(minimum=1, maximum=365)]
HoldDays = Annotated[
    int, Field(ge=1, le=3650), BeforeValidator(_no_boolean), _number_or_digits(minimum=1, maximum=3650)
]
Moment = Annotated[datetime, BeforeValidator(_no_boolean), AfterValidator(_in_utc)]  # UTC where no offset is given
KeyPrefix = Annotated[str, Field(max_length=MAX_KEY_BYTES), AfterValidator(_fits_s3)]


class StorageClass(StrEnum):
    """The storage classes an archive can be kept in."""

    DEEP_ARCHIVE = "DEEP_ARCHIVE"
    GLACIER = "GLACIER"
    GLACIER_IR = "GLACIER_IR"
    STANDARD_IA = "STANDARD_IA"
    STANDARD = "STANDARD"

    @property
    def needs_thaw(self) -> bool:
        """Whether S3 must make a readable copy before the archive can be read."""
        return self in {StorageClass.DEEP_ARCHIVE, StorageClass.GLACIER}


class Disposition(StrEnum):
    """What becomes of the sources of a sealed archive."""

    KEEP = "keep"
    DELETE = "delete"


class DeleteAfterDays(BaseModel):
    """A disposition: the sources are held for some days after the job has ended, and then deleted, unless somebody keeps them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delete_after_days: HoldDays


class Compression(StrEnum):
    """How members are compressed: `fast` (ISA-L level 1), `best` (libdeflate level 6) or `stored`."""

    FAST = "fast"
    BEST = "best"
    STORED = "stored"


class Tier(StrEnum):
    """How fast S3 thaws an archive."""

    EXPEDITED = "Expedited"
    STANDARD = "Standard"
    BULK = "Bulk"


class DeclaredManifest(BaseModel):
    """What the caller says is to be archived; checked before anything is packed. `uri`: the list that names the files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_count: NotNegative | None = None
    total_size: NotNegative | None = Field(default=None, description="bytes")
    uri: str | None = Field(
        default=None,
        max_length=1100,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$",
        description="take the files from this CSV (bucket,key,size[,etag]), or from this manifest.json of S3 Inventory",
    )


def _safe_output_prefix(value: str) -> str:
    if value.startswith(("/", CATALOGS_PREFIX)) or ".." in value.split("/") or "\\" in value:
        msg = f"must be relative, without '..' or backslashes, and outside {CATALOGS_PREFIX}"
        raise ValueError(msg)
    return value if not value or value.endswith("/") else f"{value}/"


OutputPrefix = Annotated[
    str,
    StringConstraints(max_length=512),
    BeforeValidator(lambda value: _safe_output_prefix(value) if isinstance(value, str) else value),
]


class ArchiveRequest(BaseModel):
    """Archive the files under a prefix. What is left out comes from the project's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project_name: ProjectField
    bucket_name: BucketField
    prefix: KeyPrefix = ""
    file_count: Cap | None = Field(default=None, description="files per archive at the most")
    archive_size: Cap | None = Field(default=None, description="MB (1,000,000 bytes) per archive at the most")
    storage_class: StorageClass | None = None
    output_prefix: OutputPrefix | None = None
    region: str | None = None
    account: AccountField | None = None
    manifest: DeclaredManifest | None = None
    include: tuple[KeyPrefix, ...] = Field(default=(), max_length=100)
    exclude: tuple[KeyPrefix, ...] = Field(default=(), max_length=100)
    older_than: Moment | None = Field(default=None, description="only files last modified before this moment")
    disposition: Disposition | DeleteAfterDays | None = Field(
        default=None, description='what becomes of archived sources: "keep", "delete", or {"delete_after_days": N}'
    )
    compression: Compression | None = None
    preserve_tags: bool | None = Field(
        default=None, description="keep each file's object tags: one request a file more"
    )
    rearchive: bool = Field(
        default=False,
        description="archive files again that an earlier job archived and that have not changed since",
    )
    dry_run: bool = False


def split_names(value: object) -> object:
    """Names in one text, with commas between; anything else as it is."""
    if isinstance(value, str):
        return tuple(name for name in (part.strip() for part in value.split(",")) if name)
    return value


Names = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=1024)], ...],
    BeforeValidator(split_names),
    Field(max_length=MAX_NAMES_PER_REQUEST),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 1024},
                    "maxItems": MAX_NAMES_PER_REQUEST,
                },
            ]
        }
    ),
]


def _name_the_alias(schema: dict[str, Any]) -> None:
    schema["properties"]["filenames"] = schema["properties"]["filename"]


class RestoreRequest(BaseModel):
    """Bring files back: names (bare or full keys; one, a comma-separated list, or an array), a prefix, a glob, an archive or a job."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_name_the_alias)

    project_name: ProjectField
    filename: Names = Field(default=(), validation_alias=AliasChoices("filename", "filenames"))
    prefix: KeyPrefix | None = None
    glob: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="of full keys; `*` crosses folders, `?`, `[a-z]`, `[!a]`",
    )
    archive_id: str | None = Field(default=None, pattern=ARCHIVE_ID, description="everything in this archive")
    job_id: str | None = Field(default=None, pattern=JOB_ID, description="everything this job archived")
    bucket_name: BucketField | None = Field(default=None, description="only files that came from this bucket")
    versions: Literal["newest", "all"] = Field(
        default="newest", description="all: every version up to as_of, each under a name that says which"
    )
    retrieval_tier: Tier = Tier.STANDARD
    sns_topic_arn: str | None = None
    region: str | None = None
    account: AccountField | None = None
    as_of: Moment | None = None
    days: Days = Field(
        default=3,
        description="how long the archives' readable copies stay (at least 3); restored files stay as the status says",
    )
    destination_prefix: OutputPrefix = ""
    to: Literal["restore_bucket", "original"] = Field(
        default="restore_bucket",
        description="original: each file to the bucket and key it came from, where the project allows it",
    )
    overwrite: bool = Field(
        default=False, description="with to: original, in place of what is there at the time of this call"
    )
    allow_missing: bool = False
    all_matches: bool = False
    max_cost_usd: float | None = Field(default=None, ge=0)
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_selection(self) -> "RestoreRequest":
        ways = [self.filename or None, self.prefix, self.glob, self.archive_id, self.job_id]
        if sum(way is not None for way in ways) != 1:
            msg = "give exactly one of filename, prefix, glob, archive_id and job_id"
            raise ValueError(msg)
        return self


class PageQuery(BaseModel):
    """The query of a call that answers page by page: `next_token` is what the page before answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(default=100, ge=1, le=1000)
    next_token: str | None = Field(default=None, min_length=1, max_length=2048)


class JobQuery(PageQuery):
    """The query of a job's status: `next_token` goes on with its skipped files, `archives_token` with its archives."""

    archives_token: str | None = Field(default=None, min_length=1, max_length=2048)


class ProjectPageQuery(PageQuery):
    """The query of a call that lists what a project has."""

    project_name: ProjectField


class ArchiveAnswer(BaseModel):
    """202: the job was accepted."""

    job_id: str
    state: Literal["ACCEPTED"] = "ACCEPTED"
    status_url: str
