"""Redriving dead letters, and queues that threads cannot lose messages of."""

import asyncio
import json
import time
from typing import Any

from ministack.core.concurrency import esm_wake
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, s3, sns, sqs

from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.on_loop import on_loop, server_loop
from glaciate_local.settings import LocalSettings

Request = dict[str, Any]
Task = dict[str, Any]
STEP_SECONDS = 0.1
FASTEST_PER_SECOND = 500


def sources_of(dead_letters_arn: str) -> list[Any]:
    """The queues whose dead letters go there."""
    found = []
    for queue in sqs._queues.values():
        policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        if policy.get("deadLetterTargetArn") == dead_letters_arn:
            found.append(queue)
    return found


class MessageMoves:
    """StartMessageMoveTask and its sisters."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._running: set[asyncio.Task[None]] = set()

    def start(self, request: Request, _: str) -> Request:
        """Move everything that is in a dead-letter queue now, back or elsewhere; one task a queue at a time."""
        arn = request.get("SourceArn", "")
        source = self._queue(arn)
        if not sources_of(arn):
            raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        if any(task["SourceArn"] == arn and task["Status"] == "RUNNING" for task in self._tasks):
            raise sqs._Err("InvalidParameterValue", "There is already a task running. Only one active task is allowed.")
        if request.get("DestinationArn"):
            self._queue(request["DestinationArn"])
        task: Task = {
            "TaskHandle": new_uuid(),
            "Status": "RUNNING",
            "SourceArn": arn,
            "ApproximateNumberOfMessagesMoved": 0,
            "ApproximateNumberOfMessagesToMove": len(source["messages"]),
            "StartedTimestamp": int(time.time() * 1000),
            **{key: request[key] for key in ("DestinationArn", "MaxNumberOfMessagesPerSecond") if key in request},
        }
        self._tasks.append(task)
        running = server_loop().create_task(self._move(task, source))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return {"TaskHandle": task["TaskHandle"]}

    def list_(self, request: Request, _: str) -> Request:
        """The newest tasks of a queue first; a handle is shown only while its task runs."""
        arn = request.get("SourceArn", "")
        self._queue(arn)
        newest = [task for task in reversed(self._tasks) if task["SourceArn"] == arn]
        shown = newest[: min(int(request.get("MaxResults") or 1), 10)]
        over = [{key: value for key, value in task.items() if key != "TaskHandle"} for task in shown]
        return {
            "Results": [task if task["Status"] == "RUNNING" else bare for task, bare in zip(shown, over, strict=True)]
        }

    def cancel(self, request: Request, _: str) -> Request:
        """Stop a running task; what was moved stays moved."""
        for task in self._tasks:
            if task["TaskHandle"] == request.get("TaskHandle") and task["Status"] == "RUNNING":
                task["Status"] = "CANCELLED"
                return {"ApproximateNumberOfMessagesMoved": task["ApproximateNumberOfMessagesMoved"]}
        raise sqs._Err("ResourceNotFoundException", "The task does not exist or is over.", 404)

    @staticmethod
    def _queue(arn: str) -> Any:
        queue = sqs._queue_by_arn(arn)
        if queue is None:
            raise sqs._Err("ResourceNotFoundException", "The resource that you specified doesn't exist.", 404)
        return queue

    @staticmethod
    async def _move(task: Task, source: Any) -> None:
        left = list(source["messages"])
        step = max(1, int(min(task.get("MaxNumberOfMessagesPerSecond", FASTEST_PER_SECOND), FASTEST_PER_SECOND) / 10))
        while left and task["Status"] == "RUNNING":
            for message in left[:step]:
                if message not in source["messages"] or message["visible_at"] > time.time():
                    continue
                target_arn = task.get("DestinationArn") or message.get("sys", {}).get("DeadLetterQueueSourceArn", "")
                target = sqs._queue_by_arn(target_arn)
                if target is None:
                    task |= {"Status": "FAILED", "FailureReason": "CouldNotDetermineMessageSource"}
                    return
                now = time.time()
                sys = {
                    name: value for name, value in message.get("sys", {}).items() if name != "DeadLetterQueueSourceArn"
                }
                again = {"id": new_uuid(), "receipt_handle": None, "receive_count": 0, "first_receive_at": None}
                again |= {"sent_at": now, "visible_at": now, "sys": sys | {"SentTimestamp": str(int(now * 1000))}}
                source["messages"].remove(message)
                target["messages"].append(message | again)
                task["ApproximateNumberOfMessagesMoved"] += 1
            esm_wake.set()
            left = left[step:]
            await asyncio.sleep(STEP_SECONDS)
        if task["Status"] == "RUNNING":
            task["Status"] = "COMPLETED"


def list_dead_letter_source_queues(request: Request, url: str) -> Request:
    """The queues that send their dead letters to this one."""
    queue = sqs._get_q(request.get("QueueUrl", url), "sqs:ListDeadLetterSourceQueues")
    return {"queueUrls": [one["url"] for one in sources_of(queue["attributes"]["QueueArn"])]}


def redrive_dead_letters(_: LocalSettings) -> None:
    """Add the actions MiniStack does not have."""
    moves = MessageMoves()
    sqs._HANDLERS |= {
        "StartMessageMoveTask": moves.start,
        "ListMessageMoveTasks": moves.list_,
        "CancelMessageMoveTask": moves.cancel,
        "ListDeadLetterSourceQueues": list_dead_letter_source_queues,
    }


def keep_messages_from_threads(_: LocalSettings) -> None:
    """Let only the server's loop touch queues.

    MiniStack's event source mappings replace a queue's list from their thread while the loop and other threads append
    to it: a message sent in between is gone.
    """
    sqs._receive_messages_for_esm = on_loop(sqs._receive_messages_for_esm)
    sqs._delete_messages_for_esm = on_loop(sqs._delete_messages_for_esm)
    eventbridge._dispatch_to_sqs = on_loop(eventbridge._dispatch_to_sqs)
    s3._deliver_event_to_sqs = on_loop(s3._deliver_event_to_sqs)
    sns._deliver_to_sqs = on_loop(sns._deliver_to_sqs)


GAPS = (
    Gap("message move tasks", "moves dead letters back, lists a dead-letter queue's sources", redrive_dead_letters),
    Gap("queues and threads", "never loses a message it accepted", keep_messages_from_threads),
)
