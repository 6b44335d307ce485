"""Planning: caps, filters, the declared manifest, and what is said of it."""

from datetime import UTC, datetime

import pytest

from fakes.packer_steps import drain
from fakes.packer_world import START, World
from glaciate.events import ArchiveJobCompleted, Outcome
from glaciate.jobs import JobOrder
from glaciate.names import ProjectName
from glaciate.requests import Compression, DeclaredManifest, Disposition, StorageClass
from packer.domain.archives import JobState
from packer.domain.planning import MOST_ARCHIVES_IN_A_SPAN, spans
from packer.domain.sources import SourceFile, read_plan_lines
from packer.domain.zip_writer import overhead_bytes


def order(**fields: object) -> JobOrder:
    return JobOrder.model_validate(
        {
            "project": ProjectName("demo"),
            "bucket": "source",
            "prefix": "in/",
            "max_files": 1000,
            "max_bytes": 10_000_000,
            "storage_class": StorageClass.DEEP_ARCHIVE,
            "output_prefix": "",
            "disposition": Disposition.KEEP,
            "compression": Compression.FAST,
            "direct_threshold_bytes": 1_000_000,
            **fields,
        }
    )


def listed(*sizes: int, storage_class: str = "STANDARD") -> list[SourceFile]:
    return [SourceFile(f"in/{number:06}", size, '"e"', START, storage_class) for number, size in enumerate(sizes)]


def test_an_archive_closes_at_the_cap_of_files() -> None:
    files = [archive.files for span in spans(listed(*[1] * 10), order(max_files=4)) for archive in span.archives]

    assert files == [4, 4, 2]


def test_an_archive_closes_before_the_cap_of_bytes() -> None:
    room = 3 * (1000 + overhead_bytes("in/000000"))

    planned = [span.archives for span in spans(listed(*[1000] * 7), order(max_bytes=room))]

    assert [[archive.files for archive in archives] for archives in planned] == [[3], [3], [1]]


def test_a_file_above_the_cap_of_bytes_gets_an_archive_of_its_own() -> None:
    planned = [span.archives for span in spans(listed(1, 5000, 1), order(max_bytes=1000))]

    assert [[archive.files for archive in archives] for archives in planned] == [[1], [1], [1]]


def test_big_files_stand_alone_and_do_not_tear_their_neighbours_apart() -> None:
    (span,) = spans(listed(1, 1_000_000, 2, 3_000_000, 3), order())

    assert [(archive.kind, archive.files) for archive in span.archives] == [("zip", 3), ("object", 1), ("object", 1)]
    assert (span.archives[0].first_key, span.archives[0].last_key) == ("in/000000", "in/000004")
    assert span.last_key == "in/000004"


def test_a_span_never_has_more_archives_than_one_transaction_takes() -> None:
    found = list(spans(listed(*[1_000_000] * 120), order()))

    assert max(len(span.archives) for span in found) <= MOST_ARCHIVES_IN_A_SPAN
    assert sum(len(span.archives) for span in found) == 120


def test_key_order_is_kept_and_every_file_is_in_one_plan() -> None:
    import gzip

    files = listed(*range(100))

    planned = [
        file
        for span in spans(files, order(max_files=7))
        for archive in span.archives
        for file in read_plan_lines(gzip.decompress(archive.plan).splitlines())
    ]

    assert planned == files


def test_plans_are_the_same_bytes_each_time() -> None:
    one, two = (list(spans(listed(*range(50)), order(max_files=7))) for _ in range(2))

    assert one == two


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"include": ("*.csv",)}, {"in/a.csv", "in/sub/b.csv"}),
        ({"include": ("sub/*",)}, {"in/sub/b.csv", "in/sub/c.tmp"}),
        ({"include": ("in/sub/*",)}, {"in/sub/b.csv", "in/sub/c.tmp"}),
        ({"exclude": ("*.tmp",)}, {"in/a.csv", "in/sub/b.csv"}),
        ({"include": ("*.csv", "*.tmp"), "exclude": ("sub/*",)}, {"in/a.csv"}),
        ({"older_than": datetime(2026, 1, 1, tzinfo=UTC)}, set()),
        ({"older_than": datetime(2027, 1, 1, tzinfo=UTC)}, {"in/a.csv", "in/sub/b.csv", "in/sub/c.tmp"}),
    ],
)
def test_filters_choose_and_say_why_not(fields: dict[str, object], kept: set[str]) -> None:
    world = World()
    world.put({"in/a.csv": b"a", "in/sub/b.csv": b"b", "in/sub/c.tmp": b"c"})
    world.accept(prefix="in/", **fields)

    drain(world)

    assert set(world.members()) == kept
    assert set(world.skipped) == {"in/a.csv", "in/sub/b.csv", "in/sub/c.tmp"} - kept
    assert (world.record.job.listed, world.record.planned, world.record.skipped) == (3, len(kept), 3 - len(kept))
    assert world.record.job.state is JobState.COMPLETED


def test_an_empty_prefix_completes_with_no_archive() -> None:
    world = World()
    world.put({"elsewhere": b"x"})
    world.accept(prefix="in/")

    drain(world)

    assert world.record.job.state is JobState.COMPLETED
    assert not world.archives
    assert len(world.named("ArchiveJobCompleted.v1")) == 1


def completed(world: World) -> ArchiveJobCompleted:
    (event,) = world.named("ArchiveJobCompleted.v1")
    assert isinstance(event, ArchiveJobCompleted)
    return event


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"file_count": 3}, "2 files are there, but the manifest declares 3"),
        ({"total_size": 7}, "5 bytes are there, but the manifest declares 7"),
        ({"file_count": 2, "total_size": 4}, "5 bytes are there, but the manifest declares 4"),
    ],
)
def test_a_manifest_that_is_not_met_fails_the_job_before_anything_is_packed(
    declared: dict[str, int], said: str
) -> None:
    world = World()
    world.put({"in/a": b"aa", "in/b": b"bbb"})
    world.accept(prefix="in/", manifest=DeclaredManifest.model_validate(declared), disposition=Disposition.DELETE)

    drain(world)

    event = completed(world)
    assert event.outcome is Outcome.FAILED
    assert said in (event.reason or "")
    assert not world.archives
    assert not world.vault
    assert set(world.source) == {"in/a", "in/b"}


def test_a_manifest_that_is_met_lets_the_job_run() -> None:
    world = World()
    world.put({"in/a": b"aa", "in/b": b"bbb"})
    world.accept(prefix="in/", manifest=DeclaredManifest(file_count=2, total_size=5))

    drain(world)

    assert completed(world).outcome is Outcome.COMPLETED


def test_a_file_that_vanished_makes_the_job_partial_and_is_named() -> None:
    world = World()
    world.put({"in/a": b"aa", "in/b": b"bbb"})
    world.accept(prefix="in/")
    world.unreadable.add("in/b")

    drain(world)

    assert completed(world).outcome is Outcome.PARTIAL
    assert (completed(world).archived, completed(world).skipped) == (1, 1)
    assert world.skipped == {"in/b": "it can't be read: AccessDenied"}
