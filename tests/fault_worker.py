"""A packer's worker that has one accident: `python fault_worker.py` reads wishes from stdin, a JSON object a line.

Each wish is run in a child of its own, forked after the imports: `{"environment": …, "at": "before S3.PutObject#2",
"accident": "kill"}`; the answer is `{"status": …, "calls": […]}`. Every call to AWS, by boto3, PynamoDB or libcurl, is a
place for an accident: before it, after it, or instead of it.
"""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from glaciate import worker_loop
from packer import application, bootstrap
from packer.adapters import objects, rows, sources, vault
from packer.adapters.index import BatchWriter, Refused
from packer.adapters.transfers import Answer, Task, TransferFailed

ERRORS = {
    "InternalError": 500,
    "SlowDown": 503,
    "ThrottlingException": 400,
    "ProvisionedThroughputExceededException": 400,
    "ConditionalRequestConflict": 409,
}
REAL_CALL = BaseClient._make_api_call  # type: ignore[attr-defined]
REAL_GOT = sources._got
REAL_WRITE = BatchWriter.__call__
LOADED_BEFORE_FORKING = (application, objects, rows, sources, vault)


class Accident:
    """Numbers the calls by name, and strikes once."""

    def __init__(self, at: str | None, accident: str | None) -> None:
        self.at = at
        self.accident = accident
        self.calls: list[str] = []
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, name: str, call: Any) -> Any:
        """Makes a call of boto3's, or what happens instead."""
        label = self.begin(name)
        if self.at == f"instead of {label}":
            return self._fail(name, call)
        answer = call()
        self.end(label)
        return answer

    def begin(self, name: str) -> str:
        with self.lock:
            self.seen[name] += 1
            label = f"{name}#{self.seen[name]}"
            self.calls.append(label)
        if self.at == f"before {label}":
            self._die()
        return label

    def end(self, label: str) -> None:
        if self.at == f"after {label}":
            self._die()

    def got(self, file: Any, answer: Answer) -> Any:
        """What a GET of libcurl's came to."""
        label = self.begin("curl.GetObject")
        if self.at == f"instead of {label}":
            if self.accident == "answer lost":
                raise TransferFailed(self.accident)
            if self.accident == "body cut":
                answer = Answer(answer.status, answer.head, answer.body[:-1])
            else:
                code = self.accident or "InternalError"
                answer = Answer(ERRORS[code], [], bytearray(f"<Error><Code>{code}</Code></Error>".encode()))
        got = REAL_GOT(file, answer)
        self.end(label)
        return got

    def write(self, real: Callable[[bytes], Task[bytes | bytearray]], body: bytes) -> Task[bytes | bytearray]:
        """A batch of index rows."""
        label = self.begin("curl.BatchWriteItem")
        if self.at == f"instead of {label}":
            if self.accident == "unprocessed":
                return json.dumps({"UnprocessedItems": json.loads(body)["RequestItems"]}).encode()
            if self.accident == "answer lost":
                yield from real(body)
            raise Refused(self.accident)
        answer = yield from real(body)
        self.end(label)
        return answer

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM if self.accident == "terminate" else signal.SIGKILL)

    def _fail(self, name: str, call: Any) -> Any:
        if self.accident == "answer lost":
            call()
            raise ReadTimeoutError(endpoint_url="https://aws")
        code = self.accident or "InternalError"
        metadata = {"HTTPStatusCode": ERRORS[code]}
        raise ClientError({"Error": {"Code": code, "Message": "an accident"}, "ResponseMetadata": metadata}, name)  # type: ignore[typeddict-item]


def strike(accident: Accident) -> None:
    """Puts the accident between the worker and AWS."""

    def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
        name = f"{client.meta.service_model.service_id}.{operation}"
        if name.startswith("SQS.") and operation != "SendMessageBatch":
            return REAL_CALL(client, operation, parameters)
        return accident(name, lambda: REAL_CALL(client, operation, parameters))

    def write(writer: BatchWriter, body: bytes) -> Task[bytes | bytearray]:
        return accident.write(partial(REAL_WRITE, writer), body)

    BaseClient._make_api_call = make_api_call  # type: ignore[attr-defined]
    sources._got = accident.got
    BatchWriter.__call__ = write  # type: ignore[method-assign]


def work(wish: dict[str, Any], calls: Any) -> None:
    """Takes messages until the queue holds none, visible or not."""
    os.environ.clear()
    os.environ.update(wish["environment"])
    worker_loop._BACKOFF_SECONDS = 0  # type: ignore[misc]
    accident = Accident(wish.get("at"), wish.get("accident"))
    worker = bootstrap.worker()
    queue = worker.inbox
    strike(accident)
    try:
        with worker_loop._stop_on_sigterm():
            while True:
                message = queue.receive(wait_seconds=1)
                if message is not None:
                    worker._take(message)
                    continue
                names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
                told = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
                if not any(map(int, told.values())):
                    return
    except worker_loop.Stopped:
        return
    finally:
        os.write(calls, json.dumps(accident.calls).encode())


def main() -> None:
    """A wish a line, an answer a line; what the workers say goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(json.loads(line), write_end)
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as told:
            calls = told.read()
        _, status = os.waitpid(child, 0)
        answers.write(
            json.dumps({"status": os.waitstatus_to_exitcode(status), "calls": json.loads(calls or b"[]")}) + "\n"
        )
        answers.flush()


if __name__ == "__main__":
    main()
