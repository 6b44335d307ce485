"""What a container printed, kept in CloudWatch Logs as the awslogs driver does."""

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import Any

from ministack.services import cloudwatch_logs

LINES_KEPT = 2_000


async def keep_log(container: dict[str, Any], output: Path) -> None:
    """Put the last lines of the output where the job's `logStreamName` says; the file keeps them all."""
    options = (container.get("logConfiguration") or {}).get("options") or {}
    group = options.get("awslogs-group", "/aws/batch/job")
    stream = container["logStreamName"]
    lines = await asyncio.to_thread(_last_lines, output)
    if group not in cloudwatch_logs._log_groups:
        cloudwatch_logs._create_log_group({"logGroupName": group})
    cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    now_ms = int(time.time() * 1000)
    cloudwatch_logs._put_log_events(
        {
            "logGroupName": group,
            "logStreamName": stream,
            "logEvents": [{"timestamp": now_ms, "message": line} for line in lines],
        }
    )


def _last_lines(output: Path) -> list[str]:
    with output.open(encoding="utf-8", errors="replace") as text:
        return [line.rstrip("\n") for line in deque(text, maxlen=LINES_KEPT)]
