"""Glaciate's HTTP API, signed (SigV4) with the caller's own credentials."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from glaciate_cli.errors import Refused, Unreachable

Document = dict[str, Any]

_SERVICE: Final = "execute-api"
TIMEOUT_SECONDS: Final = 35  # the gateway itself gives up after 29
_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0)  # before the second, third and fourth try
_REQUEST_PREFIX: Final = "r-"
_LISTS: Final = (  # a paged list, where an answer says how it goes on, and how to ask for that
    ("files", "next_token", "next_token"),
    ("skipped", "next_token", "next_token"),
    ("archives", "archives_next_token", "archives_token"),
)


def is_request_id(text: str) -> bool:
    """Whether an id names a restore request rather than an archive job."""
    return text.startswith(_REQUEST_PREFIX)


def _known(values: Mapping[str, Any]) -> Document:
    return {name: value for name, value in values.items() if value is not None and value != ()}


@dataclass(frozen=True, slots=True)
class GlaciateApi:
    """The API's calls. Each answers the call's document.

    Raises (every call):
        Refused: the API said no; the problem's code, message and details are on it.
        Unreachable: no answer after several tries. A call that changes something carries an idempotency key, so a
            second try of it is the same call.
    """

    url: str
    region: str
    credentials: Credentials
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS))
    pause: Callable[[float], None] = time.sleep

    def archive(self, body: Mapping[str, Any], *, idempotency_key: str) -> Document:
        """Archives a prefix; fields that are None are left to the project's defaults."""
        return self._post("/archive", _known(body), idempotency_key)

    def restore(self, body: Mapping[str, Any], *, idempotency_key: str) -> Document:
        """Brings files back."""
        return self._post("/restore", _known(body), idempotency_key)

    def status(self, identifier: str, **query: str | None) -> Document:
        """How a job or a restore request stands. `next_token`, and a job's `archives_token`, go on with its lists."""
        kind = "restore" if is_request_id(identifier) else "archive"
        return self._get(f"/{kind}/{quote(identifier, safe='')}", query)

    def whole_status(self, identifier: str) -> Document:
        """The same with every page of its lists: a request's parts and files, a job's archives and skipped files."""
        whole = self.status(identifier)
        for listed, token_name, query_name in _LISTS:
            token = whole.get(token_name) if listed in whole else None
            while token:
                page = self.status(identifier, **{query_name: str(token)})
                whole[listed] = [*whole[listed], *page.get(listed, [])]
                if listed == "files" and "parts" in whole:  # the parts of which the page tells: one may be on several
                    known = {part["archive_id"] for part in whole["parts"]}
                    whole["parts"] += [part for part in page["parts"] if part["archive_id"] not in known]
                token = page.get(token_name)
        return {name: value for name, value in whole.items() if name not in {"next_token", "archives_next_token"}}

    def cancel(self, request_id: str, *, idempotency_key: str) -> Document:
        """Gives up what of a restore request has not ended."""
        return self._post(f"/restore/{quote(request_id, safe='')}/cancel", {}, idempotency_key)

    def keep(self, job_id: str, *, idempotency_key: str) -> Document:
        """Keeps the sources that a job would delete in some days."""
        return self._post(f"/archive/{quote(job_id, safe='')}/keep", {}, idempotency_key)

    def listing(self, call: str, query: Mapping[str, Any], *, page_size: int) -> Iterator[Document]:
        """The pages of `archive`, `restore` or `files`, one after the other."""
        token: str | None = None
        while True:
            page = self._get(f"/{call}", {**query, "limit": page_size, "next_token": token})
            yield page
            token = page.get("next_token")
            if not token:
                return

    def _get(self, path: str, query: Mapping[str, Any]) -> Document:
        encoded = urlencode(sorted(_known(query).items()), quote_via=quote, safe="-_.~")
        return self._call("GET", f"{path}?{encoded}" if encoded else path, b"", {})

    def _post(self, path: str, body: Mapping[str, Any], idempotency_key: str) -> Document:
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        return self._call("POST", path, json.dumps(body).encode(), headers)

    def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Document:
        for pause in (*_PAUSES_SECONDS, None):
            try:
                response = self._send(method, path, body, headers)
            except httpx.ConnectError as error:
                msg = f"Nobody answers at {self.url}: {error}"
                raise Unreachable(msg) from error
            except httpx.TransportError as error:
                if pause is None:
                    msg = f"No answer from {self.url}: {str(error) or type(error).__name__}"
                    raise Unreachable(msg) from error
            else:
                if pause is None or not _worth_another_try(response):
                    return _read(response)
            self.pause(pause)
        raise AssertionError  # the last round returns or raises

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        url = f"{self.url}{path}"
        request = AWSRequest(method=method, url=url, data=body, headers={"Accept": "application/json", **headers})
        SigV4Auth(self.credentials, _SERVICE, self.region).add_auth(request)
        return self.http.request(method, url, content=body, headers=dict(request.headers.items()))


def _worth_another_try(response: httpx.Response) -> bool:
    if response.status_code in {429, 502, 503, 504}:
        return True
    return response.status_code == 409 and _problem(response).get("code") == "InProgress"


def _problem(response: httpx.Response) -> Document:
    """The problem in an answer: ours, or the gateway's own (`{"message": …}`), or none that can be read."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        error = document.get("error")
        if isinstance(error, dict):
            return error
        if message := document.get("message", document.get("Message")):
            return {"code": response.headers.get("x-amzn-ErrorType", "").split(":")[0], "message": message}
    return {"message": response.text[:500]}


def _read(response: httpx.Response) -> Document:
    if response.is_success:
        try:
            document = response.json()
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        msg = f"The answer of {response.url} is not Glaciate's: {response.text[:200]!r}"
        raise Unreachable(msg, code="NotGlaciate")
    problem = _problem(response)
    raise Refused(
        response.status_code,
        str(problem.get("message") or response.reason_phrase),
        code=str(problem.get("code") or response.reason_phrase.replace(" ", "")),
        details=problem.get("details"),
    )
