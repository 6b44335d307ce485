"""Glaciate's API as a client sees it, over httpx's mock transport: canned answers, the calls kept for looking at."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from click.testing import Result

LOCAL = {
    "api_url": "http://127.0.0.1:4999/live",
    "aws_endpoint_url": "http://127.0.0.1:4999",
    "region": "us-east-1",
    "access_key_id": "AKIDLOCAL",
    "secret_access_key": "local-secret",
    "buckets": {"source": "source", "vault": "vault", "work": "work", "restore": "restore"},
    "queues": {
        name: f"http://127.0.0.1:4999/000000000000/{name}"
        for queue in ("pack", "thaw", "unpack", "notify")
        for name in (queue, f"{queue}_dlq")
    },
    "tables": {"files": "files", "archives": "archives", "jobs": "jobs"},
    "topic_arn": "arn:aws:sns:us-east-1:000000000000:topic",
    "notifications_url": "http://127.0.0.1:4999/000000000000/notifications",
    "project": "demo",
}

Glaciate = Callable[..., Result]  # runs the command with these arguments


@dataclass
class FakeGlaciateHttp:
    """Answers each call with what was set for it: the answers in turn, the last one for ever after."""

    answers: dict[str, list[httpx.Response | Exception]] = field(default_factory=dict)
    calls: list[httpx.Request] = field(default_factory=list)

    def on(self, call: str, *answers: tuple[int, Any] | Exception) -> None:
        """`call` is method and path, such as `GET /files`."""
        self.answers[call] = [
            answer if isinstance(answer, Exception) else httpx.Response(answer[0], json=answer[1]) for answer in answers
        ]

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def bodies(self, call: str) -> Iterator[Any]:
        return (json.loads(request.content) for request in self.calls if _call(request) == call)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        answers = self.answers.get(_call(request))
        if not answers:
            return httpx.Response(
                404, json={"error": {"code": "NoSuchCall", "message": f"there is no {_call(request)}"}}
            )
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _call(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path.removeprefix('/live')}"
