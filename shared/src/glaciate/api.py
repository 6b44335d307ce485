"""What the two intake APIs share: routing, validation, problems instead of stack traces, and idempotency."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from glaciate.errors import Problem, conflict, invalid, unprocessable
from glaciate.telemetry import logger

Body = TypeVar("Body", bound=BaseModel)
MAX_BODY_BYTES = 1024 * 1024
IDEMPOTENCY_HEADER = "Idempotency-Key"


def json_response(status: HTTPStatus, body: Any) -> Response[str]:
    """A JSON answer."""
    return Response(status_code=status, content_type=content_types.APPLICATION_JSON, body=to_json(body).decode())


def new_api() -> APIGatewayRestResolver:
    """A resolver whose errors are problems: ours as they say, an unknown path 404, a bug 500 without its insides."""
    app = APIGatewayRestResolver(strip_prefixes=["/live"])

    @app.exception_handler(Problem)
    def answer_problem(problem: Problem) -> Response[str]:
        logger().info("call refused", extra={"code": problem.code, "reason": problem.message})
        return json_response(problem.status, problem.body())

    @app.not_found
    def answer_not_found(_error: NotFoundError) -> Response[str]:
        path = f"{app.current_event.http_method} {app.current_event.path}"
        return json_response(HTTPStatus.NOT_FOUND, {"error": {"code": "NoSuchCall", "message": f"there is no {path}"}})

    @app.exception_handler(Exception)
    def answer_bug(error: Exception) -> Response[str]:
        logger().exception("call failed")
        message = "the call failed on our side; nothing was promised, and it may be sent again"
        details = {"correlation_id": logger().get_correlation_id(), "error": type(error).__name__}
        return json_response(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            {"error": {"code": "InternalError", "message": message, "details": details}},
        )

    return app


def read_json(app: APIGatewayRestResolver, model: type[Body]) -> Body:
    """The call's body as a model.

    Raises:
        Problem: 400; its details list each field that does not fit, with the reason.
    """
    text = app.current_event.decoded_body or ""
    if len(text.encode()) > MAX_BODY_BYTES:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BodyTooLarge", f"the body may have {MAX_BODY_BYTES} bytes at the most"
        )
    try:
        document = from_json(text)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid("the body is not a JSON object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields = [
            {"field": ".".join(str(part) for part in found["loc"]) or "body", "reason": found["msg"]}
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        listed = "; ".join(f"{field['field']}: {field['reason']}" for field in fields)
        raise invalid(f"the body does not fit: {listed}", fields) from error


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


def idempotently(
    app: APIGatewayRestResolver, body: BaseModel, *, table_name: str, scope: str, call: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Answers the same call with the same answer for an hour: same `Idempotency-Key` header, or else the same body.

    Raises:
        Problem: 422, the key came before with another body; 409, the same call is being answered right now.
    """
    payload = body.model_dump(mode="json")
    key = app.current_event.headers.get(IDEMPOTENCY_HEADER) if app.current_event.headers else None
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="payload" if key else "",
        expires_after_seconds=3600,
        raise_on_no_idempotency_key=True,
    )
    store = DynamoDBPersistenceLayer(table_name=table_name)

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
    return answer
