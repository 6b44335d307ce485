"""Finding files by key, name and prefix, in requests and in searches, over the index and the catalogs."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest
from botocore.client import BaseClient

from fakes.restore_world import World
from fakes.vault import JOB, PROJECT, SEALED_AT, SOURCE
from glaciate.errors import Problem
from glaciate.names import ArchiveId, JobId, ProjectName, RequestId, job_of, part_key
from glaciate.part_documents import PartDocuments
from glaciate.parts import FileResult, WantedFile
from glaciate.tables import ArchiveRow, archive_hash_key, archive_range_key
from restore_intake.domain.queries import FilesQuery, read_query

OTHER = "other-bucket"


def wanted(world: World, request_id: RequestId) -> dict[str, tuple[WantedFile, ...]]:
    parts = world.requests.parts(request_id)
    return {part.archive_id: world.ledger.documents.wanted(request_id, part.archive_id) for part in parts}


def search(world: World, **query: str | list[str]) -> dict[str, Any]:
    given = {name: [value] if isinstance(value, str) else value for name, value in query.items()}
    return world.list_files(read_query(FilesQuery, {"project_name": ["demo"], **given}))


def keys(answer: dict[str, Any]) -> list[str]:
    return [file["key"] for file in answer["files"]]


def pages(world: World, **query: str) -> list[list[str]]:
    found, token = [], None
    while True:
        answer = search(world, **query, **({"next_token": token} if token else {}))
        found.append(keys(answer))
        token = answer["next_token"]
        if token is None:
            return found


def test_a_file_archived_twice_is_restored_as_it_was_last(world: World) -> None:
    world.vault.put(0, {"a.csv": 1})
    newer = world.vault.put(1, {"a.csv": 2}, sealed_at=SEALED_AT + timedelta(days=1))

    request_id = world.post(filename="a.csv")

    assert list(wanted(world, request_id)) == [newer]


@pytest.mark.parametrize(
    ("limit", "code"), [("MOST_ARCHIVES_NAMED", "TooManyArchives"), ("MOST_VERSIONS_NAMED", "TooManyVersions")]
)
def test_a_name_that_means_more_than_can_be_looked_at_is_refused_before_anything_is_asked_of_s3(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, code: str
) -> None:
    monkeypatch.setattr(f"restore_intake.application.finding.{limit}", 3)
    for number in range(4):
        world.vault.put(number, [f"{number}/a.csv"])
    asked = len(world.s3.asked)

    with pytest.raises(Problem, match="prefix or a glob") as refused:
        world.post(filename="a.csv", all_matches=True)

    assert (refused.value.status, refused.value.code) == (422, code)
    assert len(world.s3.asked) == asked
    assert len(wanted(world, world.post(filename="0/a.csv,1/a.csv,2/a.csv", all_matches=True))) == 3
    world.drain()


@pytest.mark.parametrize("name", ["2026/a.csv", "a.csv"])
@pytest.mark.parametrize("page", [None, 0, 1234])
def test_where_the_catalog_tells_of_a_file_is_handed_on_as_its_row_says(
    world: World, name: str, page: int | None
) -> None:
    archive = world.vault.put(0, ["2026/a.csv"], page=page)

    request_id = world.post(filename=name)

    assert [file.page for file in wanted(world, request_id)[archive]] == [page]


@pytest.mark.parametrize("selection", [{"filename": "2026/a.csv"}, {"filename": "a.csv"}, {"prefix": "2026/"}])
def test_as_of_picks_the_version_sealed_last_before_a_moment(world: World, selection: dict[str, str]) -> None:
    older = world.vault.put(0, {"2026/a.csv": 1})
    world.vault.put(1, {"2026/a.csv": 2}, sealed_at=SEALED_AT + timedelta(days=2))

    request_id = world.post(**selection, as_of=(SEALED_AT + timedelta(days=1)).isoformat())

    assert list(wanted(world, request_id)) == [older]


def test_before_the_first_version_there_is_nothing(world: World) -> None:
    world.vault.put(0, ["a.csv"])

    with pytest.raises(Problem, match=r"no archive holds a\.csv"):
        world.post(filename="a.csv", as_of="2020-01-01T00:00:00")


@pytest.mark.slow
def test_a_version_archived_after_the_acceptance_is_not_taken(world: World) -> None:
    first = world.vault.put(0, {"d/a.csv": 1})
    for number in range(1, 25):
        world.vault.put(number, [f"d/{number:03}.csv"])
    request_id = world.post(prefix="d/")  # more archives than are read while the caller waits
    world.vault.put(50, {"d/a.csv": 9}, sealed_at=world.s3.now + timedelta(hours=1))

    world.drain()

    parts = wanted(world, request_id)
    assert len(parts) == 25
    assert [file.size for file in parts[first]] == [1]


@pytest.mark.slow
def test_a_large_prefix_is_resolved_in_steps_and_complete(world: World) -> None:
    for number in range(60):
        world.vault.put(number, [f"d/{number:04}/{name}" for name in "abc"])
    request_id = world.post(prefix="d/")
    before = world.describe(request_id, limit=10, token=None)

    handled = world.drain()

    after = world.describe(request_id, limit=1000, token=None)
    assert (before["resolved"], before["estimate"]["at_most"], before["estimate"]["archives"]) == (False, True, 60)
    assert handled >= 3
    assert after["counts"]["files"] == 180
    assert len(after["files"]) == 180
    assert len(after["parts"]) == 60


def test_a_large_prefix_resolved_again_after_a_death_promises_no_place_twice(world: World) -> None:
    for number in range(25):
        world.vault.put(number, [f"d/{number:04}/a", "d/shared"], sealed_at=SEALED_AT + timedelta(hours=number))
    request_id = world.post(prefix="d/")
    request = world.requests.get(request_id)
    assert request is not None
    resolve = world.thaw_files.resolve
    found = resolve.find.in_archives(request.order, resolve.find.ranges(request.order, SOURCE))
    resolve._record(request, found, set(), promised=resolve._promised(request, set()))

    world.drain()  # resolves from the beginning: nothing says how far it had come

    places = [file.destination for files in wanted(world, request_id).values() for file in files]
    assert len(places) == len(set(places)) == 26
    request = world.requests.get(request_id)
    assert request is not None
    assert (request.resolved, request.parts, request.files) == (True, 25, 26)


@pytest.mark.slow
def test_a_folder_archived_over_and_over_is_resolved_in_steps_to_the_newest_of_each(world: World) -> None:
    for number in range(60):
        files = {"d/a": number, "d/z": number, f"d/once/{number:03}": 7}
        world.vault.put(number, files, sealed_at=SEALED_AT + timedelta(hours=number))
    request_id = world.post(prefix="d/")

    handled = world.drain()

    parts = wanted(world, request_id)
    found = {file.key: file.size for files in parts.values() for file in files}
    assert handled >= 3
    assert (len(parts), sum(map(len, parts.values())), len(found)) == (60, 62, 62)
    assert (found["d/a"], found["d/z"]) == (59, 59)


def test_a_large_prefix_over_two_buckets_asks_which(world: World) -> None:
    for number in range(30):
        world.vault.put(number, [f"d/{number:04}"], bucket=SOURCE if number % 2 else OTHER)

    with pytest.raises(Problem, match="give bucket_name"):
        world.post(prefix="d/")
    assert world.post(prefix="d/", bucket_name=OTHER)


def test_a_large_prefix_costs_at_most_what_its_archives_hold(world: World) -> None:
    for number in range(30):
        world.vault.put(number, [f"d/{number:04}"])

    with pytest.raises(Problem, match=r"it would cost up to \$"):
        world.post(prefix="d/", max_cost_usd=0.000001)


def test_a_prefix_in_the_middle_of_an_archive_takes_only_what_is_under_it(world: World) -> None:
    archive = world.vault.put(0, ["a/1", "b/1", "b/2", "c/1"])

    request_id = world.post(prefix="b/")

    assert [file.key for file in wanted(world, request_id)[archive]] == ["b/1", "b/2"]


def test_archives_that_are_not_indexed_do_not_count(world: World) -> None:
    world.vault.put(0, ["d/a"], state="SEALED")
    world.vault.put(1, ["d/b"], state="INDEXED")

    request_id = world.post(prefix="d/")

    assert [file.key for files in wanted(world, request_id).values() for file in files] == ["d/b"]


def test_another_projects_files_are_not_found(world: World) -> None:
    world.vault.put(0, ["secret.csv"], project=ProjectName("other"))

    with pytest.raises(Problem, match="no archive holds"):
        world.post(filename="secret.csv")


def test_a_key_too_long_for_the_index_is_found_by_key_and_by_name(world: World) -> None:
    long_key = "x" * 400 + "/" + "y" * 400 + "/" + "z" * 200 + "/name.csv"
    twin = "x" * 400 + "/" + "y" * 400 + "/" + "z" * 199 + "w/name.csv"
    world.vault.put(0, [long_key, twin])

    by_key = world.post(filename=long_key)
    by_name = search(world, name="name.csv")

    [files] = wanted(world, by_key).values()
    assert [file.key for file in files] == [long_key]
    assert sorted(keys(by_name)) == sorted([long_key, twin])


def test_folders_that_differ_by_a_hash_sign_are_kept_apart(world: World) -> None:
    world.vault.put(0, {"a/x": 1, "a/#/x": 2, "a/#b/x": 3})

    assert [version.size for version in world.index.versions(PROJECT, SOURCE, "a/x")] == [1]
    assert [version.size for version in world.index.versions(PROJECT, SOURCE, "a/#/x")] == [2]
    assert [file["size"] for file in search(world, name="x")["files"]] == [2, 3, 1]


def test_a_restored_key_with_no_room_left_says_where_it_is(world: World) -> None:
    key = "k" * 1020
    archive = world.vault.put(0, [key])

    request_id = world.post(filename=[key])

    [file] = wanted(world, request_id)[archive]
    assert file.key == key
    assert len(file.destination.encode()) <= 1024


def test_a_given_destination_prefix_is_used_exactly(world: World) -> None:
    archive = world.vault.put(0, ["2026/a.csv"])

    request_id = world.post(filename="a.csv", destination_prefix="back/here")

    assert [file.destination for file in wanted(world, request_id)[archive]] == ["back/here/2026/a.csv"]


def test_a_glob_restores_the_matches_alone(world: World) -> None:
    archive = world.vault.put(0, ["2025/q1/report-1.csv", "2025/q1/report-10.csv", "2025/q2/report-2.csv"])

    request_id = world.post(glob="2025/*/report-?.csv")

    found = [file.key for file in wanted(world, request_id)[archive]]
    assert found == ["2025/q1/report-1.csv", "2025/q2/report-2.csv"]


def test_a_key_without_folder_beside_others_of_its_name_is_restored_by_glob(world: World) -> None:
    archive = world.vault.put(0, ["a.csv", "x/a.csv"])
    with pytest.raises(Problem, match="one without a folder as glob"):
        world.post(filename="a.csv")

    request_id = world.post(glob="a.csv")

    assert [file.key for file in wanted(world, request_id)[archive]] == ["a.csv"]


def test_a_whole_archive_or_job_is_restored(world: World) -> None:
    first = world.vault.put(0, ["d/a", "d/b"])
    second = world.vault.put(1, ["d/c"])
    other = world.vault.put(0, ["d/a"], job_id=JobId("01bbbbb00001"), sealed_at=SEALED_AT + timedelta(days=1))

    by_archive = wanted(world, world.post(archive_id=first))
    by_job = wanted(world, world.post(job_id=JOB))

    assert {archive: len(files) for archive, files in by_archive.items()} == {first: 2}
    assert {archive: len(files) for archive, files in by_job.items()} == {first: 2, second: 1}
    assert other not in by_job


def test_an_unknown_archive_job_or_glob_is_404_naming_it(world: World) -> None:
    world.vault.put(0, ["d/a"])

    for selection in ({"archive_id": "0" * 16}, {"job_id": "0" * 12}, {"glob": "e/*"}):
        with pytest.raises(Problem, match=f"no archive holds everything .*{next(iter(selection.values()))[:2]}"):
            world.post(**selection)


@pytest.mark.parametrize("selection", [{"filename": "d/a.csv"}, {"filename": "a.csv"}, {"prefix": "d/"}])
def test_all_versions_are_restored_beside_one_another(world: World, selection: dict[str, str]) -> None:
    older = world.vault.put(0, {"d/a.csv": 1})
    newer = world.vault.put(1, {"d/a.csv": 2}, sealed_at=SEALED_AT + timedelta(days=1))

    request_id = world.post(**selection, versions="all", destination_prefix="p/")

    places = {archive: [file.destination for file in files] for archive, files in wanted(world, request_id).items()}
    assert places == {
        older: [f"p/d/a~20260601T080000Z-{older}.csv"],
        newer: [f"p/d/a~20260602T080000Z-{newer}.csv"],
    }


# Searching.


def test_a_search_by_key_tells_every_version_newest_first(world: World) -> None:
    for number in range(3):
        world.vault.put(number, {"a.csv": number + 1}, sealed_at=SEALED_AT + timedelta(days=number))

    answer = search(world, key="a.csv")

    assert [file["size"] for file in answer["files"]] == [3, 2, 1]
    assert answer["files"][0]["archived_at"] == SEALED_AT + timedelta(days=2)


def test_a_search_by_key_is_paged(world: World) -> None:
    for number in range(5):
        world.vault.put(number, {"a.csv": number + 1}, sealed_at=SEALED_AT + timedelta(days=number))

    first = search(world, key="a.csv", limit="2")
    second = search(world, key="a.csv", limit="2", next_token=first["next_token"])
    third = search(world, key="a.csv", limit="2", next_token=second["next_token"])

    sizes = [[file["size"] for file in page["files"]] for page in (first, second, third)]
    assert sizes == [[5, 4], [3, 2], [1]]
    assert third["next_token"] is None


def test_a_search_by_name_is_paged_and_complete(world: World) -> None:
    world.vault.put(0, [f"{folder:02}/part.csv" for folder in range(7)])

    found = pages(world, name="part.csv", limit="3")

    assert [key for page in found for key in page] == [f"{folder:02}/part.csv" for folder in range(7)]


def test_a_search_by_prefix_is_sorted_over_archives_that_overlap(world: World) -> None:
    world.vault.put(0, ["d/a", "d/d", "d/g"])
    world.vault.put(1, ["d/b", "d/e", "d/h"], sealed_at=SEALED_AT + timedelta(days=1))
    world.vault.put(2, ["d/c", "d/f", "d/i", "e/x"])

    found = pages(world, prefix="d/", limit="4")

    assert found == [["d/a", "d/b", "d/c", "d/d"], ["d/e", "d/f", "d/g", "d/h"], ["d/i"]]


def test_a_search_by_prefix_keeps_the_versions_of_a_file_together_newest_first(world: World) -> None:
    for number in range(3):
        files = {"d/a": 1, "d/b": number, "d/c": 1}
        world.vault.put(number, files, sealed_at=SEALED_AT + timedelta(days=number))

    first = search(world, prefix="d/", limit="4")

    assert [(file["key"], file["size"]) for file in first["files"]] == [
        ("d/a", 1),
        ("d/a", 1),
        ("d/a", 1),
        ("d/b", 2),
        ("d/b", 1),
        ("d/b", 0),
    ]
    assert first["next_token"] is not None


def test_a_search_goes_on_into_the_next_bucket(world: World) -> None:
    world.vault.put(0, ["d/a", "d/b"], bucket=OTHER)
    world.vault.put(1, ["d/a", "d/c"], bucket=SOURCE)

    found = pages(world, prefix="d/", limit="1")

    assert found == [["d/a"], ["d/b"], ["d/a"], ["d/c"]]


def test_a_search_by_glob_lists_the_matches_alone(world: World) -> None:
    world.vault.put(0, ["2025/q1/report-1.csv", "2025/q1/report-10.csv", "2025/q2/report-2.csv", "2026/report-1.csv"])

    assert keys(search(world, glob="2025/*/report-?.csv")) == ["2025/q1/report-1.csv", "2025/q2/report-2.csv"]


@pytest.mark.parametrize("filename", ["b.csv, in/a.csv,nowhere.csv", ["b.csv", "in/a.csv", "nowhere.csv"]])
def test_a_search_takes_names_and_keys_as_a_restore_does(world: World, filename: str | list[str]) -> None:
    world.vault.put(0, ["in/a.csv", "in/b.csv", "other/b.csv", "out/a.csv"])

    answer = search(world, filename=filename)

    assert keys(answer) == ["in/a.csv", "in/b.csv", "other/b.csv"]


@pytest.mark.parametrize(
    "query",
    [{"filename": "z/c.csv,b.csv,in/b.csv,a.csv"}, {"filename": ["z/c.csv", "b.csv", "a.csv"]}, {"name": "b.csv"}],
)
def test_a_page_of_what_is_asked_for_by_name_is_sorted_by_key_then_by_bucket(
    world: World, query: dict[str, str | list[str]]
) -> None:
    world.vault.put(0, ["a.csv", "in/b.csv", "z/c.csv"])
    world.vault.put(1, ["a.csv", "in/b.csv", "y/b.csv"], sealed_at=SEALED_AT + timedelta(days=1))
    world.vault.put(2, ["a.csv", "in/b.csv"], bucket=OTHER)

    files = search(world, **query)["files"]

    assert len({file["key"] for file in files}) > 1
    assert [(file["key"], file["bucket"]) for file in files] == sorted((file["key"], file["bucket"]) for file in files)
    newest_first = sorted(files, key=lambda file: file["archived_at"], reverse=True)
    assert files == sorted(newest_first, key=lambda file: (file["key"], file["bucket"]))


def test_a_name_with_a_comma_is_searched_for_beside_another(world: World) -> None:
    world.vault.put(0, ["a,b.csv", "c.csv"])

    assert keys(search(world, filename=["a,b.csv", "c.csv"])) == ["a,b.csv", "c.csv"]


def test_a_search_for_many_names_is_paged_and_complete(world: World) -> None:
    for number in range(3):
        world.vault.put(number, ["in/a.csv", f"{number}/b.csv"])
    found, token, pages = [], None, 0

    while pages == 0 or token:
        answer = search(world, filename="b.csv,in/a.csv,c.csv", limit="2", **({"next_token": token} if token else {}))
        assert keys(answer) == sorted(keys(answer))
        found += keys(answer)
        token = answer["next_token"]
        pages += 1

    assert found == ["0/b.csv", "1/b.csv", "2/b.csv", "in/a.csv", "in/a.csv", "in/a.csv"]
    assert pages <= 4


def test_a_page_asks_for_a_bounded_number_of_names(world: World) -> None:
    world.vault.put(0, ["in/last.csv"])
    names = [f"in/{number}" for number in range(150)]

    first = search(world, filename=[*names, "in/last.csv"])
    second = search(world, filename=[*names, "in/last.csv"], next_token=first["next_token"])

    assert (first["files"], keys(second), second["next_token"]) == ([], ["in/last.csv"], None)


def test_a_search_lists_a_whole_archive_or_job(world: World) -> None:
    archive = world.vault.put(0, ["in/a.csv", "in/c.csv"])
    world.vault.put(1, ["in/b.csv"])

    assert keys(search(world, archive_id=archive)) == ["in/a.csv", "in/c.csv"]
    assert keys(search(world, job_id=job_of(archive))) == ["in/a.csv", "in/b.csv", "in/c.csv"]
    assert keys(search(world, job_id="0" * 12)) == []


def test_a_search_may_be_held_to_a_bucket(world: World) -> None:
    world.vault.put(0, ["d/a"], bucket=OTHER)
    world.vault.put(1, ["d/a"], bucket=SOURCE)

    for query in ({"prefix": "d/"}, {"key": "d/a"}, {"name": "a"}):
        [file] = search(world, **query, bucket_name=OTHER)["files"]
        assert file["bucket"] == OTHER


def test_the_first_page_of_a_large_project_reads_a_bounded_few_objects(world: World) -> None:
    for number in range(60):
        world.vault.put(number, [f"{number:03}/{file:03}" for file in range(50)])
    world.s3.asked.clear()

    answer = search(world, prefix="", limit="100")

    assert len(answer["files"]) == 100
    assert len(world.s3.asked) <= 10


@pytest.mark.slow
def test_the_first_page_of_a_million_files_takes_a_bounded_few_queries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 archives of 1,000 files; of the archives, only those of the first page need be there to be read."""
    first = world.vault.put(0, [f"000/{file:04}" for file in range(1000)])
    [row] = ArchiveRow.query(archive_hash_key("demo", SOURCE))
    with ArchiveRow.batch_write() as batch:
        for number in range(1, 1000):
            archive_id = ArchiveId(f"{first[:12]}{number:04}")
            first_key = f"{number:03}/0000"
            changes = {
                "archive_id": archive_id,
                "first_key": first_key,
                "last_key": f"{number:03}/0999",
                "range_id": archive_range_key(first_key, archive_id),
            }
            batch.save(ArchiveRow(**row.attribute_values | changes))
    asked: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]
    monkeypatch.setattr(
        BaseClient,
        "_make_api_call",
        lambda client, operation, arguments: asked.append(operation) or call(client, operation, arguments),
    )
    world.s3.asked.clear()

    by_prefix = search(world, prefix="", limit="100")
    by_glob = search(world, glob="00?/00*", limit="10")
    by_key = search(world, key="000/0007")
    by_name = search(world, name="0007", limit="10")

    assert [len(answer["files"]) for answer in (by_prefix, by_glob, by_key, by_name)] == [100, 10, 1, 1]
    assert by_prefix["next_token"]
    queries = [operation for operation in asked if operation in {"Query", "Scan"}]
    assert queries.count("Scan") == 0
    assert len(queries) <= 2 * 4  # two buckets, each by prefix and by glob; one or two by key; one by name
    assert len(world.s3.asked) <= 12  # catalogs, headers and HEADs of four pages


def test_a_search_tells_what_is_readable_now_and_until_when(world: World) -> None:
    world.vault.put(0, ["a.csv"])
    before = search(world, key="a.csv")["files"][0]
    world.post(filename="a.csv")
    world.drain()
    during = search(world, key="a.csv")["files"][0]
    world.s3.advance(hours=12)
    after = search(world, key="a.csv")["files"][0]

    assert [before["readable"], during["readable"], after["readable"]] == ["COLD", "THAWING", "WARM"]
    assert after["readable_until"] == datetime(2026, 7, 5, tzinfo=UTC)


def test_nothing_found_is_an_empty_page(world: World) -> None:
    for query in ({"key": "x"}, {"name": "x"}, {"prefix": "x"}, {"glob": "x*"}, {"filename": "x,y/z"}):
        assert search(world, **query) == {"files": [], "next_token": None}


# How a request stands, file by file, in pages.


def pages_of(world: World, request_id: RequestId, limit: int) -> list[dict[str, Any]]:
    """Every page of its status."""
    pages, token = [], None
    while not pages or token is not None:
        pages.append(world.describe(request_id, limit=limit, token=token))
        token = pages[-1]["next_token"]
        assert len(pages) < 100
    return pages


@dataclass
class CountedDocuments:
    """Which parts' documents were read."""

    inner: PartDocuments
    read: list[ArchiveId] = field(default_factory=list)

    def wanted(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        self.read.append(archive_id)
        return self.inner.wanted(request_id, archive_id)

    def results(self, request_id: RequestId, archive_id: ArchiveId) -> tuple[FileResult, ...] | None:
        self.read.append(archive_id)
        return self.inner.results(request_id, archive_id)


@pytest.mark.parametrize(("limit", "expected"), [(4, 4), (5, 3), (15, 1), (1, 15)])
def test_the_files_of_a_request_come_in_pages_that_miss_none(world: World, limit: int, expected: int) -> None:
    for number in range(3):
        world.vault.put(number, [f"d/{number}/{file}" for file in range(5)])
    request_id = world.post(prefix="d/")

    told = pages_of(world, request_id, limit)

    found = [file["key"] for page in told for file in page["files"]]
    assert len(told) == expected
    assert found == [f"d/{number}/{file}" for number in range(3) for file in range(5)]


def test_the_parts_of_a_request_come_in_pages_though_their_lists_are_lost(world: World) -> None:
    archives = [world.vault.put(number, [f"d/{number}/a"]) for number in range(5)]
    request_id = world.post(prefix="d/")
    for archive in archives[:4]:
        boto3.client("s3").delete_object(Bucket="work", Key=part_key(request_id, archive))

    told = pages_of(world, request_id, 2)

    assert [[part["archive_id"] for part in page["parts"]] for page in told] == [
        archives[:2],
        archives[2:4],
        archives[4:],
    ]
    assert [[file["key"] for file in page["files"]] for page in told] == [[], [], ["d/4/a"]]


@pytest.mark.parametrize("lost", [False, True])
def test_a_page_reads_the_documents_of_its_own_parts_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    archives = [world.vault.put(number, [f"d/{number}/a", f"d/{number}/b"]) for number in range(6)]
    request_id = world.post(prefix="d/")
    for archive in archives if lost else ():
        boto3.client("s3").delete_object(Bucket="work", Key=part_key(request_id, archive))
    counted = CountedDocuments(world.ledger.documents)
    describe = replace(world.describe, documents=cast("PartDocuments", counted))
    monkeypatch.setattr("restore_intake.application.describing.MOST_PARTS_A_PAGE", 3)

    describe(request_id, limit=2, token=None)
    few = counted.read.copy()
    page = describe(request_id, limit=1000, token=None)

    assert few == (archives[:2] if lost else archives[:1])
    assert counted.read[len(few) :] == archives[:3]
    assert page["next_token"] == f"{archives[3]}:0"
