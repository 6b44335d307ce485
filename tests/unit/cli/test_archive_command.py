"""`glaciate archive`: what it sends, what it says, how it ends."""

import json

import httpx
import pytest

from fakes.glaciate_http import FakeGlaciateHttp, Glaciate

JOB = "abc123def456"
ACCEPTED = (202, {"job_id": JOB, "state": "ACCEPTED", "status_url": f"http://127.0.0.1:4999/live/archive/{JOB}"})
COUNTS = {
    "listed": 9,
    "planned": 9,
    "archived": 0,
    "skipped": 0,
    "failed": 0,
    "archives": 0,
    "bytes_in": 0,
    "bytes_out": 0,
}


def status(state: str, **counts: int) -> tuple[int, dict[str, object]]:
    return 200, {"job_id": JOB, "state": state, "counts": {**COUNTS, **counts}, "skipped": []}


def test_options_become_the_fields_of_the_call_and_what_is_not_given_is_left_to_the_project(
    glaciate: Glaciate, api: FakeGlaciateHttp
) -> None:
    api.on("POST /archive", ACCEPTED)

    result = glaciate(
        "archive", "s3://source/in coming/ä/", "--disposition", "delete", "--file-count", "500", "--archive-size", "20",
        "--storage-class", "glacier", "--include", "*.csv", "--include", "*.txt", "--older-than", "2025-12-31",
        "--expect-files", "0",
    )  # fmt: skip

    assert result.exit_code == 0
    assert list(api.bodies("POST /archive")) == [
        {
            "project_name": "demo",
            "bucket_name": "source",
            "prefix": "in coming/ä/",
            "disposition": "delete",
            "file_count": 500,
            "archive_size": 20,
            "storage_class": "GLACIER",
            "include": ["*.csv", "*.txt"],
            "older_than": "2025-12-31T00:00:00+00:00",
            "manifest": {"file_count": 0},
        }
    ]
    assert JOB in result.stdout


def test_the_project_on_the_command_line_wins_over_the_environment_and_that_over_the_local_clouds(
    glaciate: Glaciate, api: FakeGlaciateHttp
) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/", env={"GLACIATE_PROJECT": "from-env"})
    glaciate("archive", "s3://source/", "--project", "named", env={"GLACIATE_PROJECT": "from-env"})

    assert [body["project_name"] for body in api.bodies("POST /archive")] == ["from-env", "named"]


def test_each_invocation_is_a_call_of_its_own_unless_a_key_is_given(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/")
    glaciate("archive", "s3://source/")
    glaciate("archive", "s3://source/", "--idempotency-key", "mine")

    first, second, third = (call.headers["Idempotency-Key"] for call in api.calls)
    assert first != second
    assert third == "mine"


def test_calls_are_signed_for_the_api_with_the_local_clouds_key(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/")

    signed = api.calls[0].headers["Authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDLOCAL/")
    assert "/us-east-1/execute-api/aws4_request" in signed


def test_waiting_in_a_pipe_prints_a_line_a_change_and_the_end(
    glaciate: Glaciate, api: FakeGlaciateHttp, pauses: list[float]
) -> None:
    api.on("POST /archive", ACCEPTED)
    packing = status("PACKING", archived=4, archives=1)
    api.on(f"GET /archive/{JOB}", status("PLANNING"), packing, packing, status("COMPLETED", archived=9, archives=2))

    result = glaciate("archive", "s3://source/", "--wait")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert sum("PLANNING" in line for line in lines) == 1
    assert sum("PACKING" in line for line in lines) == 1
    assert "archives: 2" in lines
    assert len(pauses) == 3
    assert "\x1b" not in result.output


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 3), ("PARTIAL", 4)])
def test_the_exit_code_says_how_the_job_ended(glaciate: Glaciate, api: FakeGlaciateHttp, state: str, code: int) -> None:
    api.on("POST /archive", ACCEPTED)
    api.on(f"GET /archive/{JOB}", status(state))

    assert glaciate("archive", "s3://source/", "--wait").exit_code == code
    assert glaciate("status", JOB).exit_code == code


def test_json_gives_one_document_on_standard_output_when_waiting_too(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)
    api.on(f"GET /archive/{JOB}", status("PACKING"), status("PARTIAL", archived=8))

    result = glaciate("archive", "s3://source/", "--wait", "--json")

    assert json.loads(result.stdout)["state"] == "PARTIAL"
    assert JOB in result.stderr
    assert result.exit_code == 4


def test_waiting_ends_when_its_time_is_over_and_says_so(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)
    api.on(f"GET /archive/{JOB}", status("PACKING"))

    result = glaciate("archive", "s3://source/", "--wait", "--timeout", "0")

    assert result.exit_code == 6
    assert f"glaciate status {JOB} --watch" in result.stderr


def test_a_problem_is_told_plainly_with_its_details_and_exit_code_1(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    details = [{"field": "file_count", "reason": "too many"}]
    api.on(
        "POST /archive", (400, {"error": {"code": "InvalidRequest", "message": "it does not fit", "details": details}})
    )

    result = glaciate("archive", "s3://source/")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "refused (400 InvalidRequest): it does not fit" in result.stderr
    assert "  file_count: too many" in result.stderr.splitlines()


def test_a_problem_is_a_document_on_standard_error_for_scripts(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    problem = {"error": {"code": "BucketNotAllowed", "message": "no", "details": {"allowed": ["a"]}}}
    api.on("POST /archive", (403, problem))

    result = glaciate("archive", "s3://source/", "--json")

    assert json.loads(result.stderr) == problem
    assert result.stdout == ""


def test_a_refusal_of_the_gateway_itself_is_told_too(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", (403, {"message": "The security token included in the request is invalid."}))

    result = glaciate("archive", "s3://source/")

    assert result.exit_code == 1
    assert "refused (403 Forbidden): The security token included in the request is invalid." in result.stderr


def test_a_refused_connection_is_told_without_a_stack_trace(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", httpx.ConnectError("Connection refused"))

    result = glaciate("archive", "s3://source/")

    assert result.exit_code == 5
    assert "Nobody answers at http://127.0.0.1:4999/live: Connection refused" in result.stderr
    assert len(api.calls) == 1


def test_a_lost_answer_is_asked_for_again_as_the_same_call(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    in_progress = (409, {"error": {"code": "InProgress", "message": "the same call is being answered right now"}})
    api.on("POST /archive", httpx.ReadTimeout("timed out"), in_progress, (503, {"message": "busy"}), ACCEPTED)

    result = glaciate("archive", "s3://source/")

    assert result.exit_code == 0
    assert len({call.headers["Idempotency-Key"] for call in api.calls}) == 1
    assert len(api.calls) == 4


def test_no_answer_at_all_ends_after_a_few_tries(
    glaciate: Glaciate, api: FakeGlaciateHttp, pauses: list[float]
) -> None:
    api.on("POST /archive", httpx.ReadTimeout("timed out"))

    result = glaciate("archive", "s3://source/")

    assert result.exit_code == 5
    assert "No answer from" in result.stderr
    assert pauses == [0.5, 1.0, 2.0]


def test_a_connection_that_fails_while_waiting_does_not_end_the_wait(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)
    api.on(f"GET /archive/{JOB}", status("PACKING"), httpx.ConnectError("away"), status("COMPLETED"))

    assert glaciate("archive", "s3://source/", "--wait").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("archive", "source/prefix"),
        ("archive", "s3:///prefix"),
        ("archive", "s3://source/", "--file-count", "0"),
        ("archive", "s3://source/", "--disposition", "burn"),
        ("archive", "s3://source/", "--older-than", "soon"),
        ("restore", "a.txt", "--prefix", "b/"),
        ("restore", "--days", "3"),
        ("cancel", JOB),
        ("files", "--key", "a", "--glob", "b"),
        ("dlq", "replay", "nothing"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_calls_nobody(
    glaciate: Glaciate, api: FakeGlaciateHttp, arguments: tuple[str, ...]
) -> None:
    result = glaciate(*arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert api.calls == []


def test_an_age_becomes_a_moment(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/", "--older-than", "30d")
    glaciate("archive", "s3://source/", "--older-than", "12h")

    days, hours = (body["older_than"] for body in api.bodies("POST /archive"))
    assert days < hours


def test_a_dry_runs_answer_is_shown_whole(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", (200, {"counts": {"files": 12, "bytes_in": 1_500_000}, "cost": {"once_usd": 0.004}}))

    result = glaciate("archive", "s3://source/", "--dry-run", "--wait")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["files: 12", "bytes in: 1.5 MB", "cost: once $0.004"]


def test_a_jobs_archives_and_skipped_files_are_paged_side_by_side(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    def page(
        archive: str, more_archives: str | None, key: str, more_skipped: str | None
    ) -> tuple[int, dict[str, object]]:
        lists = {
            "archives": [{"location": archive, "size_bytes": 1, "storage_class": "GLACIER"}],
            "archives_next_token": more_archives,
            "skipped": [{"key": key, "reason": "changed"}],
            "next_token": more_skipped,
        }
        return 200, {"job_id": JOB, "state": "COMPLETED", "counts": COUNTS, **lists}

    api.on(
        f"GET /archive/{JOB}",
        page("s3://v/1", "a2", "k1", "s2"),
        page("s3://v/1", "a2", "k2", None),
        page("s3://v/2", None, "k1", "s2"),
    )

    result = glaciate("status", JOB, "--all")

    lines = result.stdout.splitlines()
    assert [line.split("\t")[0] for line in lines if "\t" in line] == [
        "archive",
        "s3://v/1",
        "s3://v/2",
        "key",
        "k1",
        "k2",
    ]
    assert [dict(call.url.params) for call in api.calls] == [{}, {"next_token": "s2"}, {"archives_token": "a2"}]


def test_a_manifest_goes_along_with_what_is_expected_of_it(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/", "--manifest", "s3://lists/list.csv", "--expect-files", "3")

    (body,) = api.bodies("POST /archive")
    assert body["manifest"] == {"uri": "s3://lists/list.csv", "file_count": 3}
    assert (body["bucket_name"], body["prefix"]) == ("source", "")


def test_days_of_holding_become_a_disposition(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    api.on("POST /archive", ACCEPTED)

    glaciate("archive", "s3://source/in/", "--delete-after-days", "30", "--preserve-tags", "--rearchive")

    (body,) = api.bodies("POST /archive")
    assert body["disposition"] == {"delete_after_days": 30}
    assert body["preserve_tags"] is body["rearchive"] is True


def test_one_disposition_is_enough(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    result = glaciate("archive", "s3://source/in/", "--delete-after-days", "30", "--disposition", "delete")

    assert result.exit_code == 2
    assert "--delete-after-days" in result.stderr
    assert api.calls == []


def test_held_sources_are_kept(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    kept = {"job_id": JOB, "state": "COMPLETED", "sources": {"state": "KEPT", "delete_after_days": 30}}
    api.on(f"POST /archive/{JOB}/keep", (200, kept))

    said, document = glaciate("keep", JOB), glaciate("keep", JOB, "--json")

    assert (said.exit_code, document.exit_code) == (0, 0)
    assert JOB in said.stdout
    assert json.loads(document.stdout) == kept


def test_what_comes_too_late_is_refused_with_the_reason(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    problem = {"code": "DeletionBegan", "message": f"it is too late to keep the sources of job {JOB}"}
    api.on(f"POST /archive/{JOB}/keep", (409, {"error": problem}))

    result = glaciate("keep", JOB)

    assert result.exit_code == 1
    assert "too late" in result.stderr


def test_a_restore_request_cannot_be_kept(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    assert glaciate("keep", f"r-{JOB}").exit_code == 2
    assert api.calls == []


def test_the_status_shows_what_becomes_of_held_sources(glaciate: Glaciate, api: FakeGlaciateHttp) -> None:
    code, document = status("COMPLETED", archived=9)
    sources = {"state": "HELD", "delete_after_days": 30, "due_at": "2026-08-01T00:00:00Z", "deleted": 0, "left": 0}
    api.on(f"GET /archive/{JOB}", (code, {**document, "sources": sources}))

    result = glaciate("status", JOB)

    (line,) = (line for line in result.stdout.splitlines() if line.startswith("sources"))
    assert "HELD" in line
    assert "2026-08-01" in line
