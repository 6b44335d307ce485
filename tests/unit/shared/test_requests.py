"""The public bodies: the original samples work as they stand, and what does not fit is named."""

from typing import Any

import pytest
from pydantic import ValidationError

from glaciate.jobs import order
from glaciate.projects import Project, ProjectsDocument
from glaciate.requests import ArchiveRequest, Disposition, RestoreRequest, StorageClass, Tier

ARCHIVE_SAMPLE = {
    "project_name": "lab", "bucket_name": "lab-results", "prefix": "runs/2026", "file_count": 1000, "archive_size": 512,
    "account": "123456789012", "region": "eu-central-1", "storage_class": "DEEP_ARCHIVE", "output_prefix": "archived/lab",
}  # fmt: skip
RESTORE_SAMPLE = {
    "project_name": "lab", "filename": "a.csv, runs/b.csv", "account": "123456789012", "region": "eu-central-1",
    "retrieval_tier": "Bulk", "sns_topic_arn": "arn:aws:sns:eu-central-1:123456789012:lab",
}  # fmt: skip
PROJECT = Project(name="lab", source_buckets=("lab-results",))


def test_the_original_archive_body_works_as_it_stands() -> None:
    asked = order(ArchiveRequest.model_validate(ARCHIVE_SAMPLE), PROJECT)

    assert (asked.max_files, asked.max_bytes) == (1000, 512_000_000)
    assert (asked.output_prefix, asked.storage_class) == ("archived/lab/", StorageClass.DEEP_ARCHIVE)
    assert asked.disposition is Disposition.KEEP


def test_the_original_restore_body_works_as_it_stands() -> None:
    request = RestoreRequest.model_validate(RESTORE_SAMPLE)

    assert request.filename == ("a.csv", "runs/b.csv")
    assert request.retrieval_tier is Tier.BULK


def test_an_array_of_names_is_never_split() -> None:
    request = RestoreRequest.model_validate({"project_name": "lab", "filename": ["a, b.csv"]})

    assert request.filename == ("a, b.csv",)


def test_what_is_left_out_comes_from_the_project() -> None:
    asked = order(ArchiveRequest(project_name="lab", bucket_name="lab-results"), PROJECT)

    assert asked.output_prefix == "archives/lab/"
    assert asked.max_files == PROJECT.defaults.file_count


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"project_name": None}, "project_name"),
        ({"project_name": "a b"}, "project_name"),
        ({"bucket_name": "Not_A_Bucket"}, "bucket_name"),
        ({"file_count": 0}, "file_count"),
        ({"file_count": "many"}, "file_count"),
        ({"storage_class": "ICE"}, "storage_class"),
        ({"output_prefix": "catalogs/mine"}, "output_prefix"),
        ({"output_prefix": "a/../b"}, "output_prefix"),
        ({"output_prefix": "/a"}, "output_prefix"),
        ({"account": "12"}, "account"),
        ({"disposition": "burn"}, "disposition"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_an_archive_body_that_does_not_fit_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ArchiveRequest.model_validate(ARCHIVE_SAMPLE | change)

    assert field in {str(error["loc"][0]) for error in refused.value.errors()}


@pytest.mark.parametrize(
    "change",
    [
        {"filename": ""},
        {"filename": []},
        {"filename": "a", "prefix": "b"},
        {"days": 0},
        {"retrieval_tier": "Fast"},
        {"filename": ["x" * 1025]},
    ],
    ids=str,
)
def test_a_restore_body_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RestoreRequest.model_validate(RESTORE_SAMPLE | change)


def test_two_projects_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="project names must differ"):
        ProjectsDocument(projects=(PROJECT, PROJECT))


def test_a_fallback_outside_the_project_s_buckets_is_refused() -> None:
    rule = {"bucket": "foreign-bucket", "prefix": "in/{date:%Y%m%d}/"}

    with pytest.raises(ValidationError, match="not its source buckets"):
        Project.model_validate({"name": "lab", "source_buckets": ["lab-results"], "fallback": [rule]})
