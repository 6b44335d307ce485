"""Jobs of the local cloud run, retry, time out and stop as they do on Fargate."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from glaciate_local.cloud import Server
from glaciate_local.settings import LocalSettings
from integration.probes import (
    batch_definition,
    batch_queue,
    finished,
    job,
    output,
    queue_open_to,
    receive,
    role_for,
    send_rule_to,
    unique,
    until,
)

pytestmark = pytest.mark.cloud


def submit(server: Server, definition: str, *, queue: str | None = None, **more: Any) -> str:
    answer = server.client("batch").submit_job(
        jobName="job", jobQueue=queue or batch_queue(server), jobDefinition=definition, **more
    )
    return str(answer["jobId"])


def running(server: Server, job_id: str) -> None:
    until(10, f"the start of job {job_id}", lambda: job(server, job_id)["status"] == "RUNNING")


def printed(settings: LocalSettings, job_id: str, words: str) -> None:
    log = settings.jobs / job_id / "attempt-1.log"
    until(10, f"{words!r} in {log}", lambda: log.exists() and words in log.read_text())


def test_a_job_sees_its_environment_its_image_and_its_place_in_batch(server: Server) -> None:
    queue = batch_queue(server)
    overrides = {"environment": [{"name": "GREETING", "value": "good evening"}]}

    job_id = submit(server, batch_definition(server, "tell"), queue=queue, containerOverrides=overrides)

    assert finished(server, job_id)["status"] == "SUCCEEDED"
    told = json.loads(output(server, job_id)[0])
    assert told["environment"]["GREETING"] == "good evening"
    assert told["environment"]["KEPT"] == "yes"
    assert told["environment"]["AWS_BATCH_JOB_ID"] == job_id
    assert told["environment"]["AWS_BATCH_JQ_NAME"] == queue.rsplit("/", 1)[1]
    assert told["environment"]["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert told["environment"]["AWS_ENDPOINT_URL"] == server.endpoint
    assert "AWS_ACCESS_KEY_ID" not in told["environment"]
    assert not any("site-packages" in folder for folder in told["path"])


def test_a_job_has_the_credentials_of_its_role_and_no_more(server: Server) -> None:
    url, arn = queue_open_to(server)
    may_read = {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": arn}
    role = role_for(server, "ecs-tasks.amazonaws.com", may_read)

    job_id = submit(server, batch_definition(server, "tell", container={"jobRoleArn": role}))

    assert finished(server, job_id)["status"] == "SUCCEEDED"
    environment = json.loads(output(server, job_id)[0])["environment"]
    sqs = client_of(server, environment, "sqs")
    sqs.receive_message(QueueUrl=url)
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=url, MessageBody="no")


def client_of(server: Server, environment: dict[str, str], service: str) -> Any:
    import boto3

    return boto3.session.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
        region_name="us-east-1",
    ).client(service, endpoint_url=server.endpoint)  # type: ignore[call-overload]


def test_an_array_runs_a_job_per_index_and_ends_with_the_last(server: Server) -> None:
    job_id = submit(server, batch_definition(server, "tell"), arrayProperties={"size": 3})

    parent = finished(server, job_id)

    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    indexes = {
        json.loads(output(server, f"{job_id}:{index}")[0])["environment"]["AWS_BATCH_JOB_ARRAY_INDEX"]
        for index in range(3)
    }
    assert indexes == {"0", "1", "2"}
    children = server.client("batch").list_jobs(arrayJobId=job_id, jobStatus="SUCCEEDED")["jobSummaryList"]
    assert [child["arrayProperties"]["index"] for child in children] == [0, 1, 2]


def test_an_array_with_a_failed_child_has_failed(server: Server) -> None:
    job_id = submit(server, batch_definition(server, "exit", "1"), arrayProperties={"size": 2})

    parent = finished(server, job_id)

    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")


def test_a_failed_attempt_is_made_again(server: Server) -> None:
    definition = batch_definition(server, "fail_until_attempt", "2", retryStrategy={"attempts": 3})

    over = finished(server, submit(server, definition))

    assert over["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in over["attempts"]] == [7, 0]


def test_an_exit_code_that_asks_for_no_retry_gets_none(server: Server) -> None:
    rules = [{"onExitCode": "7", "action": "EXIT"}, {"onReason": "*", "action": "RETRY"}]
    definition = batch_definition(
        server, "fail_until_attempt", "2", retryStrategy={"attempts": 3, "evaluateOnExit": rules}
    )

    over = finished(server, submit(server, definition))

    assert (over["status"], len(over["attempts"])) == ("FAILED", 1)


def test_a_job_over_its_time_fails_and_is_not_tried_again(server: Server) -> None:
    timeout = {"attemptDurationSeconds": 1}
    definition = batch_definition(server, "wait", retryStrategy={"attempts": 3}, timeout=timeout)

    over = finished(server, submit(server, definition))

    assert (over["status"], len(over["attempts"])) == ("FAILED", 1)
    assert over["statusReason"] == "Job attempt duration exceeded timeout"
    assert over["container"]["exitCode"] == 143


def test_a_terminated_job_is_asked_to_stop_first(server: Server, server_settings: LocalSettings) -> None:
    job_id = submit(server, batch_definition(server, "stop_politely"))
    printed(server_settings, job_id, "waiting")

    server.client("batch").terminate_job(jobId=job_id, reason="enough")

    over = finished(server, job_id)
    assert (over["status"], over["statusReason"], over["isTerminated"]) == ("FAILED", "enough", True)
    assert output(server, job_id) == ["waiting", "stopping politely"]


def test_a_job_that_refuses_to_stop_is_killed(server: Server, server_settings: LocalSettings) -> None:
    job_id = submit(server, batch_definition(server, "refuse_to_stop"))
    printed(server_settings, job_id, "waiting")

    server.client("batch").terminate_job(jobId=job_id, reason="enough")

    assert finished(server, job_id)["container"]["exitCode"] == 137


def test_jobs_beyond_the_slots_wait_and_can_be_cancelled(server: Server) -> None:
    queue, definition = batch_queue(server), batch_definition(server, "wait")
    batch = server.client("batch")
    busy = [submit(server, definition, queue=queue) for _ in range(3)]
    for one in busy:
        running(server, one)

    waiting = submit(server, definition, queue=queue)
    until(5, "the job to wait", lambda: job(server, waiting)["status"] == "RUNNABLE")
    for one in (waiting, busy[0]):
        batch.cancel_job(jobId=one, reason="changed my mind")

    assert finished(server, waiting)["statusReason"] == "changed my mind"
    assert {one["jobId"] for one in batch.list_jobs(jobQueue=queue)["jobSummaryList"]} == set(busy)
    for one in busy:
        batch.terminate_job(jobId=one, reason="done")
        finished(server, one)
    assert batch.list_jobs(jobQueue=queue)["jobSummaryList"] == []


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "glaciate-nothing:1"}, "CannotPullContainerError"),
        ({"jobRoleArn": "arn:aws:iam::000000000000:role/nobody"}, "there is no such role"),
        ({"command": ["no-such-program"]}, "no-such-program"),
    ],
)
def test_a_job_that_cannot_start_says_why(server: Server, container: dict[str, Any], reason: str) -> None:
    over = finished(server, submit(server, batch_definition(server, "tell", container=container)))

    assert over["status"] == "FAILED"
    assert reason in over["container"]["reason"]


def test_a_role_that_trusts_somebody_else_gives_no_job(server: Server) -> None:
    role = role_for(server, "lambda.amazonaws.com")

    over = finished(server, submit(server, batch_definition(server, "tell", container={"jobRoleArn": role})))

    assert "ecs-tasks.amazonaws.com" in over["container"]["reason"]


def test_every_change_of_state_is_an_event(server: Server) -> None:
    url, arn = queue_open_to(server, "events.amazonaws.com")
    queue = batch_queue(server)
    pattern = {"source": ["aws.batch"], "detail-type": ["Batch Job State Change"], "detail": {"jobQueue": [queue]}}
    send_rule_to(server, pattern, Arn=arn)

    job_id = submit(server, batch_definition(server, "exit", "0"), queue=queue)

    details = [json.loads(receive(server, url)["Body"])["detail"] for _ in range(5)]
    assert [one["status"] for one in details] == ["SUBMITTED", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert {one["jobId"] for one in details} == {job_id}


def test_a_rule_can_submit_a_job(server: Server) -> None:
    queue, source = batch_queue(server), unique("source")
    definition = batch_definition(server, "tell", "Ref::word", parameters={"word": "-"})
    may_submit = {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": [queue, definition]}
    send_rule_to(
        server,
        {"source": [source]},
        Arn=queue,
        RoleArn=role_for(server, "events.amazonaws.com", may_submit),
        BatchParameters={"JobDefinition": definition, "JobName": "from-a-rule"},
        Input='{"Parameters": {"word": "sent"}}',
    )

    server.client("events").put_events(Entries=[{"Source": source, "DetailType": "Any", "Detail": "{}"}])

    def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = server.client("batch").list_jobs(jobQueue=queue, jobStatus="SUCCEEDED")[
            "jobSummaryList"
        ]
        return found

    (found,) = until(10, "a job", look)
    assert json.loads(output(server, found["jobId"])[0])["arguments"] == ["sent"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"jobQueue": "nowhere"}, "nowhere does not exist"),
        ({"jobDefinition": "nothing"}, "nothing does not exist"),
        ({"arrayProperties": {"size": 1}}, "from 2 to 10000"),
        ({"jobName": "no spaces"}, "not valid"),
        ({"parameters": {"long": "x" * 31_000}}, "30 KiB"),
    ],
)
def test_what_batch_does_not_take_is_refused(server: Server, wrong: dict[str, Any], says: str) -> None:
    right = {"jobName": "job", "jobQueue": batch_queue(server), "jobDefinition": batch_definition(server, "tell")}

    with pytest.raises(ClientError, match=says):
        server.client("batch").submit_job(**(right | wrong))
