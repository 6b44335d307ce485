"""What the two intake APIs share: routing, validation, problems instead of stack traces, and idempotency."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from glaciate import aws
from glaciate.contracts import CorrelationId
from glaciate.errors import Problem, Transient, conflict, invalid, unprocessable
from glaciate.telemetry import correlated, logger

Body = TypeVar("Body", bound=BaseModel)
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_KEY_CHARACTERS: Final = 256
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
CORRELATION_HEADER: Final = "X-Correlation-Id"
_CORRELATION_ID: Final = re.compile(r"[\w.:/=+@-]{1,128}", re.ASCII)


def json_response(status: HTTPStatus, body: Any) -> Response[str]:
    """A JSON answer."""
    return Response(status_code=status, content_type=content_types.APPLICATION_JSON, body=to_json(body).decode())


def correlation_id(event: Mapping[str, Any]) -> CorrelationId:
    """The caller's `X-Correlation-Id` (1 to 128 letters, digits and `_.:/=+@-`), else the id that API Gateway gave the call."""
    call = APIGatewayProxyEvent(dict(event))
    given = call.headers.get(CORRELATION_HEADER, "")
    return given if _CORRELATION_ID.fullmatch(given) else call.request_context.request_id


def serve(app: APIGatewayRestResolver, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers a call of API Gateway, with the correlation id in every log line."""
    with correlated(correlation_id(event)):
        return app.resolve(event, context)


def stage_url(app: APIGatewayRestResolver, api_url: str) -> str:
    """The URL that the API's paths hang from: `api_url` where it is set, else what the call came to."""
    if api_url:
        return api_url.rstrip("/")
    context = app.current_event.request_context
    return f"https://{context.domain_name}/{context.stage}"


def new_api() -> APIGatewayRestResolver:
    """A resolver whose errors are problems: ours as they say, an unknown path 404, a passing failure 503, a bug 500 that says no more."""
    app = APIGatewayRestResolver(strip_prefixes=["/live"])

    @app.exception_handler(Problem)
    def answer_problem(problem: Problem) -> Response[str]:
        logger().info("call refused", extra={"code": problem.code, "reason": problem.message})
        return json_response(problem.status, problem.body())

    @app.not_found
    def answer_not_found(_error: NotFoundError) -> Response[str]:
        path = f"{app.current_event.http_method} {app.current_event.path}"
        return json_response(HTTPStatus.NOT_FOUND, {"error": {"code": "NoSuchCall", "message": f"there is no {path}"}})

    @app.exception_handler(Transient)
    def answer_try_again(error: Transient) -> Response[str]:
        logger().warning("call failed for now", extra={"reason": str(error)})
        message = "it did not work just now; send the same call again"
        return json_response(
            HTTPStatus.SERVICE_UNAVAILABLE, {"error": {"code": "TryAgain", "message": message, "details": _trail(app)}}
        )

    @app.exception_handler(Exception)
    def answer_bug(error: Exception) -> Response[str]:
        logger().exception("call failed")
        message = "the call failed on our side; nothing was promised, and it may be sent again"
        details = {**_trail(app), "error": type(error).__name__}
        return json_response(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            {"error": {"code": "InternalError", "message": message, "details": details}},
        )

    return app


def _trail(app: APIGatewayRestResolver) -> dict[str, Any]:
    return {"correlation_id": correlation_id(app.current_event.raw_event)}


def read_json(app: APIGatewayRestResolver, model: type[Body]) -> Body:
    """The call's body as a model.

    Raises:
        Problem: 400; its details list each field that does not fit, with the reason.
    """
    try:
        text = app.current_event.decoded_body or ""
        size_bytes = len(text.encode())
    except ValueError as error:
        raise invalid(f"the body is not UTF-8: {error}") from error
    if size_bytes > MAX_BODY_BYTES:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BodyTooLarge", f"the body may have {MAX_BODY_BYTES} bytes at the most"
        )
    try:
        document = from_json(text)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("the body is not a JSON object")
    return _validated(document, model, "body")


def read_query(app: APIGatewayRestResolver, model: type[Body]) -> Body:
    """The call's query parameters as a model.

    Raises:
        Problem: 400; its details list each parameter that does not fit, with the reason.
    """
    return _validated(app.current_event.query_string_parameters, model, "query")


def _validated(document: dict[str, Any], model: type[Body], what: str) -> Body:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields = [
            {"field": ".".join(str(part) for part in found["loc"]) or what, "reason": found["msg"]}
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        listed = "; ".join(f"{field['field']}: {field['reason']}" for field in fields)
        raise invalid(f"the {what} does not fit: {listed}", fields) from error


def require_deployment(body: BaseModel, *, region: str, account: str) -> None:
    """Where a body names a region or an account, they must be this deployment's.

    Raises:
        Problem: 422.
    """
    for name, here in (("region", region), ("account", account)):
        asked = getattr(body, name, None)
        if asked is not None and asked != here:
            raise unprocessable(
                "WrongDeployment", f"{name} is {asked}, but this deployment's {name} is {here}", {name: here}
            )


def idempotency_key(app: APIGatewayRestResolver) -> str | None:
    """The call's `Idempotency-Key`, if it has one.

    Raises:
        Problem: 400, it is too long.
    """
    key = app.current_event.headers.get(IDEMPOTENCY_HEADER, "").strip()
    if len(key) > MAX_KEY_CHARACTERS:
        raise invalid(f"{IDEMPOTENCY_HEADER} may have {MAX_KEY_CHARACTERS} characters at the most")
    return key or None


def idempotently(
    app: APIGatewayRestResolver,
    body: BaseModel,
    *,
    table_name: str,
    scope: str,
    call: Callable[[], dict[str, Any]],
    came_to_nothing: Callable[[dict[str, Any]], bool] = lambda _answer: False,
) -> dict[str, Any]:
    """Answers the same call with the same answer for an hour: same `Idempotency-Key` header, or else the same body.

    Without a key, an answer of which `came_to_nothing` says so (what it promised was given up) is not given again: the call is new.

    A call that died is answered anew once its function's time is over; a call that failed, at once.

    Raises:
        Problem: 400, a key too long; 422, the key came before with another body; 409, the same call is being answered right now.
    """
    payload = body.model_dump(mode="json")
    key = idempotency_key(app)
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="payload",
        expires_after_seconds=3600,
        raise_on_no_idempotency_key=True,
        hash_function="sha256",
        lambda_context=app.lambda_context,
    )
    store = DynamoDBPersistenceLayer(table_name=table_name, boto3_client=aws.dynamodb())

    @idempotent_function(data_keyword_argument="data", persistence_store=store, config=config, key_prefix=scope)
    def once(*, data: dict[str, Any]) -> dict[str, Any]:
        del data
        return call()

    try:
        answer: dict[str, Any] = once(data={"key": key or payload, "payload": payload})
    except IdempotencyValidationError as error:
        raise unprocessable("IdempotencyKeyReused", "this Idempotency-Key came before with another body") from error
    except IdempotencyAlreadyInProgressError as error:
        raise conflict("InProgress", "the same call is being answered right now; ask again in a moment") from error
    if key is None and came_to_nothing(answer):
        again = f"{scope}#{sha256(to_json(answer)).hexdigest()}"
        return idempotently(
            app, body, table_name=table_name, scope=again[-100:], call=call, came_to_nothing=came_to_nothing
        )
    return answer
