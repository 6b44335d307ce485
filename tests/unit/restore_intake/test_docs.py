"""The tables of docs/restoring.md name what the code knows, no more and no less."""

import re
from pathlib import Path

from glaciate.requests import RestoreRequest
from glaciate.restores import PartState, RequestState
from restore_intake.domain.thawing import Copy

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "restoring.md").read_text()


def column(section: str, number: int = 1) -> set[str]:
    """The names in code type in a column of a section's tables."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    tables = re.sub(r"^\|.*\n\|---.*\n", "", text, flags=re.MULTILINE)  # without their heads
    cells = [line.split("|")[number] for line in tables.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`([A-Za-z_]+)", cell)}


def test_every_state_of_a_copy_has_its_row() -> None:
    assert set(Copy) <= column("The readable copy")


def test_every_state_of_requests_and_parts_is_in_the_tables() -> None:
    assert column("States") | column("States", 2) == {*RequestState, *PartState}


def test_every_field_explained_is_one_of_the_request() -> None:
    explained = column("What can be asked for") - {"all"}
    assert explained <= set(RestoreRequest.model_fields)
    left_to_other_pages = {"project_name", "retrieval_tier", "sns_topic_arn", "region", "account"}
    assert set(RestoreRequest.model_fields) - explained == left_to_other_pages
