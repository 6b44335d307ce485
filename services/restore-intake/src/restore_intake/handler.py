"""Lambdas: the restore half of the HTTP API, the thaw queue's consumer, and the sweeper."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.api import correlation_id, idempotently, json_response, new_api, read_json, serve, stage_url
from glaciate.lambda_queue import consume
from glaciate.messages import ThawFiles
from glaciate.names import RequestId
from glaciate.requests import RestoreRequest
from glaciate.telemetry import entry_point
from restore_intake import bootstrap
from restore_intake.domain.queries import FilesQuery, ListQuery, PageQuery, read_query

app = new_api()


@app.post("/restore")
def restore() -> Response[str]:
    """Accepts a restore: 202 with its id, where to ask, and what it costs; with `dry_run` 200 with the cost alone."""
    body = read_json(app, RestoreRequest)
    if body.dry_run:
        return json_response(HTTPStatus.OK, bootstrap.quote_restore().dry_run(body))
    here = bootstrap.api_settings()

    def accept() -> dict[str, Any]:
        trail = correlation_id(app.current_event.raw_event)
        return bootstrap.accept_restore()(body, correlation_id=trail, stage_url=stage_url(app, here.api_url))

    answer = idempotently(
        app,
        body,
        table_name=here.idempotency_table,
        scope="restore",
        call=accept,
        came_to_nothing=lambda earlier: bootstrap.describe_restore().came_to_nothing(RequestId(earlier["request_id"])),
    )
    return json_response(HTTPStatus.ACCEPTED, answer)


@app.get("/restore/<request_id>")
def request(request_id: str) -> Response[str]:
    """Says how a restore stands, file by file."""
    query = read_query(PageQuery, app.current_event.multi_value_query_string_parameters)
    status = bootstrap.describe_restore()(RequestId(request_id), limit=query.limit, token=query.next_token)
    return json_response(HTTPStatus.OK, status)


@app.get("/restore")
def requests() -> Response[str]:
    """Lists a project's restores."""
    query = read_query(ListQuery, app.current_event.multi_value_query_string_parameters)
    listed = bootstrap.list_restores()(query.project_name, limit=query.limit, token=query.next_token)
    return json_response(HTTPStatus.OK, listed)


@app.post("/restore/<request_id>/cancel")
def cancel(request_id: str) -> Response[str]:
    """Gives up what has not ended."""
    return json_response(HTTPStatus.OK, bootstrap.cancel_restore()(RequestId(request_id)))


@app.get("/files")
def files() -> Response[str]:
    """Finds archived files."""
    query = read_query(FilesQuery, app.current_event.multi_value_query_string_parameters)
    return json_response(HTTPStatus.OK, bootstrap.list_files()(query))


@entry_point
def api(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """API Gateway's proxy integration."""
    return serve(app, event, context)


@entry_point
def thaw(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """The thaw queue."""
    return consume(event, context, use_cases={ThawFiles: bootstrap.thaw_files()}, dead_letters=bootstrap.dead_letters())


@entry_point
def sweep(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the schedule says nothing
    """The sweeper's schedule."""
    return {"looked_at": bootstrap.sweep()(at_most=bootstrap.thaw_settings().sweep_limit)}
