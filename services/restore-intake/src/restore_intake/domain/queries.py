"""The query strings of the calls that list, and their page tokens."""

import base64
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from glaciate.errors import invalid
from glaciate.requests import BucketField, ProjectField
from restore_intake.domain.globs import glob_matches, literal_prefix

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
    key: str | None = Field(default=None, min_length=1, max_length=1024)
    name: str | None = Field(default=None, min_length=1, max_length=1024)
    prefix: str | None = Field(default=None, max_length=1024)
    glob: str | None = Field(default=None, min_length=1, max_length=1024)
    bucket_name: BucketField | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "FilesQuery":
        ways = [way for way in (self.key, self.name, self.prefix, self.glob) if way is not None]
        if len(ways) != 1:
            msg = "give exactly one of key, name, prefix and glob"
            raise ValueError(msg)
        return self

    @property
    def literal_prefix(self) -> str:
        """What every matching key begins with."""
        return self.prefix if self.prefix is not None else literal_prefix(self.glob or "")

    def matches(self, key: str) -> bool:
        """Whether a key is one of those asked for."""
        return key.startswith(self.prefix) if self.prefix is not None else glob_matches(self.glob or "", key)

    def offset(self) -> int:
        """Where the page begins, where pages are counted.

        Raises:
            Problem: 400.
        """
        if self.next_token is None:
            return 0
        if not self.next_token.isdecimal() or len(self.next_token) > 9:
            raise invalid(_NOT_OURS)
        return int(self.next_token)

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


def write_place(bucket: str, key: str) -> str:
    """The token of a page that begins at a key."""
    return base64.urlsafe_b64encode(f"{bucket}/{key}".encode()).decode()


def read_query(model: type[Query], parameters: Mapping[str, str] | None) -> Query:
    """A query string as a model.

    Raises:
        Problem: 400; its details list each parameter that does not fit, with the reason.
    """
    try:
        return model.model_validate(dict(parameters or {}))
    except ValidationError as error:
        fields = [
            {"field": ".".join(str(part) for part in found["loc"]) or "query", "reason": found["msg"]}
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        listed = "; ".join(f"{field['field']}: {field['reason']}" for field in fields)
        raise invalid(f"the query does not fit: {listed}", fields) from error
