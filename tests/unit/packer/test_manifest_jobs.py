"""Jobs that take their files from a manifest: every file once, in key order, whatever order the rows have, and whatever happens."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from hashlib import md5
from itertools import pairwise
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.packer_steps import Steps, drain
from fakes.packer_world import START, FakeManifests, FakeNotes, FakeObject, World
from faults import Killed
from glaciate.errors import Transient
from glaciate.events import ArchiveJobCompleted, Outcome
from glaciate.manifests import SourceList
from glaciate.requests import DeclaredManifest, Disposition
from packer.application import SortManifest
from packer.domain.archives import JobState
from packer.domain.sorted_rows import TOLD_TWICE
from packer.domain.sources import UNKNOWN_TIME, read_plan_lines
from packer.ports import NotesMissing

LIST = ("lists", "list.csv")
INVENTORY = ("lists", "inv/2026-07-01T00-00Z/manifest.json")


def csv_of(rows: Iterable[tuple[object, ...]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def with_csv(world: World, text: bytes | str, **order: Any) -> None:
    data = text.encode() if isinstance(text, str) else text
    world.manifests[LIST] = data
    source = SourceList(kind="csv", bucket=LIST[0], key=LIST[1], etag=FakeObject(data, START).etag)
    world.accept(source=source, **order)


def with_inventory(
    world: World, *files: bytes, columns: str = "Bucket, Key, Size, LastModifiedDate, ETag", **order: Any
) -> None:
    listed = []
    for number, data in enumerate(files):
        key = f"inv/data/{number}.csv.gz"
        world.manifests["lists", key] = data
        listed.append({"key": key, "size": len(data), "MD5checksum": md5(data, usedforsecurity=False).hexdigest()})
    document = json.dumps(
        {
            "sourceBucket": "source",
            "destinationBucket": "arn:aws:s3:::lists",
            "fileFormat": "CSV",
            "fileSchema": columns,
            "files": listed,
        }
    ).encode()
    world.manifests[INVENTORY] = document
    source = SourceList(kind="inventory", bucket=INVENTORY[0], key=INVENTORY[1], etag=FakeObject(document, START).etag)
    world.accept(source=source, **order)


def completed(world: World) -> ArchiveJobCompleted:
    (event,) = world.named("ArchiveJobCompleted.v1")
    assert isinstance(event, ArchiveJobCompleted)
    return event


FILES = {f"in/{number:02}": b"line of text\n" * number for number in range(12)} | {
    "in/ä\n\x01": b"odd",
    "in/😀": b"emoji",
}
BIG = {"in/05-big": b"big" * 1000}
SHUFFLED = sorted(FILES | BIG, key=lambda key: md5(key.encode(), usedforsecurity=False).digest())


def new_world(**order: Any) -> World:
    """A manifest in no order, with a repeated row, a row without an ETag among others, and files that are not on it."""
    world = World()
    world.put(FILES | BIG)
    world.put({"in/not-listed": b"stays"})
    rows: list[tuple[object, ...]] = []
    for place, key in enumerate(SHUFFLED):
        found = world.source[key]
        rows.append(("source", key, len(found.body), found.etag.strip('"') if place % 3 else ""))
    rows.append(rows[0])
    fields = {"prefix": "in/", "max_files": 3, "disposition": Disposition.DELETE, "direct_threshold_bytes": 2000}
    with_csv(world, csv_of([("bucket", "key", "size", "etag"), *rows]), **{**fields, **order})
    return world


def assert_all_is_archived(world: World) -> None:
    assert completed_once(world).outcome is Outcome.COMPLETED
    assert sorted(world.members()) == sorted(FILES | BIG), "each file once"
    assert set(world.source) == {"in/not-listed"}
    assert len(world.vault) == world.completions
    assert not world.open_uploads
    assert sorted(key for _, key in world.index) == sorted(FILES | BIG)
    record = world.record
    assert (record.job.listed, record.planned, record.archived, record.skipped) == (15, 15, 15, 0)
    for member in world.archived():
        assert member.etag == FakeObject((FILES | BIG)[member.key], START).etag
        assert member.modified > UNKNOWN_TIME


def completed_once(world: World) -> ArchiveJobCompleted:
    events = world.named("ArchiveJobCompleted.v1")
    assert len(set(events)) == 1
    assert isinstance(events[0], ArchiveJobCompleted)
    return events[0]


def test_an_unsorted_manifest_is_archived_in_key_order_each_file_once() -> None:
    world = new_world()

    drain(world)

    assert_all_is_archived(world)
    zips = [record for record in world.archives.values() if record.archive.kind == "zip"]
    ranges = []
    for record in zips:
        plan = gzip.decompress(world.plans[record.archive.plan_key])
        keys = [file.key for file in read_plan_lines(plan.splitlines())]
        assert keys == sorted(keys)
        assert record.archive.first_key == keys[0]
        ranges.append((keys[0], keys[-1]))
    assert ranges == sorted(ranges)
    assert all(one[1] < other[0] for one, other in pairwise(ranges)), "archives do not overlap"


STEPS = Steps()
drain(new_world(), STEPS)
PARTS = 4
PLANNING = ("FakeManifests", "FakeNotes", "FakePlans.put", "FakeJobs", "World.send")
TRIED = [  # how packing goes on after a crash does not depend on where the files came from: test_commit_protocol.py
    at for at, name in enumerate(STEPS.names, 1) if any(call in name for call in PLANNING) or at % 9 == 0
]


@pytest.mark.slow
@pytest.mark.parametrize("share", range(PARTS))
def test_a_planner_that_dies_at_any_step_changes_nothing_in_the_end(share: int) -> None:
    def die() -> None:
        raise Killed

    for at in TRIED[share::PARTS]:
        world = new_world()

        with pytest.raises(Killed):
            drain(world, Steps(at, die))
        drain(world)

        assert_all_is_archived(world)


def test_the_steps_cover_reading_sorting_and_merging() -> None:
    names = set(STEPS.names)

    assert {"before FakeManifests.read", "before FakeNotes.put", "before FakeNotes.find"} <= names
    assert any(name.startswith("2/") for name in finished().notes), "runs are merged more than once"


def finished() -> World:
    world = new_world()
    drain(world)
    return world


@pytest.mark.slow
@pytest.mark.parametrize("share", range(PARTS))
def test_a_transient_failure_at_any_step_changes_nothing_in_the_end(share: int) -> None:
    def fail() -> None:
        raise Transient("SlowDown")

    for at in TRIED[share::PARTS]:
        world = new_world()

        drain(world, Steps(at, fail))

        assert_all_is_archived(world)


def test_two_planners_at_once_plan_the_same() -> None:
    for at in TRIED[::4]:
        world = new_world()

        def again(world: World = world) -> None:
            if world.in_hand is not None and world.in_hand.name == "PlanArchives.v1":
                world.queue.append(world.in_hand)
                drain(world)

        drain(world, Steps(at, again))

        assert_all_is_archived(world)


@pytest.mark.slow
def test_a_slower_planner_that_notes_less_progress_at_any_step_does_no_harm() -> None:
    for at in TRIED[::5]:
        world = new_world(manifest=DeclaredManifest(file_count=len(FILES | BIG)))

        drain(world, Steps(at, lambda world=world: world.notes.pop("progress.json", None)))  # type: ignore[misc]

        assert_all_is_archived(world)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world.manifests.update({LIST: b"source,in/not-listed,5\n"}),
        lambda world: world.manifests.pop(LIST),
    ],
)
def test_a_manifest_that_changed_since_it_was_accepted_fails_the_job_with_the_reason(
    spoil: Callable[[World], object],
) -> None:
    world = new_world()
    spoil(world)

    drain(world)

    event = completed(world)
    assert event.outcome is Outcome.FAILED
    assert "s3://lists/list.csv" in (event.reason or "")
    assert not world.vault
    assert set(FILES) <= set(world.source)


def test_a_manifest_that_changes_while_it_is_read_archives_nothing() -> None:
    last_read = max(at for at, name in enumerate(STEPS.names, 1) if name == "before FakeManifests.read")
    world = new_world()

    drain(world, Steps(last_read, lambda: world.manifests.update({LIST: b"source,in/not-listed,5\n"})))

    assert completed(world).outcome is Outcome.FAILED
    assert not world.archives


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,in/01,13\nsource,in/02\n", "row 2: it has 2 fields"),
        ("source,in/01,13\nother,in/02,26\n", "row 2: it is of bucket 'other'"),
        ("source,in/01,13\nsource,out/02,26\n", "row 2: its key 'out/02' is not under the job's prefix 'in/'"),
    ],
)
def test_a_wrong_row_fails_the_job_before_anything_is_packed(text: str, said: str) -> None:
    world = World()
    world.put(FILES)
    with_csv(world, text, prefix="in/", disposition=Disposition.DELETE)

    drain(world)

    assert completed(world).outcome is Outcome.FAILED
    assert f"s3://lists/list.csv: {said}" in (completed(world).reason or "")
    assert not world.archives
    assert set(world.source) == set(FILES)


def test_what_is_gone_or_changed_is_skipped_with_the_reason_and_never_deleted() -> None:
    world = World()
    world.put({"a": b"aa", "b": b"bb", "c": b"cc", "d": b"dd"})
    etag = world.source["a"].etag.strip('"')
    wrong = "0" * 32
    with_csv(
        world,
        f"source,a,2,{etag}\nsource,b,2,{wrong}\nsource,c,7\nsource,d,2\nsource,gone,1\n",
        disposition=Disposition.DELETE,
    )

    drain(world)

    assert completed(world).outcome is Outcome.PARTIAL
    assert world.members() == ["a", "d"]
    assert set(world.source) == {"b", "c"}
    assert world.skipped == {
        "b": "it was rewritten since it was listed",
        "c": "it has 2 bytes, but 7 were listed",
        "gone": "it vanished since it was listed",
    }


def test_a_file_that_is_named_differently_twice_is_left_and_said_so() -> None:
    world = World()
    world.put({"a": b"aa", "b": b"bb"})
    with_csv(world, "source,a,2\nsource,b,2\nsource,a,3\n", disposition=Disposition.DELETE)

    drain(world)

    assert world.members() == ["b"]
    assert world.skipped == {"a": TOLD_TWICE}
    assert set(world.source) == {"a"}


def test_a_file_without_an_etag_that_is_rewritten_after_it_was_read_is_kept() -> None:
    def one_file() -> World:
        world = World()
        world.put({"a": b"old"})
        with_csv(world, "source,a,3\n", disposition=Disposition.DELETE)
        return world

    steps = Steps()
    drain(one_file(), steps)
    world = one_file()

    drain(world, Steps(steps.names.index("before FakeSources.delete") + 1, lambda: world.put({"a": b"new"})))

    assert world.source["a"].body == b"new"
    assert world.skipped == {"a": "archived, but the source was rewritten since and is kept"}


@pytest.mark.parametrize(
    ("declared", "outcome"),
    [({"file_count": 2, "total_size": 5}, Outcome.COMPLETED), ({"file_count": 3}, Outcome.FAILED)],
)
def test_a_declared_count_is_of_files_not_of_rows(declared: dict[str, int], outcome: Outcome) -> None:
    world = World()
    world.put({"a": b"aa", "b": b"bbb"})
    manifest = DeclaredManifest.model_validate(declared)
    with_csv(world, "source,b,3\nsource,a,2\nsource,b,3\n", manifest=manifest)

    drain(world)

    assert completed(world).outcome is outcome
    if outcome is Outcome.FAILED:
        assert completed(world).reason == "in s3://lists/list.csv 2 files are there, but the manifest declares 3"
        assert not world.archives


def test_filters_work_on_a_manifest_and_older_than_needs_its_times() -> None:
    world = World()
    world.put({"a.csv": b"a", "b.csv": b"b", "c.tmp": b"c"})
    header = "bucket,key,size,last_modified\n"
    rows = "source,a.csv,1,2020-01-01\nsource,b.csv,1,2026-06-30T00:00:00Z\nsource,c.tmp,1,2020-01-01\n"
    with_csv(world, header + rows, include=("*.csv",), older_than=START.replace(year=2025))

    drain(world)

    assert world.members() == ["a.csv"]
    assert world.skipped.keys() == {"b.csv", "c.tmp"}
    world = World()
    with_csv(world, "source,a.csv,1\n", older_than=START)
    drain(world)
    assert "row 1: it says no time of last modification" in (completed(world).reason or "")


def test_an_empty_manifest_completes_with_no_archive() -> None:
    world = World()
    with_csv(world, "")

    drain(world)

    assert world.record.job.state is JobState.COMPLETED
    assert not world.archives


def inventory_rows(world: World, keys: Iterable[str]) -> bytes:
    rows = [
        (
            "source",
            quote_plus(key),
            len(world.source[key].body),
            "2026-06-01T00:00:00.000Z",
            world.source[key].etag.strip('"'),
        )
        for key in keys
    ]
    return gzip.compress(csv_of(rows))


def inventory_world(**order: Any) -> World:
    world = World()
    world.put(FILES | {"elsewhere": b"x"})
    keys = [key for key in SHUFFLED if key in FILES] + ["elsewhere"]
    with_inventory(
        world, inventory_rows(world, keys[:6]), inventory_rows(world, []), inventory_rows(world, keys[6:]), **order
    )
    return world


def test_an_inventory_is_archived_as_far_as_the_prefix_reaches_and_planners_may_die() -> None:
    def die() -> None:
        raise Killed

    fields = {"prefix": "in/", "max_files": 4, "disposition": Disposition.DELETE}
    steps = Steps()
    drain(inventory_world(**fields), steps)
    planning = [at for at, name in enumerate(steps.names, 1) if "FakeManifests" in name or "FakeNotes" in name]

    for at in [0, *planning[::3], planning[-1]]:
        world = inventory_world(**fields)
        if at:
            with pytest.raises(Killed):
                drain(world, Steps(at, die))
        drain(world)

        assert completed_once(world).outcome is Outcome.COMPLETED
        assert world.members() == sorted(FILES)
        assert set(world.source) == {"elsewhere"}


def test_a_data_file_that_is_not_what_the_inventory_says_fails_the_job() -> None:
    world = inventory_world(prefix="in/")
    world.manifests["lists", "inv/data/2.csv.gz"] = inventory_rows(world, ["in/01"])

    drain(world)

    assert completed(world).outcome is Outcome.FAILED
    assert "inv/data/2.csv.gz: its MD5 is" in (completed(world).reason or "")
    assert not world.archives


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(
    rows=st.lists(st.tuples(KEYS, st.integers(0, 3))),
    run_bytes=st.integers(1, 400),
    chunk_bytes=st.integers(1, 100),
    fan_in=st.integers(2, 4),
    after=st.none() | KEYS,
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_rows_files_come_in_key_order_each_once(
    rows: list[tuple[str, int]], run_bytes: int, chunk_bytes: int, fan_in: int, after: str | None
) -> None:
    world = World()
    with_csv(world, csv_of([("source", key, size) for key, size in rows]))
    sort = SortManifest(
        FakeManifests(world), FakeNotes(world), run_bytes=run_bytes, chunk_bytes=chunk_bytes, fan_in=fan_in
    )

    files = list(sort.files(sort(world.record.job), after=after))

    wanted = sorted({key for key, _ in rows if after is None or key > after}, key=str.encode)
    assert [file.key for file in files] == wanted
    sizes = {key: {size for other, size in rows if other == key} for key in wanted}
    assert all(file.size in sizes[file.key] for file in files)
    assert {file.key for file in files if file.refused} == {key for key in wanted if len(sizes[key]) > 1}


def test_a_chunk_that_is_missing_is_never_taken_for_an_end() -> None:
    world = new_world()
    drain(world)
    sort = SortManifest(FakeManifests(world), FakeNotes(world), run_bytes=160, chunk_bytes=64, fan_in=2)
    top = max(name.partition("/")[0] for name in world.notes if "/" in name)
    missing = max(name for name in world.notes if name.startswith(f"{top}/"))
    manifest = sort(world.record.job)
    del world.notes[missing]

    with pytest.raises(NotesMissing, match="is not in the work bucket any more"):
        list(sort.files(manifest, after=None))
