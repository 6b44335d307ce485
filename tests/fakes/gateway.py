"""Calls as API Gateway hands them to a Lambda."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from fakes.lambda_context import FakeLambdaContext

STAGE_URL: Final = "https://api.example.com/live"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """A problem's code."""
        code: str = self.body["error"]["code"]
        return code


LambdaFunction = Callable[[dict[str, Any], LambdaContext], Mapping[str, Any]]


def event(
    method: str,
    path: str,
    *,
    body: str | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str = "request-1",
) -> dict[str, Any]:
    """The event of a REST API's proxy integration."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "requestContext": {
            "requestId": request_id,
            "domainName": "api.example.com",
            "stage": "live",
            "path": f"/live{path}",
            "httpMethod": method,
            "identity": {"userArn": "arn:aws:iam::123456789012:user/somebody"},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def call(
    function: LambdaFunction,
    method: str,
    path: str,
    *,
    body: Any = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    request_id: str = "request-1",
) -> Answer:
    """Calls an API's Lambda. `body`: a text as it is, anything else as JSON."""
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    proxied = event(method, path, body=text, query=query, headers=headers, request_id=request_id)
    answer = function(proxied, FakeLambdaContext())
    return Answer(answer["statusCode"], json.loads(answer["body"]))
