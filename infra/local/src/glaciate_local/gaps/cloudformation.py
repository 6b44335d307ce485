"""CloudFormation that knows Batch and gives nested stacks what AWS gives them."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from ministack.services import batch, lambda_svc
from ministack.services import cloudformation as stacks_state
from ministack.services.cloudformation import engine, provisioners

from glaciate_local.gaps import batch as local_batch
from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings

Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, str]]
ONLY_IN_TEMPLATES = {"ReplaceComputeEnvironment", "UpdatePolicy", "SkipDeregisterOnUpdate", "ResourceRetentionPolicy"}


@cache
def batch_model() -> ServiceModel:
    """What the Batch API takes."""
    return botocore.session.Session().get_service_model("batch")


def api_form(value: Any, shape: Any) -> Any:
    """A template's properties as the Batch API takes them: its names and its types, where templates may say strings.

    Raises:
        ValueError: a property is unknown.
    """
    if shape.type_name == "structure":
        members = {name[:1].upper() + name[1:]: (name, inner) for name, inner in shape.members.items()}
        if unknown := set(value) - set(members):
            raise ValueError(f"Encountered unsupported property {', '.join(sorted(unknown))}")
        return {members[name][0]: api_form(inner, members[name][1]) for name, inner in value.items()}
    if shape.type_name == "list":
        return [api_form(one, shape.member) for one in value]
    if shape.type_name == "map":
        return {name: api_form(inner, shape.value) for name, inner in value.items()}
    if shape.type_name in ("integer", "long"):
        return int(value)
    return str(value).lower() == "true" if shape.type_name == "boolean" else str(value)


def asked(action: Callable[[Properties], tuple[int, Any, bytes]], request: Properties) -> Properties:
    """Call a MiniStack action; raises ValueError with its message, which becomes the resource's failure."""
    status, _, body = action(request)
    answer: Properties = json.loads(body)
    if status >= 300:
        raise ValueError(answer.get("message", answer))
    return answer


def request_of(operation: str, properties: Properties, name: str, logical_id: str, stack_name: str) -> Properties:
    """The request that creates a resource, with a name drawn up from the stack where the template gives none."""
    given = {key: value for key, value in properties.items() if key not in ONLY_IN_TEMPLATES}
    given.setdefault(name, provisioners._physical_name(stack_name, logical_id, max_len=128))
    form: Properties = api_form(given, batch_model().operation_model(operation).input_shape)
    return form


def create_compute_environment(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
    """AWS::Batch::ComputeEnvironment: Ref and ComputeEnvironmentArn are its ARN."""
    request = request_of("CreateComputeEnvironment", properties, "ComputeEnvironmentName", logical_id, stack_name)
    arn: str = asked(batch._create_compute_environment, request)["computeEnvironmentArn"]
    return arn, {"ComputeEnvironmentArn": arn}


def update_compute_environment(arn: str, _: Properties, properties: Properties, stack_name: str) -> Provisioned:
    """Change what UpdateComputeEnvironment changes."""
    request = request_of("CreateComputeEnvironment", properties, "ComputeEnvironmentName", arn, stack_name)
    asked(batch._update_compute_environment, {**request, "computeEnvironment": arn})
    return arn, {"ComputeEnvironmentArn": arn}


def create_job_queue(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
    """AWS::Batch::JobQueue: Ref and JobQueueArn are its ARN."""
    request = request_of("CreateJobQueue", properties, "JobQueueName", logical_id, stack_name)
    arn: str = asked(batch._create_job_queue, request)["jobQueueArn"]
    return arn, {"JobQueueArn": arn}


def update_job_queue(arn: str, _: Properties, properties: Properties, stack_name: str) -> Provisioned:
    """Change what UpdateJobQueue changes."""
    local_batch.update_job_queue(
        {**request_of("CreateJobQueue", properties, "JobQueueName", arn, stack_name), "jobQueue": arn}
    )
    return arn, {"JobQueueArn": arn}


def create_job_definition(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
    """AWS::Batch::JobDefinition: Ref and JobDefinitionArn are the ARN of this revision."""
    request = request_of("RegisterJobDefinition", properties, "JobDefinitionName", logical_id, stack_name)
    try:
        arn = local_batch.register_job_definition(request)["jobDefinitionArn"]
    except local_batch.ClientException as refused:
        raise ValueError(str(refused)) from refused
    return arn, {"JobDefinitionArn": arn}


def update_job_definition(
    arn: str, old: Properties, properties: Properties, stack_name: str, logical_id: str
) -> Provisioned:
    """A new revision, and the old one inactive unless the template keeps it."""
    created = create_job_definition(logical_id, properties, stack_name)
    if not old.get("SkipDeregisterOnUpdate"):
        delete_job_definition(arn, old)
    return created


def delete_job_definition(arn: str, _: Properties) -> None:
    """Make the revision inactive; one that is inactive already is fine."""
    name, _colon, revision = arn.rsplit("/", 1)[-1].partition(":")
    for one in batch._job_definitions.get(name, []):
        if str(one["revision"]) == revision:
            one["status"] = "INACTIVE"


def accept_batch_resources(_: LocalSettings) -> None:
    """Teach CloudFormation the three Batch resources."""
    provisioners._RESOURCE_HANDLERS |= {
        "AWS::Batch::ComputeEnvironment": {
            "create": create_compute_environment,
            "update": update_compute_environment,
            "delete": lambda arn, _: local_batch.delete_compute_environment({"computeEnvironment": arn}),
        },
        "AWS::Batch::JobQueue": {
            "create": create_job_queue,
            "update": update_job_queue,
            "delete": lambda arn, _: local_batch.delete_job_queue({"jobQueue": arn}),
        },
        "AWS::Batch::JobDefinition": {
            "create": create_job_definition,
            "update": update_job_definition,
            "update_with_logical_id": True,
            "delete": delete_job_definition,
        },
    }


def transform_nested_templates(_: LocalSettings) -> None:
    """Apply the SAM transform to nested templates too.

    MiniStack parses a nested template and provisions it as it stands. The nested deployment is the only caller that
    imports `_parse_template` when it runs; the others bound it when they were imported, and transform by themselves.
    """
    parse_alone = engine._parse_template

    def parse_and_transform(body: str) -> Any:
        template = engine._apply_transforms(parse_alone(body))
        if isinstance(template, engine._TransformFailed):
            raise ValueError(template.error)
        return template

    engine._parse_template = parse_and_transform


def undo_failed_nested_stacks(_: LocalSettings) -> None:
    """Delete what a nested stack created before it failed; MiniStack leaves it behind, unknown to the parent."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    create_alone, delete = handlers["create"], handlers["delete"]

    def create(logical_id: str, properties: Properties, parent: str) -> Provisioned:
        before = set(stacks_state._stacks)
        try:
            created: Provisioned = create_alone(logical_id, properties, parent)
        except Exception as error:
            for name in set(stacks_state._stacks) - before:
                child = stacks_state._stacks[name]
                if child.get("_parent_stack_name") == parent:
                    reason = child.get("StackStatusReason") or str(error)
                    delete(name, properties)
                    raise ValueError(
                        f"Embedded stack {child['StackId']} was not successfully created: {reason}"
                    ) from error
            raise
        return created

    handlers["create"] = create


def keep_attributes_of_unchanged_resources(_: LocalSettings) -> None:
    """Let a nested stack's update remember what GetAtt says of resources it did not change.

    MiniStack's nested update forgets them, and whatever refers to one afterwards gets nothing.
    """
    update_alone = provisioners._update_resource

    def update(  # noqa: PLR0917
        kind: str,
        physical_id: str,
        old: Properties,
        new: Properties,
        stack: str,
        logical_id: str = "",
        attributes: dict[str, str] | None = None,
    ) -> Provisioned:
        known = stacks_state._stacks.get(stack, {}).get("_resources", {}).get(logical_id, {}).get("Attributes", {})
        before: dict[str, str] = known if attributes is None else attributes
        new_id, changed = update_alone(kind, physical_id, old, new, stack, logical_id, before)
        return new_id, ({**before, **changed} if new_id == physical_id else changed)

    provisioners._update_resource = update


def give_functions_their_dead_letters(_: LocalSettings) -> None:
    """Let a template's function have its DeadLetterConfig; MiniStack takes it from the API only."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create_alone, update_alone = handlers["create"], handlers["update"]

    def configured(created: Provisioned, properties: Properties) -> Provisioned:
        name, _ = created
        lambda_svc._functions[name]["config"]["DeadLetterConfig"] = properties.get("DeadLetterConfig") or {}
        return created

    def create(logical_id: str, properties: Properties, stack: str) -> Provisioned:
        return configured(create_alone(logical_id, properties, stack), properties)

    def update(physical_id: str, old: Properties, new: Properties, *stack_and_logical_id: str) -> Provisioned:
        return configured(update_alone(physical_id, old, new, *stack_and_logical_id), new)

    handlers |= {"create": create, "update": update}


GAPS = (
    Gap(
        "dead letters of functions in templates",
        "gives a function the DeadLetterConfig that its template names",
        give_functions_their_dead_letters,
    ),
    Gap(
        "batch resources in templates",
        "creates compute environments, job queues and definitions",
        accept_batch_resources,
    ),
    Gap("sam in nested stacks", "transforms nested templates that declare a transform", transform_nested_templates),
    Gap(
        "failed nested stacks are undone",
        "deletes what a nested stack made before it failed",
        undo_failed_nested_stacks,
    ),
    Gap(
        "updates of nested stacks",
        "keeps the attributes of resources that a nested update leaves alone",
        keep_attributes_of_unchanged_resources,
    ),
)
