"""Functions and workers: what they run, where they log, what rings when they fail."""

import pytest

from stack import Resource, alarms, functions, job_definitions, resource, target_of


@pytest.mark.parametrize("function", functions(), ids=str)
def test_a_function_keeps_its_log_for_as_long_as_was_asked(function: Resource) -> None:
    log = resource(function.template, str(target_of(function.properties["LoggingConfig"]["LogGroup"])))

    assert log.kind == "AWS::Logs::LogGroup"
    assert log.properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("worker", job_definitions(), ids=str)
def test_a_worker_keeps_its_log_for_as_long_as_was_asked(worker: Resource) -> None:
    options = worker.properties["ContainerProperties"]["LogConfiguration"]["Options"]
    log = resource(worker.template, str(target_of(options["awslogs-group"])))

    assert log.properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("function", functions(), ids=str)
def test_a_function_that_fails_rings_an_alarm(function: Resource) -> None:
    (alarm,) = (
        alarm.properties
        for alarm in alarms()
        if alarm.template == function.template
        and alarm.properties["Namespace"] == "AWS/Lambda"
        and target_of(alarm.properties["Dimensions"][0]["Value"]) == function.name
    )

    assert (alarm["MetricName"], alarm["ComparisonOperator"], alarm["Threshold"]) == (
        "Errors",
        "GreaterThanThreshold",
        0,
    )


@pytest.mark.parametrize("function", functions(), ids=str)
def test_a_function_runs_its_service_s_bundle_on_the_current_python(function: Resource) -> None:
    properties = function.properties
    package = function.template.replace("-", "_")

    assert properties["CodeUri"] == f"../../build/lambda/{function.template}/"
    assert properties["Handler"].startswith(f"{package}.handler.")
    assert properties["Runtime"] == "python3.13"
    assert properties["Architectures"] == [{"Ref": "Architecture"}]
    assert properties["Tracing"] == {"Ref": "Tracing"}


@pytest.mark.parametrize(
    "function", [one for one in functions() if "Events" not in one.properties and one.name != "Api"], ids=str
)
def test_a_call_that_nobody_waits_for_is_kept_when_it_fails_for_good(function: Resource) -> None:
    letters = resource(function.template, str(target_of(function.properties["DeadLetterQueue"]["TargetArn"])))

    assert letters.kind == "AWS::SQS::Queue"


@pytest.mark.parametrize("worker", job_definitions(), ids=str)
def test_a_worker_is_the_service_s_module_on_fargate(worker: Resource) -> None:
    container = worker.properties["ContainerProperties"]

    assert worker.properties["PlatformCapabilities"] == ["FARGATE"]
    assert container["Command"][:3] == ["python", "-m", f"{worker.template}.worker"]
    assert container["RuntimePlatform"]["CpuArchitecture"] == {"Ref": "WorkerArchitecture"}
    assert worker.properties["Timeout"]["AttemptDurationSeconds"] == {"Ref": "TimeoutSeconds"}


@pytest.mark.parametrize("worker", job_definitions(), ids=str)
def test_a_worker_that_spot_took_away_starts_again_and_one_that_failed_does_not(worker: Resource) -> None:
    retry = worker.properties["RetryStrategy"]

    assert retry["EvaluateOnExit"][0] == {"Action": "RETRY", "OnStatusReason": "Your Spot Task was interrupted*"}
    assert retry["EvaluateOnExit"][-1] == {"Action": "EXIT", "OnReason": "*"}
    assert 1 < retry["Attempts"] <= 10
