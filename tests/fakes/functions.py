"""Lambda as `glaciate dlq` sees it: functions that answer or fail, the calls kept for looking at."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeFunctions:
    """Calls `handler` with each event; what it raises becomes a FunctionError, as with the Python runtime on Lambda."""

    handler: Callable[[Any], Any] = lambda _event: {}
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        event = json.loads(Payload)
        self.calls.append((FunctionName, event))
        try:
            said = self.handler(event)
        except Exception as error:  # noqa: BLE001 - Lambda takes whatever a handler raises
            told = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(told).encode())}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(said).encode())}
