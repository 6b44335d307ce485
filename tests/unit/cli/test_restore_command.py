"""`glaciate restore`, `status` of a request, `cancel`, `files` and the listings."""

import json

import pytest

from fakes.glaciate_http import FakeGlaciateHttp, Glaciate
from glaciate_cli.screen import dollars

REQUEST = "r-abc123def456"
ACCEPTED = (
    202,
    {"request_id": REQUEST, "state": "ACCEPTED", "status_url": f"http://127.0.0.1:4999/live/restore/{REQUEST}"},
)


def request_status(state: str, **fields: object) -> tuple[int, dict[str, object]]:
    counts = {"files": 2, "restored": 1, "failed": 1, "missing": 0}
    return 200, {"request_id": REQUEST, "state": state, "counts": counts, **fields}


def test_names_go_as_a_list_so_that_a_comma_in_a_name_stays_one(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /restore", ACCEPTED)

    result = glaciate(
        "restore", "a,b.txt", "in/c.txt", "--tier", "bulk", "--days", "5", "--to", "back/", "--max-cost", "1.5",
        "--allow-missing", "--all-matches",
    )  # fmt: skip

    assert result.exit_code == 0
    assert list(api.bodies("POST /restore")) == [
        {
            "project_name": "demo",
            "filename": ["a,b.txt", "in/c.txt"],
            "retrieval_tier": "Bulk",
            "days": 5,
            "destination_prefix": "back/",
            "max_cost_usd": 1.5,
            "allow_missing": True,
            "all_matches": True,
        }
    ]


def test_everything_of_an_archive_job_or_glob_can_be_restored(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /restore", ACCEPTED, ACCEPTED, ACCEPTED)

    glaciate("restore", "--archive", "0123456789abcdef", "--all-versions")
    glaciate("restore", "--job", "0123456789ab")
    glaciate("restore", "--glob", "in/*.csv")
    both = glaciate("restore", "--glob", "in/*.csv", "--job", "0123456789ab")

    assert [{**body, "project_name": None} for body in api.bodies("POST /restore")] == [
        {"project_name": None, "archive_id": "0123456789abcdef", "versions": "all"},
        {"project_name": None, "job_id": "0123456789ab"},
        {"project_name": None, "glob": "in/*.csv"},
    ]
    assert both.exit_code == 2


def test_files_can_go_back_to_where_they_came_from(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /restore", ACCEPTED)

    glaciate("restore", "a.txt", "--to-original", "--overwrite")

    assert list(api.bodies("POST /restore")) == [
        {"project_name": "demo", "filename": ["a.txt"], "to": "original", "overwrite": True}
    ]


def test_names_can_come_from_standard_input(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /restore", ACCEPTED)

    glaciate("restore", "--names-from", "-", stdin="a b.txt\n\nc.txt\r\n")

    assert [body["filename"] for body in api.bodies("POST /restore")] == [["a b.txt", "c.txt"]]


def test_a_prefix_goes_without_names_and_an_empty_one_means_everything(
    glaciate: Glaciate, api: FakeGlaciateHttp
) -> None:
    api.on("POST /restore", ACCEPTED)

    glaciate("restore", "--prefix", "in/")
    glaciate("restore", "--prefix", "")

    assert list(api.bodies("POST /restore")) == [
        {"project_name": "demo", "prefix": "in/"},
        {"project_name": "demo", "prefix": ""},
    ]


def test_a_partial_request_names_each_file_that_failed_and_why(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    files = [
        {"key": "in/a.txt", "state": "RESTORED", "location": "s3://restore/demo/r/in/a.txt", "reason": None},
        {"key": "in/b.txt", "state": "FAILED", "location": None, "reason": "CRC-32 differs"},
    ]
    api.on("POST /restore", ACCEPTED)
    api.on(f"GET /restore/{REQUEST}", request_status("UNPACKING"), request_status("PARTIAL", files=files))

    result = glaciate("restore", "--prefix", "in/", "--wait")

    assert result.exit_code == 4
    assert "FAILED\tin/b.txt\tCRC-32 differs" in result.stdout.splitlines()
    assert "RESTORED\tin/a.txt\ts3://restore/demo/r/in/a.txt" in result.stdout.splitlines()


def test_a_cancelled_request_is_not_fine(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on(f"GET /restore/{REQUEST}", request_status("CANCELLED"))

    assert glaciate("status", REQUEST, "--watch").exit_code == 3


def test_a_large_requests_files_are_paged_only_when_asked_for(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    def page(start: int, token: str | None) -> tuple[int, dict[str, object]]:
        files = [{"key": f"k{number}", "state": "RESTORED"} for number in range(start, start + 30)]
        parts = [
            {"archive_id": f"a{number}"} for number in (start, start + 30)
        ]  # the next page begins within the second
        return request_status("COMPLETED", files=files, parts=parts, next_token=token)

    api.on(f"GET /restore/{REQUEST}", page(0, "t1"))
    few = glaciate("status", REQUEST)
    api.on(f"GET /restore/{REQUEST}", page(0, "t1"), page(30, "t2"), page(60, None))
    whole = glaciate("status", REQUEST, "--all", "--json")

    assert "30 more files; --all shows them." in few.stdout
    assert [entry["key"] for entry in json.loads(whole.stdout)["files"]] == [f"k{number}" for number in range(90)]
    assert [part["archive_id"] for part in json.loads(whole.stdout)["parts"]] == ["a0", "a30", "a60", "a90"]
    assert [call.url.params.get("next_token") for call in api.calls] == [None, None, "t1", "t2"]


def test_keys_that_hold_escape_sequences_cannot_paint_the_terminal(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    files = [{"key": "a\x1b[31m\nb", "state": "FAILED", "reason": "gone"}]
    api.on(f"GET /restore/{REQUEST}", request_status("FAILED", files=files))

    result = glaciate("status", REQUEST)

    assert "FAILED\ta\\x1b[31m\\nb\tgone" in result.stdout.splitlines()


def test_on_a_terminal_lists_are_tables(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("GET /files", (200, {"files": [{"key": "in/[bold].txt", "size": 1234, "archive_id": "x"}]}))

    result = glaciate("files", "--name", "[bold].txt", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})

    assert "\x1b[" in result.stdout
    assert "in/[bold].txt" in result.stdout
    assert "\t" not in result.stdout


def test_searching_sends_what_was_asked_encoded_and_signed(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("GET /files", (200, {"files": []}))

    result = glaciate("files", "--key", "in/ä b+c&d.txt", "--bucket", "source", "--limit", "7")

    assert result.exit_code == 0
    assert result.stdout == "No archived file fits.\n"
    sent = api.calls[0].url
    assert dict(sent.params) == {"project_name": "demo", "key": "in/ä b+c&d.txt", "bucket_name": "source", "limit": "7"}
    assert b"key=in%2F%C3%A4%20b%2Bc%26d.txt" in sent.query


def test_a_list_stops_at_its_limit_and_says_that_there_is_more(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    page = {"jobs": [{"job_id": f"j{number}", "state": "COMPLETED"} for number in range(2)], "next_token": "more"}
    api.on("GET /archive", (200, page))

    listed = json.loads(glaciate("jobs", "--limit", "3", "--json").stdout)

    assert [job["job_id"] for job in listed["jobs"]] == ["j0", "j1", "j0"]
    assert listed["more"] is True


def test_requests_are_listed_a_line_each(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    entry = {
        "request_id": REQUEST, "state": "THAWING", "accepted_at": "2025-01-01T00:00:00Z", "wanted": "a.txt",
        "counts": {"files": 3, "restored": 1},
    }  # fmt: skip
    api.on("GET /restore", (200, {"requests": [entry]}))

    result = glaciate("requests")

    assert result.stdout.splitlines()[1] == f"{REQUEST}\tTHAWING\t2025-01-01T00:00:00Z\ta.txt\t1 of 3"


def test_cancelling_says_what_became_of_the_request(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on(f"POST /restore/{REQUEST}/cancel", (200, {"request_id": REQUEST, "state": "CANCELLED"}))

    assert glaciate("cancel", REQUEST).stdout == f"{REQUEST}  CANCELLED\n"


def test_an_unknown_id_is_refused_by_the_service_and_said(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("GET /archive/nothing", (404, {"error": {"code": "JobNotFound", "message": "there is no job nothing"}}))

    result = glaciate("status", "nothing", "--watch")

    assert result.exit_code == 1
    assert "refused (404 JobNotFound): there is no job nothing" in result.stderr


def test_an_ambiguous_name_is_refused_with_a_line_for_each_match(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    matches = [{"bucket": "source", "key": "2024/a.txt"}, {"bucket": "source", "key": "2025/a.txt"}]
    details = {"ambiguous": [{"name": "a.txt", "matches": matches}], "more": False, "hours": {"Bulk": 48}}
    api.on("POST /restore", (409, {"error": {"code": "AmbiguousName", "message": "two", "details": details}}))

    result = glaciate("restore", "a.txt")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "glaciate: refused (409 AmbiguousName): two",
        "  ambiguous:",
        "    name: a.txt",
        "    matches:",
        "      s3://source/2024/a.txt",
        "      s3://source/2025/a.txt",
        "  more: false",
        "  hours: Bulk 48",
    ]


def test_a_dry_run_shows_the_quote_a_line_for_each_part_and_nothing_empty(
    glaciate: Glaciate, api: FakeGlaciateHttp
) -> None:
    estimate = {"total_usd": 0.06, "archive_bytes": 2_000_000, "note": None, "lines": {"retrieval_usd": 0.05, "of": {}}}
    api.on("POST /restore", (200, {"dry_run": True, "estimate": estimate, "missing": []}))

    result = glaciate("restore", "a.txt", "--dry-run")

    assert result.stdout.splitlines() == [
        "dry run: True",
        "estimate: total $0.06, archive bytes 2.0 MB",
        "estimate, lines: retrieval $0.05",
    ]


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.004, "$0.004"), (0.00001, "$0.00001"), (2e-9, "under $0.00000001")],
)
def test_sums_show_as_many_digits_as_it_takes_to_see_something(amount: float, words: str) -> None:
    assert dollars(amount) == words
