"""`glaciate dlq` knows every dead-letter queue there is, where its messages were meant to go, and may do what it does."""

from typing import Any

import pytest

from glaciate_cli.deployment import FUNCTIONS, LONGEST_CALL_SECONDS, QUEUES, function_outputs, queue_outputs
from stack import (
    NESTED,
    ROOT_TEMPLATE,
    Resource,
    as_list,
    dead_letter_queues,
    functions,
    physical_name,
    queues,
    resource,
    resources,
    target_of,
)

SUFFIX = "-dead-letters"
DEAD_LETTERS = {
    physical_name(letters.properties["QueueName"]).removesuffix(SUFFIX): letters for letters in dead_letter_queues()
}


def told_by_the_stack(output: str) -> Resource:
    """What an output of the stack refers to, through the nested template's own."""
    logical, nested_output = ROOT_TEMPLATE["Outputs"][output]["Value"]["Fn::GetAtt"]
    template = ROOT_TEMPLATE["Resources"][logical]["Properties"]["TemplateURL"]
    name = template.removeprefix("services/").removesuffix(".yaml")
    reference = NESTED[name]["Outputs"][nested_output.removeprefix("Outputs.")]["Value"]
    return resource(name, reference["Ref"])


def buried(letters: Resource) -> set[str]:
    """Whose messages end there: the functions and queues that name it themselves, and what rules and schedules call."""
    own = {
        one.name
        for one in (*functions(), *queues())
        if one.template == letters.template
        for holder in (one.properties.get("DeadLetterQueue"), one.properties.get("RedrivePolicy"))
        if holder
        if target_of(holder.get("TargetArn") or holder.get("deadLetterTargetArn")) == letters.name
    }
    targets = [target for rule in resources("AWS::Events::Rule") for target in here(rule, letters, "Targets")]
    targets += [target for one in resources("AWS::Scheduler::Schedule") for target in here(one, letters, "Target")]
    called = {
        target_of(target["Arn"]) for target in targets if target_of(target["DeadLetterConfig"]["Arn"]) == letters.name
    }
    return own | {str(name) for name in called}


def here(sender: Resource, letters: Resource, targets: str) -> list[dict[str, Any]]:
    return as_list(sender.properties[targets]) if sender.template == letters.template else []


def test_the_command_knows_every_dead_letter_queue_and_no_other() -> None:
    assert {*QUEUES, *FUNCTIONS} == set(DEAD_LETTERS)
    assert not set(QUEUES) & set(FUNCTIONS)


@pytest.mark.parametrize("name", QUEUES)
def test_the_stack_tells_of_a_queue_and_of_its_dead_letters(name: str) -> None:
    queue, letters = map(told_by_the_stack, queue_outputs(name))

    assert letters == DEAD_LETTERS[name]
    assert buried(letters) == {queue.name}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stack_tells_of_a_function_and_of_the_calls_it_never_answered(name: str) -> None:
    function, letters = map(told_by_the_stack, function_outputs(name))

    assert letters == DEAD_LETTERS[name]
    assert function.kind == "AWS::Serverless::Function"
    assert buried(letters) == {function.name}


@pytest.mark.parametrize("function", functions(), ids=str)
def test_failed_calls_are_kept_as_they_were(function: Resource) -> None:
    assert "EventInvokeConfig" not in function.properties, (
        "a destination wraps the event: the command would have to unwrap it"
    )
    assert function.properties.get("DeadLetterQueue", {"Type": "SQS"})["Type"] == "SQS"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_is_waited_for_as_long_as_it_may_take(name: str) -> None:
    function = told_by_the_stack(function_outputs(name)[0])

    assert function.properties["Timeout"] <= LONGEST_CALL_SECONDS


def test_operators_may_replay_all_of_them_and_nothing_else() -> None:
    allowed: dict[str, set[str]] = {}
    for statement in NESTED["foundation"]["Resources"]["OperatorPolicy"]["Properties"]["PolicyDocument"]["Statement"]:
        names = {one["Fn::Sub"].rpartition("${Prefix}")[2].removeprefix("-") for one in as_list(statement["Resource"])}
        for action in as_list(statement["Action"]):
            allowed[action] = allowed.get(action, set()) | names

    dead_letters = {f"{name}{SUFFIX}" for name in DEAD_LETTERS}
    assert allowed == {
        "sqs:ReceiveMessage": dead_letters,
        "sqs:DeleteMessage": dead_letters,
        "sqs:ChangeMessageVisibility": dead_letters,
        "sqs:GetQueueAttributes": dead_letters,
        "sqs:SendMessage": set(QUEUES),
        "lambda:InvokeFunction": {
            physical_name(told_by_the_stack(function_outputs(name)[0]).properties["FunctionName"]) for name in FUNCTIONS
        },
        "cloudformation:DescribeStacks": {"/*"},
    }
