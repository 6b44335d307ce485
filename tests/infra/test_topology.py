"""The templates route messages and events as their classes say, no more and no less."""

import pytest

from glaciate.contracts import Command, Contract, ForeignEvent
from glaciate.events import EVENTS
from glaciate.messages import COMMANDS
from glaciate.names import EVENT_SOURCE
from stack import SERVICES, Resource, as_list, functions, physical_name, queues, resources, statements, target_of

RULES = resources("AWS::Events::Rule")
QUEUES = {physical_name(queue.properties["QueueName"]): queue for queue in queues()}


def takers(event: type[Contract]) -> set[str]:
    """The services whose queue or function some rule gives the event to."""
    return {
        rule.template
        for rule in RULES
        if event.name in rule.properties["EventPattern"]["detail-type"]
        for target in rule.properties["Targets"]
        if target_of(target["Arn"])
    }


def allowed(service: str, action: str) -> list[str | None]:
    """What a service's roles may do this to, by logical id or parameter, but the dead letters."""
    found = []
    for role in resources("AWS::IAM::Role"):
        if role.template != service:
            continue
        for statement in statements(role):
            if action in as_list(statement["Action"]):
                found += [target_of(one) or str(one) for one in as_list(statement["Resource"])]
    return [name for name in found if "DeadLetters" not in str(name)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_rules_give_an_event_to_just_its_consumers(event: type[Contract]) -> None:
    assert takers(event) == set(event.consumers)


def test_no_rule_waits_for_an_event_that_nobody_declares() -> None:
    declared = {event.name for event in EVENTS}

    for rule in RULES:
        assert set(rule.properties["EventPattern"]["detail-type"]) <= declared, rule


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_listens_where_its_event_is_told(rule: Resource) -> None:
    by_name = {event.name: event for event in EVENTS}
    pattern = rule.properties["EventPattern"]

    for name in pattern["detail-type"]:
        if issubclass(by_name[name], ForeignEvent):
            assert "EventBusName" not in rule.properties  # the default bus
            assert pattern["source"] == ["aws.s3"]
            assert pattern["detail"] == {"bucket": {"name": [{"Ref": "VaultBucket"}]}}
        else:
            assert rule.properties["EventBusName"] == {"Ref": "EventBusName"}
            assert pattern["source"] == [EVENT_SOURCE]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_reaches_a_queue_or_function_of_its_own_service_that_lets_it(rule: Resource) -> None:
    own = {queue.name for queue in QUEUES.values() if queue.template == rule.template}
    callable_by_rule = {
        target_of(permission.properties["FunctionName"])
        for permission in resources("AWS::Lambda::Permission")
        if permission.template == rule.template and target_of(permission.properties["SourceArn"]) == rule.name
    }

    for target in rule.properties["Targets"]:
        assert target_of(target["Arn"]) in own | callable_by_rule


@pytest.mark.parametrize(
    "event", [one for one in EVENTS if not issubclass(one, ForeignEvent)], ids=lambda event: event.name
)
def test_the_producers_of_an_event_may_tell_the_bus(event: type[Contract]) -> None:
    for service in event.producers:
        assert allowed(service, "events:PutEvents"), service


def test_nobody_else_may_tell_the_bus() -> None:
    producers = {service for event in EVENTS if not issubclass(event, ForeignEvent) for service in event.producers}

    assert {service for service in SERVICES if allowed(service, "events:PutEvents")} == producers


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_s_queue_belongs_to_its_consumer(command: type[Command]) -> None:
    assert (QUEUES[command.queue].template,) == command.consumers


@pytest.mark.parametrize("name", sorted({command.queue for command in COMMANDS if issubclass(command, Command)}))
def test_just_the_producers_of_its_commands_may_send_to_a_queue(name: str) -> None:
    producers = {service for command in COMMANDS if command.queue == name for service in command.producers}  # type: ignore[attr-defined]
    logical = QUEUES[name].name

    senders = {
        service
        for service in SERVICES
        if {logical, f"{logical}Arn"} & {str(one) for one in allowed(service, "sqs:SendMessage")}
    }

    assert senders == producers - {"operator"}  # who has rights of their own: see the operator's policy


@pytest.mark.parametrize("name", sorted(QUEUES))
def test_every_queue_is_fed(name: str) -> None:
    fed_by_rules = {target_of(target["Arn"]) for rule in RULES for target in rule.properties["Targets"]}
    fed_by_commands = {command.queue for command in COMMANDS if issubclass(command, Command)}

    assert QUEUES[name].name in fed_by_rules or name in fed_by_commands


def test_a_launcher_runs_every_minute_and_on_the_events_that_announce_work() -> None:
    launchers = [function for function in functions() if function.name == "Launch"]

    assert {launcher.template for launcher in launchers} == {"packer", "unpacker"}
    for launcher in launchers:
        schedules = [
            schedule.properties["ScheduleExpression"]
            for schedule in resources("AWS::Scheduler::Schedule")
            if schedule.template == launcher.template and target_of(schedule.properties["Target"]["Arn"]) == "Launch"
        ]
        announced = {
            name
            for rule in RULES
            if rule.template == launcher.template
            and "Launch" in {target_of(target["Arn"]) for target in rule.properties["Targets"]}
            for name in rule.properties["EventPattern"]["detail-type"]
        }
        assert schedules == ["rate(1 minute)"]
        assert announced == {event.name for event in EVENTS if launcher.template in event.consumers}
