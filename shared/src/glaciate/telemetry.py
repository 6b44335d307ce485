"""Logs, metrics and traces, by Powertools: JSON logs with a correlation id, EMF metrics, X-Ray behind the Tracer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from glaciate.names import METRICS_NAMESPACE

Answer = TypeVar("Answer")


@cache
def logger() -> Logger:
    """The service's logger; its name and level come from POWERTOOLS_SERVICE_NAME and POWERTOOLS_LOG_LEVEL."""
    return Logger()


@cache
def tracer() -> Tracer:
    """The service's tracer; off unless the code runs in Lambda with tracing on."""
    return Tracer()


def count(name: str, value: float = 1, *, unit: MetricUnit = MetricUnit.Count) -> None:
    """Counts a fact, at once, as one line of EMF on stdout; names match the events they count."""
    metrics = Metrics(namespace=METRICS_NAMESPACE, service=logger().service)
    metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Puts the correlation id into every log line of the block."""
    with logger().append_context_keys(correlation_id=correlation_id):
        yield


def entry_point(
    function: Callable[[dict[str, Any], LambdaContext], Answer],
) -> Callable[[dict[str, Any], LambdaContext], Answer]:
    """A Lambda's entry: every log line names the invocation, and the invocation is one trace."""

    @cache
    def instrumented() -> Callable[[dict[str, Any], LambdaContext], Answer]:
        traced = tracer().capture_lambda_handler(function, capture_response=False)
        logged: Callable[[dict[str, Any], LambdaContext], Answer] = logger().inject_lambda_context(
            traced, clear_state=True
        )
        return logged

    @wraps(function)
    def enter(event: dict[str, Any], context: LambdaContext) -> Answer:
        return instrumented()(event, context)

    return enter
