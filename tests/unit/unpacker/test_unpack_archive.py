"""Unpacking: whoever waits gets their files, whatever happens in between."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from fakes.mortal import Killed, Life
from fakes.restore_ledger import FakePartDocuments, FakeRestoreLedger
from fakes.unpacking import (
    VAULT_BUCKET,
    FakeCatalogs,
    FakeOriginalFiles,
    FakeRestoredFiles,
    FakeVault,
    header_of,
    member,
    zip_of,
)
from glaciate.catalog import Member, Skipped
from glaciate.contracts import Command, Event
from glaciate.errors import Transient
from glaciate.events import ArchiveReadable, ObjectRestoreCompleted, Outcome, RestoreCompleted
from glaciate.messages import ThawFiles
from glaciate.names import ArchiveId, RequestId
from glaciate.parts import FileResult, WantedFile
from glaciate.restores import PartState
from glaciate.worker_loop import Stopped
from unpacker.application import RebuildCatalog, UnpackArchive, UnpackMembers
from unpacker.domain import ReadLimits

ARCHIVE = ArchiveId("01aaaaa000010000")
VAULT_KEY = header_of(ARCHIVE).vault_key
ONE = RequestId("r-01aaaaa00001")
OTHER = RequestId("r-01aaaaa00002")
THIRD = RequestId("r-01aaaaa00003")
LARGE = os.urandom(5_000)
FILES = {
    "in/a.txt": b"the first file, the first file, the first file",
    "in/deep/b.txt": b"the second file " * 10,
    "in/empty": b"",
    "in/c ü.txt": os.urandom(500),
    "in/large.bin": LARGE,
}


@dataclass
class Sent:
    """A queue and a bus that remember."""

    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def send(self, *commands: Command) -> None:
        self.commands += commands

    def publish(self, *events: Event) -> None:
        self.events += events


@dataclass
class World:
    """Everything around the use case."""

    ledger: FakeRestoreLedger = field(default_factory=FakeRestoreLedger)
    documents: FakePartDocuments = field(default_factory=FakePartDocuments)
    catalogs: FakeCatalogs = field(default_factory=FakeCatalogs)
    vault: FakeVault = field(default_factory=FakeVault)
    sent: Sent = field(default_factory=Sent)
    restored: FakeRestoredFiles = field(init=False)
    originals: FakeOriginalFiles = field(init=False)

    def __post_init__(self) -> None:
        self.restored = FakeRestoredFiles(self.vault)
        self.originals = FakeOriginalFiles(self.vault)

    def archive(self, files: Mapping[str, bytes] = FILES, skipped: tuple[Skipped, ...] = ()) -> None:
        self.vault.archives[VAULT_KEY], members = zip_of(files)
        self.catalogs.keep(header_of(ARCHIVE), members, skipped)

    def want(self, request_id: RequestId, *keys: str, archive_id: ArchiveId = ARCHIVE) -> None:
        files = tuple(WantedFile(key, f"{request_id}/{key}", len(FILES.get(key, b""))) for key in keys)
        self.documents.put_wanted(request_id, archive_id, files)
        self.ledger.add(request_id, archive_id, vault_key=VAULT_KEY, files=len(files))

    def want_back(self, request_id: RequestId, *keys: str, replaces: datetime | None = None) -> None:
        """Wants files where they came from."""
        files = tuple(WantedFile(key, key, len(FILES.get(key, b"")), "sources", replaces) for key in keys)
        self.documents.put_wanted(request_id, ARCHIVE, files)
        self.ledger.add(request_id, ARCHIVE, vault_key=VAULT_KEY, files=len(files))

    def flip(self, key: str) -> None:
        """Damages one byte of a member."""
        found = self.catalogs.read(ARCHIVE, frozenset({key})).members[key]
        data = bytearray(self.vault.archives[VAULT_KEY])
        data[found.offset + found.compressed_size // 2] ^= 0x10
        self.vault.archives[VAULT_KEY] = bytes(data)

    def unpack(
        self, life: Life | None = None, *, read_concurrency: int = 3, write_concurrency: int = 2
    ) -> UnpackArchive:
        wrap: Callable[[Any], Any] = life.wrap if life else lambda thing: thing
        limits = ReadLimits(gap_bytes=64, limit_bytes=2_000, whole_share=0.85, whole_member_bytes=1_000)
        catalogs, vault = wrap(self.catalogs), wrap(self.vault)
        return UnpackArchive(
            vault_bucket=VAULT_BUCKET,
            ledger=wrap(self.ledger),
            catalogs=catalogs,
            rebuild_catalog=RebuildCatalog(vault, catalogs, limits.limit_bytes),
            documents=wrap(self.documents),
            unpack=UnpackMembers(
                vault,
                wrap(self.restored),
                wrap(self.originals),
                limits,
                read_concurrency,
                write_concurrency,
            ),
            thaw_queue=wrap(self.sent),
            bus=wrap(self.sent),
        )

    def contents(self) -> dict[str, bytes]:
        return {key: content for key, (content, _) in self.restored.files.items()}

    def results(self, request_id: RequestId) -> dict[str, str | None]:
        """The reason of each wanted file, None where it was restored."""
        results = self.documents.results(request_id, ARCHIVE)
        assert results is not None
        return {result.key: result.reason for result in results}

    def state(self, request_id: RequestId) -> PartState:
        return self.ledger.parts[request_id, ARCHIVE].state

    def told(self) -> dict[RequestId, Outcome]:
        return {event.request_id: event.outcome for event in self.sent.events if isinstance(event, RestoreCompleted)}


@pytest.fixture
def world() -> World:
    return World()


def readable(key: str = VAULT_KEY, bucket: str = VAULT_BUCKET) -> ObjectRestoreCompleted:
    return ObjectRestoreCompleted(correlation_id="e-1", vault_bucket=bucket, vault_key=key)


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


def eventful(world: World) -> None:
    """Two requests, files shared and not, one damaged, one unknown."""
    world.archive()
    world.flip("in/c ü.txt")
    world.want(ONE, "in/a.txt", "in/large.bin", "in/c ü.txt")
    world.want(OTHER, "in/a.txt", "in/deep/b.txt", "in/empty", "in/unknown")
    before, after = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC)
    world.originals.objects = {
        ("sources", "in/deep/b.txt"): (b"there when it was asked for", before),
        ("sources", "in/a.txt"): (b"written since", after),
    }
    world.want_back(THIRD, *FILES, replaces=datetime(2026, 6, 2, tzinfo=UTC))


def end_of(world: World) -> tuple[object, ...]:
    return (
        world.contents(),
        world.originals.objects,
        world.documents.outcomes,
        world.ledger.parts,
        world.ledger.waiters,
        world.ledger.announced,
        world.told(),
    )


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_worker_killed_at_any_step_ends_in_the_same_state(after_effect: bool) -> None:
    undisturbed = World()
    eventful(undisturbed)
    life = Life()
    undisturbed.unpack(life, read_concurrency=1, write_concurrency=1)(readable())
    assert life.calls > 20

    for step in range(life.calls):
        world = World()
        eventful(world)
        with pytest.raises(Killed):
            world.unpack(Life(step, after_effect=after_effect), read_concurrency=1, write_concurrency=1)(readable())
        _nothing_is_reported_that_is_not_there(world)

        world.unpack()(readable())

        assert end_of(world) == end_of(undisturbed), f"killed at step {step}"
        assert len(world.sent.events) - len(undisturbed.sent.events) <= 1


def _nothing_is_reported_that_is_not_there(world: World) -> None:
    contents = world.contents()
    originals = {key: content for (_, key), (content, _) in world.originals.objects.items()}
    assert originals["in/a.txt"] == b"written since"
    for results in world.documents.outcomes.values():
        for result in results:
            if result.state == "RESTORED":
                there = contents if result.bucket is None else originals
                assert there[result.destination] == FILES[result.key]
    assert all(content in FILES.values() for content in contents.values())


def test_a_result_says_restored_only_of_files_that_are_there(world: World) -> None:
    eventful(world)

    world.unpack()(readable())

    _nothing_is_reported_that_is_not_there(world)
    assert world.documents.outcomes[ONE, ARCHIVE][0] == FileResult(
        "in/a.txt", f"{ONE}/in/a.txt", "RESTORED", len(FILES["in/a.txt"])
    )
