"""Roles: least privilege, and nobody assumes one but the service it is for."""

import pytest

from glaciate.openapi import CALLS
from stack import NESTED, Resource, as_list, functions, job_definitions, resources, statements, target_of

ROLES = resources("AWS::IAM::Role")
TAKE_NO_RESOURCE = {  # AWS lets no resource be named for these
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "batch:ListJobs",
    "batch:DescribeJobs",
    "ecr:GetAuthorizationToken",
}


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_everything_is_named_but_where_aws_takes_no_name(role: Resource) -> None:
    for statement in statements(role):
        if "*" in as_list(statement["Resource"]):
            assert set(as_list(statement["Action"])) <= TAKE_NO_RESOURCE


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_no_action_is_a_pattern(role: Resource) -> None:
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert not [action for action in as_list(statement["Action"]) if "*" in action]
        assert "NotAction" not in statement
        assert "NotResource" not in statement


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_one_service_assumes_it_and_only_for_this_account(role: Resource) -> None:
    (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    service = trust["Principal"]["Service"]

    assert isinstance(service, str)
    if service in {"ecs-tasks.amazonaws.com", "scheduler.amazonaws.com"}:  # these may act for others
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_every_function_and_worker_has_a_role_of_its_own() -> None:
    used = [f"{one.template}.{target_of(one.properties['Role'])}" for one in functions()]
    used += [
        f"{one.template}.{target_of(one.properties['ContainerProperties']['JobRoleArn'])}" for one in job_definitions()
    ]

    assert len(used) == len(set(used))
    assert set(used) <= {str(role) for role in ROLES}


def deleters_of(bucket: str) -> set[str]:
    """The roles that may delete objects there; a bucket by the parameter that names it."""
    return {
        str(role)
        for role in ROLES
        for statement in statements(role)
        if {"s3:DeleteObject", "s3:DeleteObjectVersion"} & set(as_list(statement["Action"]))
        if bucket in str(statement["Resource"])
    }


def test_nobody_may_delete_in_the_vault_and_only_the_packer_in_the_sources() -> None:
    assert deleters_of("VaultBucket") == set()
    assert deleters_of("SourceResources") == {"packer.WorkerRole"}


def test_only_the_unpacker_writes_to_original_buckets_and_nobody_deletes_there() -> None:
    writers = {
        str(role)
        for role in ROLES
        for statement in statements(role)
        if "s3:PutObject" in as_list(statement["Action"]) and "OriginalResources" in str(statement["Resource"])
    }

    assert writers == {"unpacker.WorkerRole"}
    assert deleters_of("OriginalResources") == set()


def test_only_the_thaw_consumer_and_the_sweeper_may_thaw() -> None:
    thawers = {
        str(role)
        for role in ROLES
        for statement in statements(role)
        if "s3:RestoreObject" in as_list(statement["Action"])
    }

    assert thawers == {"restore-intake.ThawRole", "restore-intake.SweepRole"}


def test_a_log_is_written_by_the_function_whose_it_is() -> None:
    for function in functions():
        log = target_of(function.properties["LoggingConfig"]["LogGroup"])
        (role,) = (
            role
            for role in ROLES
            if role.template == function.template and role.name == target_of(function.properties["Role"])
        )
        (writes,) = (one for one in statements(role) if "logs:PutLogEvents" in as_list(one["Action"]))
        assert [target_of(one) for one in as_list(writes["Resource"])] == [log]


def covers(pattern: str, method: str, path: str) -> bool:
    """Whether `METHOD/path`, with a star for any method or at the end for any rest, lets a call through."""
    verb, _, rest = pattern.partition("/")
    return verb in {"*", method} and (path == rest or (rest.endswith("/*") and path.startswith(rest[:-1])))


@pytest.mark.parametrize(("policy", "begins"), [("ArchiverPolicy", "archive"), ("RestorerPolicy", "restore")])
def test_a_caller_may_do_one_thing_and_look(policy: str, begins: str) -> None:
    (statement,) = NESTED["api"]["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
    patterns = [one["Fn::Sub"].partition("/live/")[2] for one in statement["Resource"]]

    for call in CALLS:
        path = call.path.strip("/")
        may = any(covers(pattern, call.method.upper(), path) for pattern in patterns)
        assert may == path.startswith((begins, "files")), f"{call.method} {call.path}"
