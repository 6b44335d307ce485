"""Stands between the packer and its ports, counts every step, and can do something, dying included, at one of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import GeneratorType
from typing import Any

from fakes.packer_world import FakeUpload, World, build
from faults import tried
from glaciate.contracts import Command
from glaciate.errors import Permanent, Transient


@dataclass
class Steps:
    """A step is the moment before a call of a port, after it, and between two items that it gives."""

    at: int | None = None
    do: Callable[[], None] = lambda: None
    taken: int = 0
    names: list[str] = field(default_factory=list)

    def take(self, name: str) -> None:
        self.taken += 1
        self.names.append(name)
        if self.taken == self.at:
            tried("at a step of the packer")
            self.do()

    def wrap(self, port: Any) -> Any:
        return _Stepped(port, self)


@dataclass
class _Stepped:
    port: Any
    steps: Steps

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.port, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            label = f"{type(self.port).__name__}.{name}"
            self.steps.take(f"before {label}")
            answer = attribute(*arguments, **named)
            self.steps.take(f"after {label}")
            if isinstance(answer, GeneratorType):
                return self._items(answer, label)
            if isinstance(answer, AbstractContextManager):
                return self._context(answer)
            return answer

        return call

    def _items(self, answer: Any, label: str) -> Iterator[Any]:
        for item in answer:
            self.steps.take(f"item of {label}")
            yield item

    @contextmanager
    def _context(self, answer: Any) -> Iterator[Any]:
        with answer as value:
            yield self.steps.wrap(value) if isinstance(value, FakeUpload) else value


def drain(world: World, steps: Steps | None = None, *, most: int = 200) -> None:
    """What the worker loop does: messages one by one; a failed one comes back, later, behind the others."""
    use_cases = build(world, (steps or Steps()).wrap)
    for _ in range(most):
        if not world.queue:
            return
        command = world.queue.pop(0)
        world.in_hand = command
        try:
            use_cases[type(command)](command)
        except Permanent:
            pass
        except Transient as failure:
            _later(world, command, failure.retry_after_seconds)
        except BaseException:
            _later(world, command, 600)
            raise
    msg = f"not drained after {most} messages"
    raise AssertionError(msg)


def _later(world: World, command: Command, seconds: int | None) -> None:
    world.now += timedelta(seconds=seconds or 5)
    world.queue.append(command)
