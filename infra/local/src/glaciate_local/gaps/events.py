"""EventBridge targets: dead letters of what cannot be delivered, Batch as a target, the right to send."""

import json
import time
from typing import Any

from ministack.core.arn import parse_arn
from ministack.services import batch, eventbridge, lambda_svc, scheduler, sns, sqs

from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.on_loop import on_loop
from glaciate_local.settings import LocalSettings

Target = dict[str, Any]
TICK_SECONDS = 1


class CannotDeliver(Exception):
    """EventBridge cannot hand the event to the target: its error code, then why."""


def check_target(target: Target, rule: dict[str, Any]) -> None:
    """Raises CannotDeliver when AWS could not deliver: nobody there, or the sender is not allowed."""
    arn = target["Arn"]
    service, resource = parse_arn(arn).service, parse_arn(arn).resource
    sender = "scheduler.amazonaws.com" if ":scheduler:" in rule.get("Arn", "") else "events.amazonaws.com"
    if service == "sqs":
        if sqs._queue_by_arn(arn) is None:
            raise CannotDeliver("RESOURCE_NOT_FOUND", f"The queue {arn} does not exist.")
        by_role = sender == "scheduler.amazonaws.com"
        if not by_role and not sqs.queue_policy_allows(arn, sender, rule.get("Arn", ""), parse_arn(arn).account_id):
            raise CannotDeliver("NO_PERMISSIONS", f"The policy of queue {arn} does not let {sender} send to it.")
    elif service == "lambda" and lambda_svc._get_func_record_for_ref(arn)[0] is None:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The function {arn} does not exist.")
    elif service == "sns" and arn not in sns._topics:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The topic {arn} does not exist.")
    elif resource.startswith("event-bus/") and resource.partition("/")[2] not in eventbridge._event_buses:
        raise CannotDeliver("RESOURCE_NOT_FOUND", f"The event bus {arn} does not exist.")


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
            bury(target, rule, view.event_with_detail(), failure)

    eventbridge._invoke_target = invoke


@on_loop
def bury(target: Target, rule: dict[str, Any], event: Any, failure: CannotDeliver) -> None:
    """The undelivered event in the dead-letter queue, with the attributes EventBridge adds."""
    arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    queue = sqs._queue_by_arn(arn) if arn else None
    code, why = failure.args
    eventbridge.logger.warning("%s of rule %s not delivered: %s %s", target["Arn"], rule.get("Name"), code, why)
    account = parse_arn(target["Arn"]).account_id
    if queue is None or not sqs.queue_policy_allows(arn, "events.amazonaws.com", rule.get("Arn", ""), account):
        eventbridge.logger.warning("and no dead-letter queue takes it: the event is lost, as on AWS")
        return
    told = {
        "RULE_ARN": rule.get("Arn", ""),
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": why,
        "RETRY_ATTEMPTS": "0",
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}
    eventbridge._dispatch_to_sqs(parse_arn(arn), json.dumps(event))
    queue["messages"][-1] |= {"message_attributes": attributes, "md5_attrs": sqs._md5_msg_attrs(attributes)}


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


GAPS = (
    Gap("dead letters of rule targets", "buries what it cannot deliver, and delivers to Batch", deliver_or_bury),
    Gap(
        "words in scheduled input", "fills in <aws.scheduler.scheduled-time> and its sisters", say_when_it_was_scheduled
    ),
)
