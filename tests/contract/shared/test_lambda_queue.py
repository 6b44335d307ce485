"""A Lambda handles a batch message by message: what failed is named, what cannot be read is kept with its reason."""

from typing import Any

from fakes.lambda_context import FakeLambdaContext
from fakes.queue import Queue
from glaciate.errors import Permanent, Transient
from glaciate.lambda_queue import consume
from glaciate.messages import ThawFiles
from glaciate.names import RequestId
from glaciate.outbox import SqsDeadLetters


def _event(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": str(number), "body": body, "eventSource": "aws:sqs"} for number, body in enumerate(bodies)
        ]
    }


def _thaw(request: str) -> str:
    return ThawFiles(correlation_id="c", request_id=RequestId(request)).to_body()


def test_only_what_may_work_later_stays_on_the_queue(queue: Queue) -> None:
    def use_case(message: ThawFiles) -> None:
        match message.request_id:
            case "r-later":
                raise Transient(message.request_id)
            case "r-never":
                raise Permanent(message.request_id)
            case "r-bug":
                raise RuntimeError(message.request_id)

    answer = consume(
        _event(_thaw("r-fine"), _thaw("r-later"), _thaw("r-never"), _thaw("r-bug"), "nonsense"),
        FakeLambdaContext(),
        use_cases={ThawFiles: use_case},
        dead_letters=SqsDeadLetters(queue.sqs, queue.dead_letters_url),
    )

    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["1", "3"]
    [(body, reason)] = queue.dead()
    assert body == "nonsense"
    assert "not JSON" in reason


def test_a_batch_of_failures_is_named_whole(queue: Queue) -> None:
    def use_case(message: ThawFiles) -> None:
        raise Transient(message.request_id)

    answer = consume(
        _event(_thaw("r-1"), _thaw("r-2")),
        FakeLambdaContext(),
        use_cases={ThawFiles: use_case},
        dead_letters=SqsDeadLetters(queue.sqs, queue.dead_letters_url),
    )

    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["0", "1"]
