"""The query strings of the calls that list, and their page tokens."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from glaciate.errors import invalid
from glaciate.names import ArchiveId, job_of
from glaciate.requests import ARCHIVE_ID, JOB_ID, MAX_NAMES_PER_REQUEST, BucketField, ProjectField, split_names
from restore_intake.domain.globs import glob_matches, literal_prefix

_LISTS: Final = frozenset({"filename"})
_NOT_OURS: Final = "next_token is not one that this call gave"
Query = TypeVar("Query", bound=BaseModel)


class PageQuery(BaseModel):
    """Which page of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(default=100, ge=1, le=1000)
    next_token: str | None = Field(default=None, max_length=4096)


class ListQuery(PageQuery):
    """`GET /restore?project_name=`."""

    project_name: ProjectField
    limit: int = Field(default=20, ge=1, le=100)


class FilesQuery(PageQuery):
    """`GET /files`: which files."""

    project_name: ProjectField
    filename: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MAX_NAMES_PER_REQUEST)
    key: str | None = Field(default=None, min_length=1, max_length=1024)
    name: str | None = Field(default=None, min_length=1, max_length=1024)
    prefix: str | None = Field(default=None, max_length=1024)
    glob: str | None = Field(default=None, min_length=1, max_length=1024)
    archive_id: str | None = Field(default=None, pattern=ARCHIVE_ID)
    job_id: str | None = Field(default=None, pattern=JOB_ID)
    bucket_name: BucketField | None = None

    @field_validator("filename", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """As `POST /restore` takes them: one is split at its commas, several are taken as they are."""
        names = split_names(value[0]) if isinstance(value, tuple) and len(value) == 1 else value
        return tuple(dict.fromkeys(names)) if isinstance(names, tuple) else names

    @model_validator(mode="after")
    def _one_way(self) -> "FilesQuery":
        ways = [self.filename, self.key, self.name, self.prefix, self.glob, self.archive_id, self.job_id]
        if sum(way is not None for way in ways) != 1:
            msg = "give exactly one of filename, key, name, prefix, glob, archive_id and job_id"
            raise ValueError(msg)
        return self

    @property
    def literal_prefix(self) -> str:
        """What every matching key begins with."""
        return literal_prefix(self.glob) if self.glob is not None else self.prefix or ""

    def matches(self, key: str) -> bool:
        """Whether a key is one of those asked for."""
        return glob_matches(self.glob, key) if self.glob is not None else key.startswith(self.prefix or "")

    def reads(self, archive_id: ArchiveId) -> bool:
        """Whether an archive is one to look into."""
        return self.archive_id in {None, archive_id} and self.job_id in {None, job_of(archive_id)}

    def name_and_token(self) -> tuple[int, str | None]:
        """Which of the names the page begins with, and where within it.

        Raises:
            Problem: 400.
        """
        number, _colon, token = (self.next_token or "0").partition(":")
        return read_offset(number), token or None

    def place(self) -> tuple[str, str]:
        """Where the page begins, where pages are found by their first key: bucket and key.

        Raises:
            Problem: 400.
        """
        if self.next_token is None:
            return "", ""
        try:
            bucket, slash, key = base64.urlsafe_b64decode(self.next_token).decode().partition("/")
        except ValueError as error:
            raise invalid(_NOT_OURS) from error
        if not slash:
            raise invalid(_NOT_OURS)
        return bucket, key


def read_offset(token: str | None) -> int:
    """Where a page begins, where pages are counted.

    Raises:
        Problem: 400.
    """
    if token is None:
        return 0
    if not token.isdecimal() or len(token) > 9:
        raise invalid(_NOT_OURS)
    return int(token)


def write_place(bucket: str, key: str) -> str:
    """The token of a page that begins at a key."""
    return base64.urlsafe_b64encode(f"{bucket}/{key}".encode()).decode()


def read_query(model: type[Query], parameters: Mapping[str, Sequence[str]] | None) -> Query:
    """A query string as a model; of a parameter that is given several times, all are taken where the model lists them, else the last.

    Raises:
        Problem: 400; its details list each parameter that does not fit, with the reason.
    """
    try:
        values = {
            name: tuple(given) if name in _LISTS else given[-1] for name, given in (parameters or {}).items() if given
        }
        return model.model_validate(values)
    except ValidationError as error:
        fields = [
            {"field": ".".join(str(part) for part in found["loc"]) or "query", "reason": found["msg"]}
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        listed = "; ".join(f"{field['field']}: {field['reason']}" for field in fields)
        raise invalid(f"the query does not fit: {listed}", fields) from error
