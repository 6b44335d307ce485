"""The description of the API: what the restore half answers is described to the last field."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from glaciate.answers import ArchivedFile, FileState
from glaciate.openapi import CALLS, Call, describe
from glaciate.parts import FileResult
from glaciate.restores import LIVE_PART, PartState
from restore_intake.domain.thawing import Copy

DESCRIBED = [call for call in CALLS if call.service == "restore-intake"]


def fields(schema: Any, schemas: dict[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    """Every field of an answer, and of what is in it."""
    if isinstance(schema, dict):
        if name := schema.get("$ref", "").rpartition("/")[2]:
            yield from fields(schemas[name], schemas, at)
        for field, inner in schema.get("properties", {}).items():
            yield f"{at}.{field}", inner
            yield from fields(inner, schemas, f"{at}.{field}")
        for inner in (schema.get("items"), *schema.get("anyOf", ())):
            yield from fields(inner, schemas, at)


@pytest.mark.parametrize("call", DESCRIBED, ids=lambda call: f"{call.method} {call.path}")
def test_every_field_of_an_answer_says_what_it_means(call: Call) -> None:
    document = describe()
    answers = {
        status: answer["content"]["application/json"]["schema"]
        for status, answer in document["paths"][call.path][call.method]["responses"].items()
        if status < "400"
    }

    for status, schema in answers.items():
        found = dict(fields(schema, document["components"]["schemas"], status))
        assert len(found) > 1
        assert [name for name, field in found.items() if not field.get("description")] == []


def test_a_call_says_each_way_in_which_it_may_refuse() -> None:
    paths = describe()["paths"]

    said = {status for status in paths["/files"]["get"]["responses"] if status >= "400"}

    assert said == {"400", "403", "404", "409", "422", "429", "500", "503"}
    assert list(paths["/restore"]["post"]["responses"])[:2] == ["200", "202"]


def test_the_words_of_an_answer_are_those_of_the_services() -> None:
    whole_period = Copy.LUKEWARM  # is said only where a period is asked for

    assert set(get_args(ArchivedFile.model_fields["readable"].annotation)) == {*Copy} - {whole_period}
    outcomes = get_args(FileResult.__annotations__["state"])
    assert set(get_args(FileState)) == {*LIVE_PART, *outcomes, PartState.CANCELLED}
