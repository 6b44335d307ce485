"""The catalog of an archive is lost or damaged: what is asked for by name is found all the same, the rest says so, and nothing hangs."""

import pytest

from fakes.restore_world import World
from fakes.vault import VAULT
from glaciate.errors import Problem
from glaciate.events import RestoreCompleted
from glaciate.names import ArchiveId, catalog_key, vault_key_of_zip
from glaciate.restores import RequestState
from restore_intake.domain.queries import FilesQuery, read_query

DAMAGED = [None, b"", b"no gzip", b"\x1f\x8b\x08\x00cut"]


def lose(world: World, archive: ArchiveId, left: bytes | None = None) -> None:
    world.s3.delete_object(Bucket=VAULT, Key=catalog_key(archive))
    if left is not None:
        world.s3.put_object(Bucket=VAULT, Key=catalog_key(archive), Body=left)


@pytest.mark.parametrize("left", DAMAGED)
def test_a_file_is_restored_by_name(world: World, left: bytes | None) -> None:
    world.vault.put(0, ["in/a.csv"])
    archive = world.vault.put(1, ["in/b.csv", "in/c.csv"])
    lose(world, archive, left)

    request_id = world.post(filename="c.csv")

    part = world.ledger.part(request_id, archive)
    assert part is not None
    assert (part.vault_bucket, part.vault_key) == (VAULT, vault_key_of_zip("archives/demo/", archive))
    assert [file.key for file in world.ledger.documents.wanted(request_id, archive)] == ["in/c.csv"]


@pytest.mark.parametrize("query", [{"key": "in/c.csv"}, {"name": "c.csv"}, {"filename": "in/c.csv,c.csv"}])
def test_a_file_is_found_by_name(world: World, query: dict[str, str]) -> None:
    archive = world.vault.put(1, ["in/b.csv", "in/c.csv"])
    lose(world, archive)

    given = {name: [value] for name, value in query.items()}
    found = world.list_files(read_query(FilesQuery, {"project_name": ["demo"], **given}))

    assert {(file["key"], file["archive_id"]) for file in found["files"]} == {("in/c.csv", archive)}


@pytest.mark.parametrize("left", DAMAGED)
def test_a_page_that_must_read_it_is_refused_and_says_what_helps(world: World, left: bytes | None) -> None:
    archive = world.vault.put(1, ["in/b.csv", "in/c.csv"])
    lose(world, archive, left)

    with pytest.raises(Problem, match=f"the catalog of archive {archive} is lost: restore one of its files") as refused:
        world.list_files(read_query(FilesQuery, {"project_name": ["demo"], "prefix": ["in/"]}))

    assert (refused.value.status, refused.value.code) == (409, "CatalogLost")


def test_a_small_prefix_is_refused_and_says_what_helps(world: World) -> None:
    world.vault.put(0, ["in/a.csv"])
    archive = world.vault.put(1, ["in/b.csv", "in/c.csv"])
    lose(world, archive)

    with pytest.raises(Problem, match="restore one file of each by its key") as refused:
        world.post(prefix="in/")

    assert (refused.value.status, refused.value.code) == (409, "CatalogLost")
    assert refused.value.details == {
        "archives": [{"archive_id": archive, "first_key": "in/b.csv", "last_key": "in/c.csv"}]
    }
    assert world.vault.put(2, ["else/d.csv"])
    world.post(prefix="else/")  # others are not disturbed


def test_a_large_prefix_gets_the_other_archives_and_says_which_one_it_did_not(world: World) -> None:
    archives = [world.vault.put(number, [f"d/{number:04}/{name}" for name in "ab"]) for number in range(25)]
    lose(world, archives[7])
    request_id = world.post(prefix="d/")

    world.drain()

    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.parts, request.files) == (RequestState.THAWING, 24, 48)
    (lost,) = request.missing
    assert f"files of archive {archives[7]}, from d/0007/a to d/0007/b: its catalog is lost" in lost


@pytest.mark.slow
def test_what_is_lost_is_said_once_though_the_archives_are_read_twice(world: World) -> None:
    archives = [world.vault.put(number, [f"d/{number:04}/a"]) for number in range(25)]
    lose(world, archives[7])
    request_id = world.post(prefix="d/")
    request = world.requests.get(request_id)
    assert request is not None

    for _ in range(2):  # each begins where nothing says how far anybody has come
        world.thaw_files.resolve._resolve_archives(request, set())
    world.drain()

    request = world.requests.get(request_id)
    assert request is not None
    assert len(request.missing) == 1


def test_a_large_prefix_of_which_nothing_is_known_ends_and_says_why(world: World) -> None:
    archives = [world.vault.put(number, [f"d/{number:04}/a"]) for number in range(25)]
    for archive in archives:
        lose(world, archive)
    request_id = world.post(prefix="d/")

    world.drain()

    request = world.requests.get(request_id)
    assert request is not None
    assert (request.state, request.parts) == (RequestState.FAILED, 0)
    assert len(request.missing) == len(archives)
    [ended] = [event for event in world.told() if isinstance(event, RestoreCompleted)]
    assert ended.missing_names == request.missing
