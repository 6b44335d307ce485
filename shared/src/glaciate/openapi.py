"""The API's description, made from the models that the services validate with. `make docs` writes it to docs/openapi.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from glaciate.answers import FoundFiles, QuoteAnswer, RestoreAnswer, RestoreList, RestoreStatus, RestoreSummary
from glaciate.requests import ArchiveAnswer, ArchiveRequest, RestoreRequest


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API: what it does, what it takes, what it answers. `quote`: what it answers instead where only that is asked for."""

    method: Literal["get", "post"]
    path: str
    service: str
    summary: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    problems: tuple[int, ...] = (400, 404)
    quote: type[BaseModel] | None = None

    @property
    def success(self) -> int:
        """The status of a call that was done (200) or accepted for later (202)."""
        return 202 if self.body else 200

    @property
    def answers(self) -> Mapping[int, type[BaseModel] | None]:
        """What it answers by status, where it was not refused; None: an object that is described elsewhere."""
        told = {self.success: self.answer}
        return {200: self.quote, **told} if self.quote else told


_PAGING: Final = ("next_token", "limit")

_POST_PROBLEMS: Final = (400, 403, 404, 409, 413, 422, 429)
_JOB: Final = (*_PAGING, "archives_token")
_LIST: Final = ("project_name", *_PAGING)
_FIND: Final = (
    "project_name",
    "filename",
    "key",
    "name",
    "prefix",
    "glob",
    "archive_id",
    "job_id",
    "bucket_name",
    *_PAGING,
)

CALLS: Final[tuple[Call, ...]] = (
    Call(
        "post",
        "/archive",
        "archive-intake",
        "Archive the files under a prefix",
        ArchiveRequest,
        ArchiveAnswer,
        (),
        _POST_PROBLEMS,
    ),
    Call("get", "/archive", "archive-intake", "The archive jobs of a project, newest first", query=_LIST),
    Call("get", "/archive/{job_id}", "archive-intake", "How an archive job stands", query=_JOB),
    Call(
        "post",
        "/archive/{job_id}/keep",
        "archive-intake",
        "Keep the sources that a job holds",
        problems=(400, 404, 409),
    ),
    Call(
        "post",
        "/restore",
        "restore-intake",
        "Bring files back",
        RestoreRequest,
        RestoreAnswer,
        (),
        _POST_PROBLEMS,
        QuoteAnswer,
    ),
    Call(
        "get",
        "/restore",
        "restore-intake",
        "The restore requests of a project, newest first",
        answer=RestoreList,
        query=_LIST,
    ),
    Call(
        "get",
        "/restore/{request_id}",
        "restore-intake",
        "How a restore request stands, file by file",
        answer=RestoreStatus,
        query=_PAGING,
    ),
    Call(
        "post",
        "/restore/{request_id}/cancel",
        "restore-intake",
        "Give up what has not ended",
        answer=RestoreSummary,
        problems=(404, 409),
    ),
    Call(
        "get",
        "/files",
        "restore-intake",
        "Find archived files, with their versions",
        answer=FoundFiles,
        query=_FIND,
        problems=(400, 403, 404, 409, 422),
    ),
)

MEANINGS: Final[Mapping[int, str]] = {
    400: "The call is not what this takes; `details` lists each field with the reason",
    403: "The project's configuration does not allow it, or the call is not signed",
    404: "No such project, job, request or file",
    409: "It contradicts what is there; `details` says what",
    413: "The body is too large",
    422: "Well-formed, but it cannot be done as asked",
    429: "Too many calls",
    500: "A bug or an accident on our side; nothing was promised, and the call may be sent again",
    503: "It did not work just now; send the same call again",
}
ALWAYS: Final = (403, 429, 500, 503)  # of any call: the gateway's, and what goes wrong on our side

_PROBLEM: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "details": {}},
        }
    },
}


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": dict(schema)}}


def _schema(answer: type[BaseModel] | None) -> Mapping[str, Any]:
    return {"$ref": f"#/components/schemas/{answer.__name__}"} if answer else {"type": "object"}


def _outcome(call: Call, status: int) -> str:
    if status == call.success:
        return "Done" if status == 200 else "Accepted"
    return "The quote that `dry_run` asks for; nothing was recorded"


def _operation(call: Call) -> dict[str, Any]:
    names = [part[1:-1] for part in call.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [
        {
            "name": name,
            "in": "query",
            "required": name == "project_name",
            "schema": {"type": "integer" if name == "limit" else "string"},
        }
        for name in call.query
    ]
    if call.method == "post":
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}})
    responses: dict[str, Any] = {
        str(status): {"description": _outcome(call, status), "content": _content(_schema(answer))}
        for status, answer in call.answers.items()
    }
    for status in sorted({*call.problems, *ALWAYS}):
        responses[str(status)] = {
            "description": MEANINGS[status],
            "content": _content({"$ref": "#/components/schemas/Problem"}),
        }
    operation: dict[str, Any] = {
        "summary": call.summary,
        "tags": [call.service],
        "parameters": parameters,
        "responses": responses,
    }
    if call.body:
        operation["requestBody"] = {
            "required": True,
            "content": _content({"$ref": f"#/components/schemas/{call.body.__name__}"}),
        }
    return operation


def describe() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    models = [model for call in CALLS for model in (call.body, *call.answers.values()) if model]
    _, schemas = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Glaciate",
            "version": "1",
            "description": "Packs the small files of an S3 prefix into ZIPs in Glacier Deep Archive, and brings single files back.",
        },
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas["$defs"], "Problem": _PROBLEM},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }
