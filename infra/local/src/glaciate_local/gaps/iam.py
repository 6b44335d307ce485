"""What IAM is told of a request."""

import os
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator

from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings


def count_loopback_as_tls(_: LocalSettings) -> None:
    """Let policies that demand TLS hold without certificates: what is said on 127.0.0.1 leaves no machine."""
    pin_alone = app.pin_request_origin

    def pin(source_ip: str, _secure: bool) -> None:
        pin_alone(source_ip, True)

    app.pin_request_origin = pin


def know_the_root_by_its_key(_: LocalSettings) -> None:
    """Take nobody but the holder of this server's random key for the root; MiniStack takes whoever calls himself `test`."""

    def is_root(access_key_id: str) -> bool:
        return not access_key_id or access_key_id == os.environ["AWS_ACCESS_KEY_ID"]

    iam_evaluator.is_root_access_key = is_root


BATCHES = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sns:PublishBatch": "sns:Publish",
}


def judge_a_batch_as_its_parts(_: LocalSettings) -> None:
    """Ask for the right to do one where many are done at once: IAM knows no action for the batch."""
    extract_alone = iam_actions.extract_iam_action

    def extract(*request: Any) -> str | None:
        action: str | None = extract_alone(*request)
        return BATCHES.get(action, action) if action else action

    iam_actions.extract_iam_action = extract


GAPS = (
    Gap("aws:SecureTransport", "is called over TLS, and policies may demand it", count_loopback_as_tls),
    Gap("well-known keys", "refuses keys it did not give", know_the_root_by_its_key),
    Gap("rights to batches", "asks for sqs:SendMessage where ten are sent at once", judge_a_batch_as_its_parts),
)
