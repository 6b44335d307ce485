"""Who may archive what: the one configuration document, kept as an SSM parameter."""

from collections.abc import Iterable
from datetime import date
from string import Formatter
from typing import Annotated

from aws_lambda_powertools.utilities import parameters
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from glaciate.errors import forbidden, not_found
from glaciate.requests import (
    BucketField,
    Compression,
    DeleteAfterDays,
    Disposition,
    OutputPrefix,
    ProjectField,
    StorageClass,
)

TopicArn = Annotated[
    str, StringConstraints(pattern=r"^arn:[a-z0-9-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+$", max_length=400)
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArchiveDefaults(_Frozen):
    """What an archive request means by what it leaves out."""

    file_count: int = Field(default=10_000, ge=1)
    archive_size: int = Field(default=1_000, ge=1, description="MB (1,000,000 bytes) per archive at the most")
    storage_class: StorageClass = StorageClass.DEEP_ARCHIVE
    output_prefix: OutputPrefix | None = Field(
        default=None, description="in the vault; archives/<project>/ where left out"
    )
    disposition: Disposition | DeleteAfterDays = Disposition.KEEP
    compression: Compression = Compression.FAST
    preserve_tags: bool = Field(default=False, description="keep each file's object tags: one request a file more")
    direct_threshold: int = Field(
        default=64 * 1024 * 1024, ge=1, description="bytes; files of this size and above are kept as they are"
    )


def _date_template(value: str) -> str:
    for _literal, name, _format, conversion in Formatter().parse(value):
        if (name, conversion) not in {(None, None), ("date", None)}:
            msg = f"may hold {{date:...}} and nothing else in braces, not {{{name}}}"
            raise ValueError(msg)
    value.format(date=date(2000, 1, 1))
    return value


class FallbackSchedule(_Frozen):
    """What the schedule archives when nobody asked: a date template such as `incoming/{date:%Y%m%d}/`."""

    bucket: BucketField
    prefix: Annotated[str, AfterValidator(_date_template)] = Field(
        max_length=1024, description="may hold {date:...} with strftime codes, in the schedule's time zone"
    )
    days_ago: int = Field(default=1, ge=0, description="the day the template is filled with, counted back from the run")

    def prefix_of(self, day: date) -> str:
        """The prefix that is due for a day."""
        return self.prefix.format(date=day)


class Project(_Frozen):
    """A tenant."""

    name: ProjectField
    source_buckets: tuple[BucketField, ...] = Field(min_length=1)
    manifest_buckets: tuple[BucketField, ...] = Field(
        default=(),
        description="where manifests and inventories may lie besides the source buckets; never archived from",
    )
    original_buckets: tuple[BucketField, ...] = Field(
        default=(),
        description="source buckets that `to: original` may write to; the stack's OriginalResources must allow it too",
    )
    topics: tuple[TopicArn, ...] = Field(default=(), description="topics a request may name besides the stack's own")
    default_topic: TopicArn | None = None
    defaults: ArchiveDefaults = ArchiveDefaults()
    fallback: tuple[FallbackSchedule, ...] = ()

    @model_validator(mode="after")
    def _fallback_stays_inside(self) -> "Project":
        outside = [rule.bucket for rule in self.fallback if rule.bucket not in self.source_buckets]
        if outside:
            msg = f"the fallback of {self.name} names buckets that are not its source buckets: {', '.join(outside)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _originals_are_sources(self) -> "Project":
        outside = [bucket for bucket in self.original_buckets if bucket not in self.source_buckets]
        if outside:
            msg = f"original_buckets of {self.name} are not its source buckets: {', '.join(outside)}"
            raise ValueError(msg)
        return self

    def output_prefix(self, asked: str | None) -> str:
        """Where the project's archives lie in the vault."""
        chosen = asked if asked is not None else self.defaults.output_prefix
        return chosen if chosen is not None else f"archives/{self.name}/"

    def require_bucket(self, bucket: str) -> None:
        """Refuses a bucket the project may not archive.

        Raises:
            Problem: 403.
        """
        if bucket not in self.source_buckets:
            allowed = ", ".join(self.source_buckets)
            raise forbidden(
                "BucketNotAllowed", f"project {self.name} may not use bucket {bucket}; it may use {allowed}"
            )

    def require_manifest_bucket(self, bucket: str) -> None:
        """Refuses a bucket whose manifests the project may not read.

        Raises:
            Problem: 403.
        """
        if bucket not in (*self.source_buckets, *self.manifest_buckets):
            raise forbidden("BucketNotAllowed", f"project {self.name} may not read manifests in bucket {bucket}")

    def require_original(self, buckets: Iterable[str]) -> None:
        """Refuses buckets that the project may not restore into.

        Raises:
            Problem: 403.
        """
        refused = sorted(set(buckets) - set(self.original_buckets))
        if refused:
            allowed = ", ".join(self.original_buckets) or "none: its configuration names no original_buckets"
            raise forbidden(
                "OriginalNotAllowed",
                f"project {self.name} may not restore to the original bucket {', '.join(refused)}; it may to {allowed}",
                {"buckets": refused},
            )

    def topic(self, asked: str | None, *, stack_topic: str) -> str:
        """The topic to tell: the one asked for, the project's default, or the stack's own.

        Raises:
            Problem: 403, the topic asked for is neither the stack's nor on the project's list.
        """
        if asked is None:
            return self.default_topic or stack_topic
        if asked not in {stack_topic, self.default_topic, *self.topics}:
            raise forbidden("TopicNotAllowed", f"project {self.name} may not notify {asked}")
        return asked


class ProjectsDocument(_Frozen):
    """Every project of the deployment."""

    projects: tuple[Project, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "ProjectsDocument":
        names = [project.name for project in self.projects]
        if len(set(names)) != len(names):
            msg = f"project names must differ: {', '.join(sorted(names))}"
            raise ValueError(msg)
        return self

    def require(self, name: str) -> Project:
        """The project of that name.

        Raises:
            Problem: 404.
        """
        for project in self.projects:
            if project.name == name:
                return project
        raise not_found("ProjectNotFound", f"there is no project {name!r}")


class SsmProjects:
    """Reads the document from an SSM parameter, and keeps it for a minute."""

    def __init__(self, parameter_name: str) -> None:
        self._parameter_name = parameter_name

    def load(self) -> ProjectsDocument:
        """The document as it is now, at most a minute old.

        Raises:
            ValidationError: somebody stored a document that does not fit.
        """
        text = parameters.get_parameter(self._parameter_name, max_age=60)
        return ProjectsDocument.model_validate_json(text)
