"""Unpacking: whoever waits gets their files, whatever happens in between."""

import threading
from datetime import UTC, datetime

import pytest

from fakes.unpack_world import ARCHIVE, FILES, LARGE, ONE, OTHER, VAULT_KEY, World, readable
from fakes.unpacking import (
    VAULT_BUCKET,
    header_of,
    member,
)
from glaciate.catalog import Member, Skipped
from glaciate.errors import Transient
from glaciate.events import ArchiveReadable, Outcome
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import WantedFile
from glaciate.restores import PartState
from glaciate.worker_loop import Stopped


@pytest.fixture
def world() -> World:
    return World()


def test_the_wanted_files_and_no_others_arrive_complete(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt", "in/empty", "in/large.bin")

    world.unpack()(readable())

    assert world.contents() == {f"{ONE}/{key}": FILES[key] for key in ("in/a.txt", "in/empty", "in/large.bin")}
    assert world.state(ONE) is PartState.COMPLETED
    assert world.told() == {ONE: Outcome.COMPLETED}
    assert world.ledger.waiting_requests(ARCHIVE) == ()


def test_our_own_event_does_the_same(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt")

    world.unpack()(
        ArchiveReadable(correlation_id="c", archive_id=ARCHIVE, vault_bucket=VAULT_BUCKET, vault_key=VAULT_KEY)
    )

    assert world.contents() == {f"{ONE}/in/a.txt": FILES["in/a.txt"]}


def test_one_read_serves_everybody_who_waits(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt", "in/large.bin")
    world.want(OTHER, "in/large.bin", "in/a.txt")

    world.unpack()(readable())

    expected = {f"{request}/{key}": FILES[key] for request in (ONE, OTHER) for key in ("in/a.txt", "in/large.bin")}
    assert world.contents() == expected
    assert world.told() == {ONE: Outcome.COMPLETED, OTHER: Outcome.COMPLETED}
    assert len(world.vault.reads) == len(set(world.vault.reads))
    assert sum(end - start for start, end in world.vault.reads) <= len(LARGE) + 200


def test_only_the_bytes_of_wanted_files_are_read(world: World) -> None:
    world.archive()
    world.want(ONE, "in/c ü.txt")

    world.unpack()(readable())

    assert [end - start for start, end in world.vault.reads] == [505]


def test_a_damaged_file_is_reported_and_the_others_arrive(world: World) -> None:
    world.archive()
    world.flip("in/c ü.txt")
    world.flip("in/large.bin")
    world.want(ONE, *FILES)

    world.unpack()(readable())

    reasons = world.results(ONE)
    assert {key for key, reason in reasons.items() if reason} == {"in/c ü.txt", "in/large.bin"}
    assert all("damaged in archive" in reason for reason in reasons.values() if reason)
    assert world.contents() == {
        f"{ONE}/{key}": FILES[key] for key in FILES if key not in {"in/c ü.txt", "in/large.bin"}
    }
    assert {upload.state for upload in world.restored.uploads} == {"aborted"}
    assert world.told() == {ONE: Outcome.PARTIAL}


def test_a_file_that_the_catalog_does_not_list_is_reported(world: World) -> None:
    world.archive(skipped=(Skipped("in/changed.txt", "rewritten while it was packed"),))
    world.want(ONE, "in/a.txt", "in/unknown.txt", "in/changed.txt")

    world.unpack()(readable())

    assert world.results(ONE) == {
        "in/a.txt": None,
        "in/unknown.txt": f"the catalog of archive {ARCHIVE} does not list it",
        "in/changed.txt": "it was left out of the archive: rewritten while it was packed",
    }
    assert world.state(ONE) is PartState.PARTIAL


def test_a_catalog_that_cannot_be_used_fails_the_part_and_says_so(world: World) -> None:
    world.archive()
    world.catalogs.documents[ARCHIVE] = b"{}\n"
    world.want(ONE, "in/a.txt")

    world.unpack()(readable())

    assert "cannot be used: not a catalog" in (world.results(ONE)["in/a.txt"] or "")
    assert world.told() == {ONE: Outcome.FAILED}


def test_a_part_whose_list_is_lost_ends_and_the_others_get_their_files(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt", "in/empty")
    world.want(OTHER, "in/a.txt")
    del world.documents.wants[ONE, ARCHIVE]

    world.unpack()(readable())

    part = world.ledger.parts[ONE, ARCHIVE]
    assert (part.state, part.restored, part.failed) == (PartState.FAILED, 0, 2)
    assert "what it wanted is not known any more" in (part.reason or "")
    assert world.contents() == {f"{OTHER}/in/a.txt": FILES["in/a.txt"]}
    assert world.told() == {ONE: Outcome.FAILED, OTHER: Outcome.COMPLETED}
    assert world.ledger.waiting_requests(ARCHIVE) == ()


def test_a_list_that_cannot_be_read_now_leaves_everybody_waiting(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt")
    wanted = world.documents.wanted

    def throttled(request_id: RequestId, archive_id: ArchiveId) -> tuple[WantedFile, ...]:
        msg = "slow down"
        raise Transient(msg)

    world.documents.wanted = throttled  # type: ignore[method-assign]
    with pytest.raises(Transient):
        world.unpack()(readable())
    assert world.ledger.waiting_requests(ARCHIVE) == (ONE,)

    world.documents.wanted = wanted  # type: ignore[method-assign]
    world.unpack()(readable())

    assert world.told() == {ONE: Outcome.COMPLETED}


def test_a_vanished_archive_fails_its_parts_and_no_others(world: World) -> None:
    world.archive()
    del world.vault.archives[VAULT_KEY]
    world.want(ONE, "in/a.txt", "in/large.bin")
    second = ArchiveId("01aaaaa000010001")
    world.want(ONE, "in/elsewhere", archive_id=second)

    world.unpack()(readable())

    assert set(world.results(ONE).values()) == {f"the archive {ARCHIVE} is no longer in the vault"}
    assert world.state(ONE) is PartState.FAILED
    assert world.ledger.parts[ONE, second].state is PartState.THAWING
    assert world.told() == {}


def test_a_copy_that_has_expired_is_thawed_again_for_everybody(world: World) -> None:
    world.archive()
    world.vault.cold.add(VAULT_KEY)
    world.want(ONE, "in/a.txt")
    world.want(OTHER, "in/large.bin")

    world.unpack()(readable())

    assert (world.state(ONE), world.state(OTHER)) == (PartState.PENDING, PartState.PENDING)
    assert world.sent.commands == [
        ThawFiles(correlation_id="e-1", request_id=request_id) for request_id in (ONE, OTHER)
    ]
    assert world.contents() == {}
    assert world.told() == {}
    assert world.ledger.waiting_requests(ARCHIVE) == (ONE, OTHER)

    world.vault.cold.clear()
    world.unpack()(readable())

    assert world.told() == {ONE: Outcome.COMPLETED, OTHER: Outcome.COMPLETED}


def test_a_copy_that_expires_half_way_keeps_what_has_arrived(world: World) -> None:
    world.archive()
    world.want(ONE, "in/large.bin")
    world.want(OTHER, "in/a.txt", "in/large.bin")
    whole = world.vault.whole

    def expiring(vault_key: str) -> bytes:
        if len(world.vault.reads) > 3:  # the large file takes three
            world.vault.cold.add(vault_key)
        return whole(vault_key)

    world.vault.whole = expiring  # type: ignore[method-assign]
    world.unpack(read_concurrency=1, write_concurrency=1)(readable())

    assert world.told() == {ONE: Outcome.COMPLETED}
    assert world.state(OTHER) is PartState.PENDING
    assert [command.request_id for command in world.sent.commands if isinstance(command, ThawFiles)] == [OTHER]


@pytest.mark.parametrize(
    ("key", "bucket"),
    [
        ("somebody/elses.zip", VAULT_BUCKET),
        ("catalogs/x.jsonl.gz", VAULT_BUCKET),
        (VAULT_KEY, "another-bucket"),
    ],
)
def test_what_is_not_an_archive_of_ours_is_left_alone(world: World, key: str, bucket: str) -> None:
    world.archive()
    world.want(ONE, "in/a.txt")

    world.unpack()(readable(key, bucket))

    assert world.state(ONE) is PartState.THAWING
    assert (world.vault.reads, world.sent.events) == ([], [])


def test_an_archive_nobody_waits_for_is_not_read(world: World) -> None:
    world.archive()

    world.unpack()(readable())

    assert world.vault.reads == []


def test_a_second_delivery_changes_nothing(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt", "in/large.bin")
    unpack = world.unpack()

    unpack(readable())
    reads = len(world.vault.reads)
    unpack(readable())

    assert len(world.vault.reads) == reads
    assert len(world.sent.events) == 1


def test_a_cancelled_request_gets_nothing_and_disturbs_nobody(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt")
    world.want(OTHER, "in/a.txt")
    world.ledger.cancelled.add(ONE)

    world.unpack()(readable())

    assert world.contents() == {f"{OTHER}/in/a.txt": FILES["in/a.txt"]}
    assert world.told() == {OTHER: Outcome.COMPLETED}


def test_a_destination_that_holds_another_file_is_reported_and_untouched(world: World) -> None:
    world.archive()
    world.want(ONE, "in/a.txt", "in/large.bin", "in/empty")
    for key in ("in/a.txt", "in/large.bin"):
        world.restored.files[f"{ONE}/{key}"] = (b"somebody's", member(key, b"somebody's"))

    world.unpack()(readable())

    reasons = world.results(ONE)
    assert all("holds another file" in (reasons[key] or "") for key in ("in/a.txt", "in/large.bin"))
    assert world.contents()[f"{ONE}/in/a.txt"] == b"somebody's"
    assert world.told() == {ONE: Outcome.PARTIAL}


def test_files_go_back_to_where_they_came_from_and_the_restore_bucket_gets_none(world: World) -> None:
    world.archive()
    world.want_back(ONE, *FILES)
    world.want(OTHER, "in/a.txt")

    world.unpack()(readable())

    back = {key: content for (_bucket, key), (content, _) in world.originals.objects.items()}
    assert back == FILES
    assert {bucket for bucket, _key in world.originals.objects} == {"sources"}
    assert world.contents() == {f"{OTHER}/in/a.txt": FILES["in/a.txt"]}
    results = world.documents.results(ONE, ARCHIVE)
    assert results is not None
    assert {result.bucket for result in results} == {"sources"}
    assert world.told() == {ONE: Outcome.COMPLETED, OTHER: Outcome.COMPLETED}


def test_a_newer_object_at_its_old_place_fails_that_file_alone(world: World) -> None:
    world.archive()
    newer = (b"written since", datetime(2026, 6, 1, tzinfo=UTC))
    for key in ("in/a.txt", "in/large.bin"):
        world.originals.objects["sources", key] = newer
    world.want_back(ONE, *FILES)

    world.unpack()(readable())

    reasons = world.results(ONE)
    assert {key for key, reason in reasons.items() if reason} == {"in/a.txt", "in/large.bin"}
    assert all("newer object is there" in reason for reason in reasons.values() if reason)
    assert world.originals.objects["sources", "in/large.bin"] == newer
    assert world.told() == {ONE: Outcome.PARTIAL}


def test_what_is_back_already_counts_as_restored_and_stays_as_it_is(world: World) -> None:
    world.archive()
    earlier = datetime(2026, 6, 1, tzinfo=UTC)
    world.originals.objects |= {("sources", key): (content, earlier) for key, content in FILES.items()}
    world.want_back(ONE, *FILES)

    world.unpack()(readable())

    assert {modified for _, modified in world.originals.objects.values()} == {earlier}
    assert world.told() == {ONE: Outcome.COMPLETED}


def test_a_file_kept_as_it_is_is_copied_to_everybody(world: World) -> None:
    header = header_of(ARCHIVE, "object")
    world.vault.archives[header.vault_key] = LARGE
    world.catalogs.keep(header, (member("in/large.bin", LARGE),))
    world.want(ONE, "in/large.bin")
    world.want(OTHER, "in/large.bin")

    world.unpack()(readable(header.vault_key))

    assert world.contents() == {f"{request}/in/large.bin": LARGE for request in (ONE, OTHER)}
    assert world.vault.reads == []
    assert world.told() == {ONE: Outcome.COMPLETED, OTHER: Outcome.COMPLETED}


def test_a_file_kept_as_it_is_without_readable_copy_is_thawed_again(world: World) -> None:
    header = header_of(ARCHIVE, "object")
    world.vault.archives[header.vault_key] = LARGE
    world.vault.cold.add(header.vault_key)
    world.catalogs.keep(header, (member("in/large.bin", LARGE),))
    world.want(ONE, "in/large.bin")

    world.unpack()(readable(header.vault_key))

    assert world.state(ONE) is PartState.PENDING


def test_sigterm_leaves_no_upload_behind(world: World) -> None:
    world.archive()
    world.want(ONE, "in/large.bin")
    whole = world.vault.whole
    calls = 0

    def interrupted(vault_key: str) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Stopped
        return whole(vault_key)

    world.vault.whole = interrupted  # type: ignore[method-assign]

    with pytest.raises(Stopped):
        world.unpack()(readable())

    assert {upload.state for upload in world.restored.uploads} == {"aborted"}
    assert world.contents() == {}
    assert world.state(ONE) is PartState.UNPACKING


def test_files_that_are_read_together_are_written_side_by_side(world: World) -> None:
    world.archive({"a": b"first", "b": b"second"})
    world.want(ONE, "a", "b")
    both = threading.Barrier(2, timeout=10)
    put = world.restored.put

    def put_beside_another(destination: str, known: Member, content: bytes) -> None:
        both.wait()
        put(destination, known, content)

    world.restored.put = put_beside_another  # type: ignore[method-assign]

    world.unpack()(readable())

    assert len(world.vault.reads) == 1
    assert world.told() == {ONE: Outcome.COMPLETED}


def test_a_write_that_may_work_later_leaves_the_part_to_the_next_delivery(world: World) -> None:
    world.archive()
    world.want(ONE, *FILES)
    put = world.restored.put

    def put_badly(destination: str, known: Member, content: bytes) -> None:
        if known.key == "in/deep/b.txt":
            msg = "slow down"
            raise Transient(msg)
        put(destination, known, content)

    world.restored.put = put_badly  # type: ignore[method-assign]
    with pytest.raises(Transient, match="slow down"):
        world.unpack()(readable())
    assert (world.state(ONE), world.sent.events) == (PartState.UNPACKING, [])

    world.restored.put = put  # type: ignore[method-assign]
    world.unpack()(readable())

    assert world.contents() == {f"{ONE}/{key}": content for key, content in FILES.items()}
