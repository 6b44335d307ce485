"""Whether an answer of the API is as docs/openapi.json describes it: field by field, and both ways."""

import json
import re
from typing import Any

from pydantic import BaseModel

from glaciate.openapi import ALWAYS, CALLS, Call


def require_described(method: str, path: str, status: int, body: Any) -> None:
    """Of a call's answer or refusal: its status and every field are described, and nothing described is left out.

    Raises:
        AssertionError: something is not. (pydantic's ValidationError: a field is of another type, or not there.)
    """
    call = _call(method, path)
    if call is None:
        assert status == 404, f"{method} {path} is no call, and answers {status}"
        return
    if status >= 400:
        assert status in {*call.problems, *ALWAYS}, f"{method} {call.path} is not said to answer {status}"
        assert set(body) == {"error"}
        return
    assert status in call.answers, f"{method} {call.path} is not said to answer {status}"
    model = call.answers[status]
    if model is not None:
        require_as(model, body)


def require_as(model: type[BaseModel], answer: Any) -> None:
    """The same of one answer: every field that is described is there, of its type, and no other."""
    sent = json.loads(json.dumps(answer, default=str))
    read = model.model_validate_json(json.dumps(sent))
    missing = _places(read.model_dump(mode="json")) - _places(sent)
    assert not missing, f"described, but not answered: {sorted(missing)}"
    undescribed = _places(sent) - _places(read.model_dump(mode="json"))
    assert not undescribed, f"answered, but not described: {sorted(undescribed)}"


def _call(method: str, path: str) -> Call | None:
    for call in CALLS:
        pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", call.path)
        if call.method == method.lower() and re.fullmatch(pattern, path):
            return call
    return None


def _places(value: Any, at: str = "") -> set[str]:
    """Where there is something in a document: the paths of its fields."""
    if isinstance(value, dict):
        return {place for name, inner in value.items() for place in {f"{at}.{name}", *_places(inner, f"{at}.{name}")}}
    if isinstance(value, list):
        return {place for number, inner in enumerate(value) for place in _places(inner, f"{at}[{number}]")}
    return set()
