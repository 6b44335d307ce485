"""What people read, word for word: the texts beside this file. And SNS's limits, whatever the event holds."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fakes.told_events import (
    failures,
    job_ended,
    restore_accepted,
    restore_ended,
    restored_files_expire,
    sources_deleted,
)
from glaciate.events import FailedFile, Outcome
from notifier.domain import TellableEvent, notice_of

TEXTS = Path(__file__).parent / "texts"
SNS_LIMIT_BYTES = 256 * 1024

CASES: dict[str, TellableEvent] = {
    "job-completed": job_ended(),
    "job-partial": job_ended(Outcome.PARTIAL, skipped=3, failed=1, reason="3 files changed while they were packed"),
    "job-failed": job_ended(
        Outcome.FAILED,
        archived=0,
        archives=0,
        bytes_in=0,
        bytes_out=0,
        reason="the manifest says 20 files, the listing 19",
        status_url=None,
    ),
    "job-held": job_ended(already_archived=300, sources_due_at=datetime(2026, 8, 1, 3, 30, tzinfo=UTC)),
    "sources-deleted": sources_deleted(),
    "sources-deleted-in-part": sources_deleted(deleted=12_340, left=5, status_url=None),
    "restore-accepted": restore_accepted(),
    "restore-accepted-unresolved": restore_accepted(files=None, expected_by=None, wanted="everything under logs/2026/"),
    "restore-completed": restore_ended(),
    "restore-partial": restore_ended(
        Outcome.PARTIAL,
        restored=979,
        failed=23,
        missing=2,
        failures=(*failures(20), FailedFile(key="(3 files of archive 01a)", reason="the list is lost", files=3)),
        missing_names=("nowhere.csv", "2025/nowhere.csv"),
        reason="some archives are damaged",
    ),
    "restore-partial-cut": restore_ended(
        Outcome.PARTIAL, restored=1_000, failed=2, missing=3, failures=failures(1), missing_names=("nowhere.csv",)
    ),
    "restore-failed": restore_ended(
        Outcome.FAILED,
        files=1,
        restored=0,
        failed=1,
        failures=(FailedFile(key="a.csv", reason="its archive is gone"),),
        available_until=None,
    ),
    "restore-cancelled": restore_ended(Outcome.CANCELLED, restored=500, reason="cancelled by the caller"),
    "restore-expiring": restored_files_expire(),
}


@pytest.mark.parametrize("name", CASES)
def test_a_message_reads_as_it_should(name: str) -> None:
    notice = notice_of(CASES[name])

    assert f"Subject: {notice.subject}\n\n{notice.text}" == (TEXTS / f"{name}.txt").read_text()


def test_every_text_belongs_to_a_case() -> None:
    assert {path.stem for path in TEXTS.glob("*.txt")} == set(CASES)


def _bytes(event: TellableEvent) -> int:
    notice = notice_of(event)
    attributes = sum(len(name) + len("String") + len(value.encode()) for name, value in notice.attributes)
    return len(notice.subject) + len(notice.text.encode()) + attributes + len("jsonString") + len(notice.document)


@pytest.mark.parametrize(
    "event",
    [
        *CASES.values(),
        job_ended(prefix="ü" * 1024, reason="x" * 400_000),
        restore_ended(Outcome.PARTIAL, wanted="\n" * 1024, failures=failures(10_000), failed=10_000),
        restore_ended(
            Outcome.PARTIAL,
            failed=100,
            failures=tuple(FailedFile(key="😀" * 1024, reason="\x00" * 5_000) for _ in range(100)),
        ),
        restore_ended(
            Outcome.PARTIAL,
            wanted="\n" * 1024,
            failed=9_000,
            missing=9_000,
            failures=failures(9_000),
            missing_names=tuple(f"{n}.csv" for n in range(9_000)),
            correlation_id="c" * 128,
            status_url="https://" + "u" * 300,
            reason="é" * 400_000,
        ),
        restore_accepted(wanted="é\r\n, " * 200),
        restored_files_expire(wanted="é\r\n, " * 200),
    ],
)
def test_every_message_keeps_snss_limits(event: TellableEvent) -> None:
    notice = notice_of(event)

    assert _bytes(event) <= SNS_LIMIT_BYTES
    assert 0 < len(notice.subject) < 100
    assert notice.subject.isascii()
    assert notice.subject.isprintable()
    assert all(value.isascii() and value for _, value in notice.attributes)


def test_names_and_failures_that_do_not_fit_are_counted_and_it_says_where_to_read_them() -> None:
    event = restore_ended(
        Outcome.PARTIAL,
        failed=500,
        missing=300,
        failures=tuple(FailedFile(key="k" * 1024, reason="r") for _ in range(400)),
        missing_names=tuple("m" * 1024 for _ in range(200)),
    )

    text = notice_of(event).text

    named, not_found = text.count("k" * 1024), text.count("m" * 1024)
    assert min(named, not_found) > 50
    assert named + not_found > 120
    assert f"and {500 - named} more: {event.status_url}\n" in text
    assert f"and {300 - not_found} more: {event.status_url}\n" in text


def test_what_one_list_does_not_need_the_other_takes() -> None:
    long = tuple("k" * 1024 for _ in range(400))
    failed = tuple(FailedFile(key=key, reason="r") for key in long)

    only_failed = notice_of(restore_ended(Outcome.FAILED, failed=400, failures=failed, missing=1, missing_names=("a",)))
    only_missing = notice_of(
        restore_ended(Outcome.PARTIAL, missing=400, missing_names=long, failed=1, failures=failed[:1])
    )

    assert min(only_failed.text.count("k" * 1024), only_missing.text.count("k" * 1024)) > 120


def test_without_an_address_the_command_is_named_that_tells_what_is_left_out() -> None:
    text = notice_of(restore_ended(Outcome.PARTIAL, missing=2, status_url=None)).text

    assert "  and 2 more: glaciate status r-1n4a0a02swe6\n" in text


def test_a_key_cannot_forge_a_line() -> None:
    event = restore_ended(
        Outcome.PARTIAL, failures=(FailedFile(key="a\nUntil:       forever\u2028\x1b[2J", reason="b\r\nc"),), failed=1
    )

    lines = notice_of(event).text.splitlines()

    assert not any(line.startswith("Until:       forever") for line in lines)
    assert "  a\\u000aUntil:       forever\\u2028\\u001b[2J: b\\u000d\\u000ac" in lines


def test_names_in_other_scripts_are_readable_in_the_text() -> None:
    notice = notice_of(job_ended(prefix="Übersicht/日本/"))

    assert "s3://source-bucket/Übersicht/日本/" in notice.text
    assert notice.subject == "Archived: demo s3://source-bucket/?bersicht/??/"


def test_a_moment_is_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=2))

    text = notice_of(restore_accepted(expected_by=datetime(2026, 7, 2, 1, 0, tzinfo=berlin))).text

    assert "by 2026-07-01 23:00 UTC" in text


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes read"),
        (999, "999 bytes read"),
        (1000, "1 kB read"),
        (999_600, "1 MB read"),
        (1_234_567_890, "1.23 GB read"),
        (5_000_000_000_000_000, "5 PB read"),
    ],
)
def test_sizes_are_for_people(size: int, words: str) -> None:
    assert words in notice_of(job_ended(bytes_in=size)).text


def test_programs_get_the_event_as_plain_ascii_json() -> None:
    event = restore_ended(
        Outcome.PARTIAL, failed=1, failures=(FailedFile(key='a "ü" \u0001 😀 \u2028', reason="damaged"),)
    )

    notice = notice_of(event)

    assert notice.document.isascii()
    assert notice.document.isprintable()
    assert json.loads(notice.document) == {
        "event": "RestoreCompleted.v1",
        **event.model_dump(mode="json", exclude={"topic_arn"}),
        "failures_left_out": 0,
        "missing_left_out": 0,
    }
    assert dict(notice.attributes) == {
        "event": "RestoreCompleted.v1",
        "outcome": "PARTIAL",
        "project": "demo",
        "id": "r-1n4a0a02swe6",
        "correlation_id": "trail-2",
    }


def test_a_document_too_long_holds_the_first_and_says_what_it_leaves_out() -> None:
    names = tuple(f"{n} {'😀' * 200}" for n in range(100))
    event = restore_ended(
        Outcome.PARTIAL,
        failed=100,
        missing=100,
        failures=tuple(FailedFile(key=name, reason="r") for name in names),
        missing_names=names,
        reason="x" * 400_000,
    )

    document = json.loads(notice_of(event).document)

    told, not_found = len(document["failures"]), len(document["missing_names"])
    assert min(told, not_found) > 15
    assert told + not_found > 40
    assert [file["key"] for file in document["failures"]] == list(names[:told])
    assert document["missing_names"] == list(names[:not_found])
    assert (document["failures_left_out"], document["missing_left_out"]) == (100 - told, 100 - not_found)
    assert document["restored"] == event.restored
