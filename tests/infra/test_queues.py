"""Queues, their dead letters, and the alarms on those."""

import pytest

from stack import (
    Resource,
    alarms,
    dead_letter_queues,
    environment,
    job_definitions,
    queues,
    resources,
    sqs_consumers,
    target_of,
)

DAYS_14 = 1_209_600
QUEUES, DEAD_LETTERS = queues(), dead_letter_queues()


@pytest.mark.parametrize("queue", QUEUES, ids=str)
def test_a_queue_has_dead_letters_after_five_receives(queue: Resource) -> None:
    redrive = queue.properties["RedrivePolicy"]

    buried_in = target_of(redrive["deadLetterTargetArn"])

    assert buried_in in {letters.name for letters in DEAD_LETTERS if letters.template == queue.template}
    assert redrive["maxReceiveCount"] >= 5


@pytest.mark.parametrize("queue", QUEUES, ids=str)
def test_dead_letters_outlive_the_messages_of_their_queue(queue: Resource) -> None:
    assert queue.properties["MessageRetentionPeriod"] < DAYS_14


@pytest.mark.parametrize("letters", DEAD_LETTERS, ids=str)
def test_dead_letters_are_kept_for_14_days_the_longest_there_is(letters: Resource) -> None:
    assert letters.properties["MessageRetentionPeriod"] == DAYS_14


@pytest.mark.parametrize("letters", DEAD_LETTERS, ids=str)
def test_dead_letters_ring_an_alarm_as_soon_as_one_is_visible(letters: Resource) -> None:
    (alarm,) = (
        alarm.properties
        for alarm in alarms()
        if alarm.template == letters.template
        and alarm.properties["MetricName"].startswith("ApproximateNumberOf")
        and target_of(alarm.properties["Dimensions"][0]["Value"]) == letters.name
    )

    assert alarm["Namespace"] == "AWS/SQS"
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["EvaluationPeriods"] * alarm["Period"] <= 300


@pytest.mark.parametrize("queue", [*QUEUES, *DEAD_LETTERS], ids=str)
def test_messages_are_encrypted_at_rest(queue: Resource) -> None:
    assert queue.properties["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", QUEUES, ids=str)
def test_a_message_stays_hidden_for_six_times_the_time_that_its_consumer_has(queue: Resource) -> None:
    consumers = sqs_consumers(queue)
    workers = [worker for worker in job_definitions() if worker.template == queue.template]

    assert consumers or workers
    for function in consumers:
        assert queue.properties["VisibilityTimeout"] >= 6 * function.properties["Timeout"]
    for worker in workers:  # it renews the time by heartbeats
        assert str(queue.properties["VisibilityTimeout"]) == environment(worker)["VISIBILITY_SECONDS"]


@pytest.mark.parametrize("queue", [queue for queue in QUEUES if sqs_consumers(queue)], ids=str)
def test_a_function_reports_which_messages_failed_and_never_floods(queue: Resource) -> None:
    for function in sqs_consumers(queue):
        for event in function.properties["Events"].values():
            assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert 2 <= event["Properties"]["ScalingConfig"]["MaximumConcurrency"] <= 1000


def test_no_more_thaws_are_asked_for_at_once_than_s3_takes() -> None:
    """S3 takes 1,000 restore requests a second; each message asks for one after another, and an answer takes ten milliseconds at least."""
    (queue,) = (queue for queue in QUEUES if "Thaw" in queue.name and "DeadLetters" not in queue.name)
    (function,) = sqs_consumers(queue)
    (event,) = function.properties["Events"].values()

    assert event["Properties"]["BatchSize"] == 1
    assert event["Properties"]["ScalingConfig"]["MaximumConcurrency"] * 100 <= 1_000


@pytest.mark.parametrize("rule", resources("AWS::Events::Rule"), ids=str)
def test_what_a_rule_cannot_deliver_is_kept(rule: Resource) -> None:
    for target in rule.properties["Targets"]:
        kept_in = target_of(target["DeadLetterConfig"]["Arn"])
        assert kept_in in {letters.name for letters in DEAD_LETTERS if letters.template == rule.template}
        assert may_send(rule, kept_in)


@pytest.mark.parametrize("schedule", resources("AWS::Scheduler::Schedule"), ids=str)
def test_what_a_schedule_cannot_deliver_is_kept(schedule: Resource) -> None:
    kept_in = target_of(schedule.properties["Target"]["DeadLetterConfig"]["Arn"])

    assert kept_in in {letters.name for letters in DEAD_LETTERS if letters.template == schedule.template}


def test_a_rule_may_send_to_each_queue_that_it_names() -> None:
    for rule in resources("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            name = target_of(target["Arn"])
            if name in {queue.name for queue in QUEUES if queue.template == rule.template}:
                assert may_send(rule, name), f"{rule} to {name}"


def may_send(rule: Resource, queue: str | None) -> bool:
    """Whether the queue's policy lets just this rule send."""
    for policy in resources("AWS::SQS::QueuePolicy"):
        if policy.template != rule.template or {"Ref": queue} not in policy.properties["Queues"]:
            continue
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            sources = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            names = [target_of(source) for source in (sources if isinstance(sources, list) else [sources])]
            if rule.name in names and statement["Principal"] == {"Service": "events.amazonaws.com"}:
                return True
    return False
