"""Lambdas: the archive half of the HTTP API, and the fallback schedule."""

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic_core import to_jsonable_python

from archive_intake import bootstrap
from archive_intake.domain.fallback import ScheduledRun
from glaciate.api import (
    correlation_id,
    idempotency_key,
    idempotently,
    json_response,
    new_api,
    read_json,
    read_query,
    serve,
    stage_url,
)
from glaciate.requests import ArchiveAnswer, ArchiveRequest, JobQuery, ProjectPageQuery
from glaciate.telemetry import correlated, entry_point

app = new_api()


@app.post("/archive")
def archive() -> Response[str]:
    """Accepts a job: 202 with its id and where to ask. A dry run: 200 with what would be done, and for how much."""
    body = read_json(app, ArchiveRequest)
    here = bootstrap.settings()
    wanted = bootstrap.check_request()(
        body,
        idempotency_key=idempotency_key(app),
        correlation_id=correlation_id(app.current_event.raw_event),
        stage_url=stage_url(app, here.api_url),
    )

    if body.dry_run:
        return json_response(HTTPStatus.OK, bootstrap.estimate_archive()(wanted))

    def accept() -> dict[str, Any]:
        job = bootstrap.accept_archive()(wanted)
        return ArchiveAnswer(job_id=job.job_id, status_url=job.status_url or "").model_dump(mode="json")

    answer = idempotently(app, body, table_name=here.idempotency_table, scope="archive", call=accept)
    return json_response(HTTPStatus.ACCEPTED, answer)


@app.get("/archive/<job_id>")
def job(job_id: str) -> Response[str]:
    """Says how a job stands."""
    query = read_query(app, JobQuery)
    status = bootstrap.describe_job()(
        job_id, limit=query.limit, skipped_token=query.next_token, archives_token=query.archives_token
    )
    return json_response(HTTPStatus.OK, status)


@app.post("/archive/<job_id>/keep")
def keep(job_id: str) -> Response[str]:
    """Keeps the sources that a job would delete in some days."""
    return json_response(HTTPStatus.OK, bootstrap.keep_sources()(job_id))


@app.get("/archive")
def jobs() -> Response[str]:
    """Lists a project's jobs."""
    query = read_query(app, ProjectPageQuery)
    listed = bootstrap.list_jobs()(query.project_name, limit=query.limit, token=query.next_token)
    return json_response(HTTPStatus.OK, listed)


@entry_point
def api(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """API Gateway's proxy integration."""
    return serve(app, event, context)


@entry_point
def schedule(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """EventBridge Scheduler: every few minutes `{"task": "resend"}`; by the fallback's cron `{"scheduled_time": …}`.

    Both send again what is unsent, and have held sources deleted whose day has come.
    """
    run = ScheduledRun.model_validate(event)
    with correlated(context.aws_request_id):
        report = bootstrap.run_schedule()(run, correlation_id=context.aws_request_id)
    answer: dict[str, Any] = to_jsonable_python(report)
    return answer
