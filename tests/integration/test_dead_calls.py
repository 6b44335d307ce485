"""Calls that never reach their function, on the local cloud: each really dies, is listed with why, and replaying it does the work."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glaciate_cli.main import main
from local_glaciate import LocalGlaciate, glaciate, place  # noqa: F401  fixtures
from waiting import until

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

LIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
EVENTS_PRINCIPAL = "events.amazonaws.com"


@dataclass(frozen=True)
class Operator:
    """Somebody who breaks things, looks, mends and replays."""

    glaciate: LocalGlaciate
    local_json: Path

    def dlq(self, *arguments: str, ends_with: int = 0) -> dict[str, Any]:
        """What `glaciate dlq` says."""
        result = CliRunner().invoke(main, ["dlq", *arguments, "--json", "--local-json", str(self.local_json)])
        assert result.exit_code == ends_with, result.output
        return dict(json.loads(result.stdout))

    def dead(self, name: str, *, seconds: float = 30) -> dict[str, Any]:
        """The only dead letter of a function, as soon as it is there."""

        def look() -> list[dict[str, Any]]:
            return list(self.dlq("list", name)["queues"][0]["messages"])

        [letter] = until(f"a dead letter of {name}", look, seconds=seconds)
        return letter

    def emptied(self, name: str) -> bool:
        return self.dlq("list", name)["queues"][0]["count"] == 0

    @contextmanager
    def without_schedule(self, name: str) -> Iterator[None]:
        """While nothing but events calls the function."""
        with self.glaciate.client("scheduler") as scheduler:
            schedule = scheduler.get_schedule(Name=f"glaciate-{name}")
            kept = {
                key: schedule[key]
                for key in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
                if key in schedule
            }
            scheduler.update_schedule(**kept, State="DISABLED")
            try:
                yield
            finally:
                scheduler.update_schedule(**kept, State="ENABLED")

    @contextmanager
    def without_permission(self, name: str) -> Iterator[Callable[[], None]]:
        """While rules may not call the function; gives what mends it."""
        function = f"glaciate-{name}"
        with self.glaciate.client("lambda") as functions:
            given = json.loads(functions.get_policy(FunctionName=function)["Policy"])["Statement"]
            for statement in given:
                functions.remove_permission(FunctionName=function, StatementId=statement["Sid"])

            def mend() -> None:
                for statement in given:
                    functions.add_permission(
                        FunctionName=function,
                        StatementId=statement["Sid"],
                        Action="lambda:InvokeFunction",
                        Principal=EVENTS_PRINCIPAL,
                        SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
                    )
                given.clear()

            try:
                yield mend
            finally:
                mend()

    def no_worker_runs(self, job_queue: str) -> None:
        with self.glaciate.client("batch") as batch:
            until(
                f"the workers of {job_queue} to leave",
                lambda: (
                    not any(batch.list_jobs(jobQueue=job_queue, jobStatus=status)["jobSummaryList"] for status in LIVE)
                ),
            )

    @contextmanager
    def with_environment(self, name: str, **variables: str) -> Iterator[None]:
        """While the function has other variables."""
        function = f"glaciate-{name}"
        with self.glaciate.client("lambda") as functions:
            before = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
            functions.update_function_configuration(
                FunctionName=function, Environment={"Variables": before | variables}
            )
            try:
                yield
            finally:
                functions.update_function_configuration(FunctionName=function, Environment={"Variables": before})


@pytest.fixture
def operator(glaciate: LocalGlaciate, tmp_path: Path) -> Operator:  # noqa: F811
    path = tmp_path / "local.json"
    path.write_text(json.dumps(glaciate.place.local))
    return Operator(glaciate, path)


def test_a_launcher_that_may_not_be_called_leaves_the_job_waiting_until_its_event_is_replayed(
    operator: Operator,
) -> None:
    glaciate = operator.glaciate  # noqa: F811
    prefix = f"{uuid.uuid4().hex[:8]}/"
    glaciate.upload({f"{prefix}one.txt": b"one"})
    with operator.without_schedule("packer-launch"), operator.without_permission("packer-launch") as mend:
        operator.no_worker_runs("glaciate-packer")
        body = {"project_name": "demo", "bucket_name": glaciate.place.bucket("source"), "prefix": prefix}
        job_id = glaciate.place.api.archive(body, idempotency_key=prefix)["job_id"]
        letter = operator.dead("packer-launch")
        assert (letter["name"], letter["attributes"]["ERROR_CODE"]) == ("ArchiveJobAccepted.v1", "NO_PERMISSIONS")
        assert "does not let events.amazonaws.com" in letter["reason"]
        assert glaciate.place.api.status(job_id)["state"] == "ACCEPTED"
        mend()

        done = operator.dlq("replay", "packer-launch")
        again = operator.dlq("replay", "packer-launch")

        assert [one["message_id"] for one in done["replayed"]] == [letter["message_id"]]
        assert (done["left"], again["replayed"]) == ([], [])
        until("the job to be done", lambda: glaciate.place.api.status(job_id)["state"] == "COMPLETED")
    assert operator.emptied("packer-launch")


def test_an_unpacker_s_launcher_that_may_not_be_called_keeps_the_restore_waiting_until_its_event_is_replayed(
    operator: Operator,
) -> None:
    glaciate = operator.glaciate  # noqa: F811
    prefix = f"{uuid.uuid4().hex[:8]}/"
    glaciate.upload({f"{prefix}one.txt": b"one"})
    assert glaciate.archive(prefix)["state"] == "COMPLETED"
    with operator.without_schedule("unpacker-launch"), operator.without_permission("unpacker-launch") as mend:
        operator.no_worker_runs("glaciate-unpacker")
        wanted = {"project_name": "demo", "filename": f"{prefix}one.txt"}
        request_id = glaciate.place.api.restore(wanted, idempotency_key=prefix)["request_id"]
        letter = operator.dead("unpacker-launch")
        assert letter["name"] == "Object Restore Completed"
        assert glaciate.place.api.status(request_id)["state"] != "COMPLETED"
        mend()

        done = operator.dlq("replay", "unpacker-launch")

        assert (len(done["replayed"]), done["left"]) == (1, [])
        until("the restore to be done", lambda: glaciate.place.api.status(request_id)["state"] == "COMPLETED")


def test_a_sweep_that_the_scheduler_may_not_make_is_made_by_replaying_it(operator: Operator) -> None:
    glaciate = operator.glaciate  # noqa: F811
    prefix = f"{uuid.uuid4().hex[:8]}/"
    glaciate.upload({f"{prefix}one.txt": b"one"})
    job = glaciate.archive(prefix)
    (vault_key,) = glaciate.keys("vault", f"{job['output_prefix']}{job['job_id']}")
    request_id = restore_whose_event_is_lost(glaciate, f"{prefix}one.txt", vault_key)
    with glaciate.client("scheduler") as scheduler, glaciate.client("iam") as iam:
        target = scheduler.get_schedule(Name="glaciate-restore-intake-sweep")["Target"]
        role = target["RoleArn"].rpartition("/")[2]
        rights = iam.get_role_policy(RoleName=role, PolicyName="start")["PolicyDocument"]
        only_bury = {
            **rights, "Statement": [one for one in rights["Statement"] if one["Action"] == "sqs:SendMessage"]
        }  # fmt: skip
        iam.put_role_policy(RoleName=role, PolicyName="start", PolicyDocument=json.dumps(only_bury))
        try:
            scheduler.create_schedule(
                Name=f"sweep-{request_id}",
                ScheduleExpression="at(2026-01-01T00:00:00)",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target=target,
            )
            letter = operator.dead("restore-intake-sweep")
        finally:
            iam.put_role_policy(RoleName=role, PolicyName="start", PolicyDocument=json.dumps(rights))
            scheduler.delete_schedule(Name=f"sweep-{request_id}")
    assert (letter["name"], letter["attributes"]["ERROR_CODE"]) == ("Scheduled Event", "NO_PERMISSIONS")
    assert letter["attributes"]["SCHEDULE_ARN"].endswith(f"sweep-{request_id}")
    assert glaciate.place.api.status(request_id)["state"] == "THAWING"

    done = operator.dlq("replay", "restore-intake-sweep")

    assert (len(done["replayed"]), done["left"]) == (1, [])
    until("the restore to be done", lambda: glaciate.place.api.status(request_id)["state"] == "COMPLETED")


def restore_whose_event_is_lost(glaciate: LocalGlaciate, key: str, vault_key: str) -> str:  # noqa: F811
    """Its archive is thawed, nobody was told, and the time to look at it has come."""
    api, local = glaciate.place.api, glaciate.place.local
    with glaciate.client("events") as events, glaciate.client("dynamodb") as dynamodb:
        (rule,) = (
            rule["Name"]
            for rule in events.list_rules()["Rules"]
            if "Object Restore Completed" in rule.get("EventPattern", "")
        )
        events.disable_rule(Name=rule)
        try:
            accepted = api.restore({"project_name": "demo", "filename": key}, idempotency_key=key)
            request_id = str(accepted["request_id"])

            def thawed() -> bool:
                head = glaciate.place.s3.head_object(Bucket=glaciate.place.bucket("vault"), Key=vault_key)
                return 'ongoing-request="false"' in head.get("Restore", "")

            until("the thaw", thawed)
        finally:
            events.enable_rule(Name=rule)
        waiters = dynamodb.query(
            TableName=local["tables"]["jobs"],
            IndexName="listing",
            KeyConditionExpression="list_key = :waiting",
            ExpressionAttributeValues={":waiting": {"S": "waiting"}},
        )["Items"]
        for waiter in waiters:
            if waiter["item"]["S"] == request_id:
                due, hash_sign, rest = waiter["list_order"]["S"].partition("#")
                waiter["list_order"] = {"S": f"{'0' * len(due)}{hash_sign}{rest}"}
                dynamodb.put_item(TableName=local["tables"]["jobs"], Item=waiter)
    return request_id


def test_a_run_of_the_schedule_that_fails_stays_while_it_fails_and_is_made_for_its_own_day_when_mended(
    operator: Operator,
) -> None:
    glaciate = operator.glaciate  # noqa: F811
    name, function = "archive-intake-schedule", "glaciate-archive-intake-schedule"
    prefix = uuid.uuid4().hex[:8]
    glaciate.upload({f"{prefix}/20260630/one.txt": b"one"})
    run = {"scheduled_time": "2026-07-01T03:00:00Z"}
    with operator.with_environment(name, PROJECTS_PARAMETER="/nowhere"):
        with glaciate.client("lambda") as functions:
            functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(run).encode())
        letter = operator.dead(name)  # after two more tries
        assert json.loads(letter["body"]) == run
        assert "/nowhere" in letter["reason"]

        done = operator.dlq("replay", name, ends_with=1)

        assert done["replayed"] == []
        assert f"{function} failed: " in done["left"][0]["why"]
        assert "/nowhere" in done["left"][0]["why"]
    with projects_with_fallback(glaciate, f"{prefix}/{{date:%Y%m%d}}/"):
        done = operator.dlq("replay", name)
        glaciate.place.sqs.send_message(
            QueueUrl=glaciate.place.local["functions"][name]["dlq"], MessageBody=letter["body"]
        )
        again = operator.dlq("replay", name)

        assert [len(one["replayed"]) for one in (done, again)] == [1, 1]
    jobs = [
        job
        for page in glaciate.place.api.listing("archive", {"project_name": "demo"}, page_size=100)
        for job in page["jobs"]
        if job["prefix"] == f"{prefix}/20260630/"
    ]
    assert [job["scheduled_for"] for job in jobs] == ["2026-06-30"]


@contextmanager
def projects_with_fallback(glaciate: LocalGlaciate, template: str) -> Iterator[None]:  # noqa: F811
    """While the project has a fallback."""
    with glaciate.client("ssm") as ssm:
        before = ssm.get_parameter(Name="/glaciate/projects")["Parameter"]["Value"]
        document = json.loads(before)
        (project,) = document["projects"]
        project["fallback"] = [{"bucket": glaciate.place.bucket("source"), "prefix": template}]
        ssm.put_parameter(Name="/glaciate/projects", Value=json.dumps(document), Overwrite=True)
        try:
            yield
        finally:
            ssm.put_parameter(Name="/glaciate/projects", Value=before, Overwrite=True)
