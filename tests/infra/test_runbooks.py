"""Every alarm has its page, and every page its alarm."""

import re

import pytest

from glaciate_cli.deployment import FUNCTIONS, QUEUES
from stack import ROOT, Resource, alarms, physical_name

RUNBOOKS = ROOT / "docs" / "runbooks"


def test_every_alarm_has_a_runbook_and_every_runbook_an_alarm() -> None:
    pages = {page.stem for page in RUNBOOKS.iterdir()}

    assert {physical_name(alarm.properties["AlarmName"]) for alarm in alarms()} == pages


def test_no_two_alarms_share_a_name() -> None:
    names = [physical_name(alarm.properties["AlarmName"]) for alarm in alarms()]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("alarm", alarms(), ids=str)
def test_an_alarm_tells_operators_where_to_read(alarm: Resource) -> None:
    name = physical_name(alarm.properties["AlarmName"])

    assert alarm.properties["AlarmActions"] == [{"Ref": "AlarmTopicArn"}]
    assert alarm.properties["AlarmDescription"].endswith(f"See docs/runbooks/{name}.md")
    assert alarm.properties["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize("page", sorted(RUNBOOKS.iterdir()), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_how_to_look_and_what_to_do(page: object) -> None:
    text = page.read_text()  # type: ignore[attr-defined]
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert headings == ["What it means", "How to look", "What to do"]
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (RUNBOOKS / link).is_file(), link


@pytest.mark.parametrize("queue", [*QUEUES, *FUNCTIONS])
def test_the_page_of_dead_letters_says_how_to_replay_them(queue: str) -> None:
    text = (RUNBOOKS / f"{queue}-dead-letters.md").read_text()

    assert f"glaciate dlq list {queue}" in text
    assert f"glaciate dlq replay {queue}" in text
