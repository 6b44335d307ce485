"""EventBridge targets: dead letters of what cannot be delivered, Batch as a target, the right to send."""

import datetime as dt
import json
import time
from typing import Any
from zoneinfo import ZoneInfo

from ministack.core.arn import parse_arn
from ministack.services import batch, eventbridge, lambda_svc, scheduler, sns, sqs

from glaciate_local.gaps.burying import bury
from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.rights import policy_allows, role_lacks
from glaciate_local.settings import LocalSettings

Target = dict[str, Any]
TICK_SECONDS = 1
SCHEDULER, EVENTS = "scheduler.amazonaws.com", "events.amazonaws.com"
ACTIONS = {
    "batch": "batch:SubmitJob",
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
    "sns": "sns:Publish",
    "sqs": "sqs:SendMessage",
}


class CannotDeliver(Exception):
    """EventBridge cannot hand the event to the target: its error code, then why."""


def sender_of(rule: dict[str, Any]) -> str:
    """Which service sends: the Scheduler for schedules, EventBridge for rules."""
    return SCHEDULER if ":scheduler:" in rule.get("Arn", "") else EVENTS


def check_target(target: Target, rule: dict[str, Any]) -> None:
    """Raises CannotDeliver when AWS could not deliver: nobody there, or the sender is not allowed."""
    arn = target["Arn"]
    service, resource = parse_arn(arn).service, parse_arn(arn).resource
    if service == "sqs" and sqs._queue_by_arn(arn) is None:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The queue {arn} does not exist.")
    if service == "lambda" and lambda_svc._get_func_record_for_ref(arn)[0] is None:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The function {arn} does not exist.")
    if service == "sns" and arn not in sns._topics:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The topic {arn} does not exist.")
    if resource.startswith("event-bus/") and resource.partition("/")[2] not in eventbridge._event_buses:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The event bus {arn} does not exist.")
    if service in ACTIONS and (lack := may_not_send(target, rule, arn)):
        raise CannotDeliver("NO_PERMISSIONS", lack)


def may_not_send(target: Target, rule: dict[str, Any], arn: str) -> str | None:
    """Why the sender may not send there; None when it may.

    Schedules send by their role. Rules send to queues, functions and topics by those' policies, else by their role.
    """
    service, sender, source = parse_arn(arn).service, sender_of(rule), rule.get("Arn", "")
    action = ACTIONS[service]
    if sender == SCHEDULER or service in ("batch", "events"):
        role = target.get("RoleArn", "")
        return role_lacks(role, service=sender, action=action, resource=arn, source_arn=source)
    policy: Any
    if service == "sqs":
        queue = sqs._queue_by_arn(arn)
        policy = queue["attributes"].get("Policy") if queue else None
    elif service == "lambda":
        name, _ = lambda_svc._lambda_function_name_and_qualifier_from_arn(arn)
        policy = lambda_svc._functions[name]["policy"]
    else:
        policy = sns._topics[arn]["attributes"].get("Policy")
    if policy_allows(policy, service=sender, action=action, resource=arn, source_arn=source):
        return None
    return f"The policy of {arn} does not let {sender} do {action} for {source}."


def submit_job(target: Target, payload: dict[str, Any]) -> None:
    """A Batch job queue as target: submit the job it names, with the event's `Parameters` if it has some."""
    asked = target.get("BatchParameters") or {}
    request: dict[str, Any] = {
        "jobName": asked.get("JobName"),
        "jobQueue": target["Arn"],
        "jobDefinition": asked.get("JobDefinition"),
        "parameters": {key: str(value) for key, value in payload.get("Parameters", {}).items()},
    }
    if asked.get("ArrayProperties", {}).get("Size"):
        request["arrayProperties"] = {"size": asked["ArrayProperties"]["Size"]}
    if asked.get("RetryStrategy", {}).get("Attempts"):
        request["retryStrategy"] = {"attempts": asked["RetryStrategy"]["Attempts"]}
    if "ContainerOverrides" in payload:
        request["containerOverrides"] = payload["ContainerOverrides"]
    status, _, body = batch._DISPATCH["/v1/submitjob"](request)
    if status >= 300:
        raise CannotDeliver("SDK_CLIENT_ERROR", json.loads(body).get("message", body.decode()))


def deliver_or_bury(_: LocalSettings) -> None:
    """Put what cannot be delivered into the target's dead-letter queue, and deliver to Batch."""
    invoke_alone = eventbridge._invoke_target

    def invoke(target: Target, event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        view = view or eventbridge._pattern_event_view(event)
        try:
            check_target(target, rule)
            if parse_arn(target["Arn"]).service != "batch":
                invoke_alone(target, event, rule, view)
                return
            given = json.loads(target["Input"]) if target.get("Input") else view.event_with_detail()
            if target.get("InputTransformer"):
                given = json.loads(eventbridge._apply_input_transformer(target["InputTransformer"], rule, view))
            submit_job(target, given)
        except CannotDeliver as failure:
            bury_event(target, rule, view.event_with_detail(), failure)

    eventbridge._invoke_target = invoke


def bury_event(target: Target, rule: dict[str, Any], event: Any, failure: CannotDeliver) -> None:
    """The undelivered event in the dead-letter queue; of a schedule what it would have sent. With the attributes that AWS adds."""
    arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    code, why = failure.args
    eventbridge.logger.warning("%s of rule %s not delivered: %s %s", target["Arn"], rule.get("Name"), code, why)
    if not arn or sqs._queue_by_arn(arn) is None or may_not_send(target, rule, arn):
        eventbridge.logger.warning("and no dead-letter queue takes it: the event is lost, as on AWS")
        return
    told = {"TARGET_ARN": target["Arn"], "ERROR_CODE": code, "ERROR_MESSAGE": why, "RETRY_ATTEMPTS": "0"}
    if sender_of(rule) == EVENTS:
        bury(arn, json.dumps(event), told | {"RULE_ARN": rule.get("Arn", "")})
        return
    told |= {"SCHEDULE_ARN": rule["Arn"], "SCHEDULED_TIME": event["time"], "EXECUTION_ID": event["id"]}
    bury(arn, target.get("Input") or json.dumps(event), told | {"IS_PAYLOAD_TRUNCATED": "false"})


def say_when_it_was_scheduled(_: LocalSettings) -> None:
    """Fill in the `<aws.scheduler.…>` words of a schedule's input, and look at the schedules every second."""
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    eventbridge._SCHEDULER_TICK_INTERVAL = TICK_SECONDS
    invoke_before = eventbridge._invoke_target

    def invoke(target: Target, event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        if event.get("Source") == "aws.scheduler" and target.get("Input"):
            words = {
                "<aws.scheduler.schedule-arn>": rule.get("Arn", ""),
                "<aws.scheduler.scheduled-time>": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["Time"])),
                "<aws.scheduler.execution-id>": event["EventId"],
                "<aws.scheduler.attempt-number>": "1",
            }
            said = target["Input"]
            for word, value in words.items():
                said = said.replace(word, value)
            target = {**target, "Input": said}
        invoke_before(target, event, rule, view)

    eventbridge._invoke_target = invoke


class Zoned(str):
    """A schedule's expression with the time zone it is meant in."""

    __slots__ = ("zone",)
    zone: ZoneInfo


def keep_time_zones(_: LocalSettings) -> None:
    """Read cron() and at() in the schedule's time zone; MiniStack reads them in UTC."""
    tick_alone, at_alone = scheduler._tick_schedules, scheduler._at_time_epoch
    fields_alone, next_alone = eventbridge._parse_cron_fields, eventbridge._cron_next_fire

    def tick() -> None:
        for schedule in list(scheduler._schedules._data.values()):
            zone = schedule.get("ScheduleExpressionTimezone") or "UTC"
            expression = schedule.get("ScheduleExpression", "")
            if zone != "UTC" and not isinstance(expression, Zoned):
                schedule["ScheduleExpression"] = Zoned(expression)
                schedule["ScheduleExpression"].zone = ZoneInfo(zone)
        tick_alone()

    def at_epoch(expression: str) -> float | None:
        moment: float | None = at_alone(expression)
        if moment is None or not isinstance(expression, Zoned):
            return moment
        return dt.datetime.fromtimestamp(moment, dt.UTC).replace(tzinfo=expression.zone).timestamp()

    def parse_fields(expression: str) -> Any:
        fields = fields_alone(expression)
        return (fields, expression.zone) if fields and isinstance(expression, Zoned) else fields

    def next_fire(fields: Any, after: dt.datetime) -> dt.datetime | None:
        if len(fields) != len(("fields", "zone")):
            moment: dt.datetime | None = next_alone(fields, after)
            return moment
        plain, zone = fields
        there = next_alone(plain, after.astimezone(zone).replace(tzinfo=dt.UTC))
        return there.replace(tzinfo=zone).astimezone(dt.UTC) if there else None

    scheduler._tick_schedules = tick
    scheduler._at_time_epoch = at_epoch
    eventbridge._parse_cron_fields = parse_fields
    eventbridge._cron_next_fire = next_fire


GAPS = (
    Gap("time zones of schedules", "reads cron() and at() in the schedule's time zone", keep_time_zones),
    Gap(
        "dead letters of rule targets",
        "asks for the right to send, buries what it cannot deliver, delivers to Batch",
        deliver_or_bury,
    ),
    Gap(
        "words in scheduled input", "fills in <aws.scheduler.scheduled-time> and its sisters", say_when_it_was_scheduled
    ),
)
