"""Which version is wanted, which archives share keys, where files appear, and what globs and tokens mean."""

from datetime import UTC, datetime, timedelta

import pytest

from glaciate.errors import Problem
from glaciate.names import ArchiveId
from glaciate.parts import WantedFile
from restore_intake.domain.finding import (
    ArchiveRange,
    FileVersion,
    Progress,
    clusters,
    collisions,
    destination,
    newest,
    read_progress,
    sealed_by,
    version_name,
    wanted_by_archive,
)
from restore_intake.domain.globs import glob_matches, literal_prefix
from restore_intake.domain.queries import FilesQuery, read_query, write_place

NOW = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)


def version(key: str, archive: str = "a1", *, bucket: str = "b", days: int = 0) -> FileVersion:
    return FileVersion(bucket, key, 10, NOW + timedelta(days=days), ArchiveId(archive))


def archive(name: str, first: str, last: str) -> ArchiveRange:
    return ArchiveRange(ArchiveId(name), "b", first, last, NOW, "DEEP_ARCHIVE", 1, 1, 1)


def test_the_version_sealed_last_is_the_newest() -> None:
    found = newest([version("x", "a1", days=1), version("x", "a2", days=3), version("x", "a3", days=2)])

    assert [entry.archive_id for entry in found] == ["a2"]


def test_of_two_sealed_in_one_second_the_later_archive_is_the_newest() -> None:
    assert [entry.archive_id for entry in newest([version("x", "a2"), version("x", "a1")])] == ["a2"]


def test_the_same_key_of_two_buckets_is_two_files() -> None:
    assert len(newest([version("x"), version("x", bucket="c")])) == 2


def test_files_are_in_order_of_their_keys() -> None:
    assert [entry.key for entry in newest([version("b"), version("a"), version("a/b")])] == ["a", "a/b", "b"]


def test_a_moment_is_compared_to_the_second_as_the_index_keeps_it() -> None:
    assert sealed_by(NOW + timedelta(milliseconds=900), NOW)
    assert not sealed_by(NOW + timedelta(seconds=1), NOW)
    assert sealed_by(NOW, None)


def test_archives_that_share_keys_are_read_together_and_others_apart() -> None:
    groups = clusters([archive("4", "m", "z"), archive("1", "a", "f"), archive("2", "c", "h"), archive("3", "i", "l")])

    assert [[entry.archive_id for entry in group] for group in groups] == [["1", "2"], ["3"], ["4"]]


def test_an_archive_that_spans_others_keeps_them_in_its_group() -> None:
    groups = clusters([archive("1", "a", "z"), archive("2", "b", "c"), archive("3", "m", "n")])

    assert [[entry.archive_id for entry in group] for group in groups] == [["1", "2", "3"]]


def test_progress_is_read_as_it_was_written_and_only_grows() -> None:
    steps = [
        Progress("a", None, 50),
        Progress("a", None, 100),
        Progress("a", "k"),
        Progress("a", "k", 50),
        Progress("a", "k/long/er"),
        Progress("b", None, 50),
    ]

    assert [read_progress(step.text) for step in steps] == steps
    assert [step.text for step in steps] == sorted(step.text for step in steps)
    assert read_progress(None) == Progress()


def test_a_file_appears_under_the_prefix_and_its_full_key() -> None:
    assert destination("demo/r-1/", "2026/a b.csv") == "demo/r-1/2026/a b.csv"
    assert destination("", "/leading") == "/leading"


def test_a_key_without_room_is_cut_and_completed_so_that_no_two_meet() -> None:
    long_one, long_two = "ü" * 511 + "a", "ü" * 511 + "b"

    places = {destination("demo/r-1/", key) for key in (long_one, long_two)}

    assert len(places) == 2
    assert all(len(place.encode()) <= 1024 and place.startswith("demo/r-1/üü") for place in places)


def test_files_that_would_land_on_one_another_are_found() -> None:
    [found] = collisions([version("x"), version("y"), version("x", bucket="c")], lambda found: f"p/{found.key}")

    assert (found.destination, found.sources) == ("p/x", ("s3://b/x", "s3://c/x"))


def test_what_is_wanted_is_grouped_by_archive() -> None:
    wanted = wanted_by_archive(
        [version("b", "a2"), version("a", "a2"), version("c", "a1")],
        lambda found: WantedFile(found.key, f"p/{found.key}", found.size),
    )

    assert list(wanted) == ["a1", "a2"]
    assert [(file.key, file.destination) for file in wanted[ArchiveId("a2")]] == [("a", "p/a"), ("b", "p/b")]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("2026/report.csv", "2026/report~20260701T103000Z-a1.csv"),
        ("2026/archive.tar.gz", "2026/archive.tar~20260701T103000Z-a1.gz"),
        ("README", "README~20260701T103000Z-a1"),
        (".hidden", ".hidden~20260701T103000Z-a1"),
        ("a.b/file", "a.b/file~20260701T103000Z-a1"),
    ],
)
def test_a_versions_name_says_which_it_is_before_its_extension(key: str, name: str) -> None:
    assert version_name(version(key)) == name


@pytest.mark.parametrize(
    ("glob", "key", "matches"),
    [
        ("2025/*/report-?.csv", "2025/q1/report-1.csv", True),
        ("2025/*/report-?.csv", "2025/q1/report-10.csv", False),
        ("2025/*/report-?.csv", "2024/q1/report-1.csv", False),
        ("*.csv", "a/b/c.csv", True),
        ("*.csv", "a/b/c.CSV", False),
        ("x[0-9].txt", "x7.txt", True),
        ("x[!0-9].txt", "x7.txt", False),
        ("a.b", "axb", False),
        ("line*", "line\nbreak", True),
    ],
)
def test_globs_match_whole_keys(glob: str, key: str, *, matches: bool) -> None:
    assert glob_matches(glob, key) is matches


@pytest.mark.parametrize(
    ("glob", "prefix"), [("2025/*/x", "2025/"), ("*", ""), ("a?", "a"), ("a[bc]", "a"), ("abc", "abc")]
)
def test_the_search_starts_at_what_every_match_begins_with(glob: str, prefix: str) -> None:
    assert literal_prefix(glob) == prefix


def test_a_token_says_where_the_next_page_begins() -> None:
    token = write_place("bucket", "a/ü b.csv")

    query = read_query(FilesQuery, {"project_name": ["demo"], "prefix": [""], "next_token": [token]})

    assert query.place() == ("bucket", "a/ü b.csv")


@pytest.mark.parametrize("token", ["!", "eA", "8J-Y"])
def test_a_token_of_somebody_elses_is_refused(token: str) -> None:
    query = read_query(FilesQuery, {"project_name": ["demo"], "prefix": [""], "next_token": [token]})

    with pytest.raises(Problem, match="next_token"):
        query.place()
