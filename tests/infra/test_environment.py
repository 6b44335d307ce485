"""What a template sets is what the code reads, by name."""

import pytest

import archive_intake.settings
import notifier.settings
import packer.settings
import restore_intake.settings
import unpacker.settings
from glaciate.settings import Settings
from stack import Resource, environment, functions, job_definitions

SETTINGS: dict[str, type[Settings]] = {
    "archive-intake.Api": archive_intake.settings.IntakeSettings,
    "archive-intake.Fallback": archive_intake.settings.IntakeSettings,
    "packer.Launch": packer.settings.LauncherSettings,
    "packer.WorkerJobDefinition": packer.settings.WorkerSettings,
    "restore-intake.Api": restore_intake.settings.ApiSettings,
    "restore-intake.Thaw": restore_intake.settings.ThawSettings,
    "restore-intake.Sweep": restore_intake.settings.ThawSettings,
    "unpacker.Launch": unpacker.settings.LauncherSettings,
    "unpacker.WorkerJobDefinition": unpacker.settings.WorkerSettings,
    "notifier.Notify": notifier.settings.NotifierSettings,
}
SET_BY_LAMBDA = {"aws_region"}
STARTED = [*functions(), *job_definitions()]


def ours(of: Resource) -> set[str]:
    """The variables that are meant for the service's settings."""
    return {name.lower() for name in environment(of) if not name.startswith(("POWERTOOLS_", "AWS_"))}


def test_settings_are_known_for_everything_that_is_started() -> None:
    assert {str(one) for one in STARTED} == set(SETTINGS)


@pytest.mark.parametrize("started", STARTED, ids=str)
def test_every_setting_without_a_default_is_set(started: Resource) -> None:
    fields = SETTINGS[str(started)].model_fields
    needed = {name for name, field in fields.items() if field.is_required()} - SET_BY_LAMBDA

    assert needed <= ours(started)


@pytest.mark.parametrize("started", STARTED, ids=str)
def test_nothing_is_set_that_nobody_reads(started: Resource) -> None:
    assert ours(started) <= set(SETTINGS[str(started)].model_fields)


@pytest.mark.parametrize("started", STARTED, ids=str)
def test_logs_metrics_and_traces_carry_the_service_s_name(started: Resource) -> None:
    variables = environment(started)

    assert variables["POWERTOOLS_SERVICE_NAME"] == started.template
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "Glaciate"
    assert variables["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}
