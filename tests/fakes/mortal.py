"""Killing a process at every step: whatever is wrapped counts its calls, and from one call on nothing works any more."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faults import Killed, tried


@dataclass
class Life:
    """Ends with call number `last_call` (from 0): before that call's effect, or just after it. None: never."""

    last_call: int | None = None
    after_effect: bool = False
    calls: int = 0
    dead: bool = False
    _lock: Any = field(default_factory=threading.RLock)  # a call may make another: telling, while settling

    def live(self, call: Callable[[], Any]) -> Any:
        """Makes a call, unless the process is dead before it; nothing of it is seen when it dies after."""
        with self._lock:
            if self.dead:
                raise Killed
            dies = self.calls == self.last_call
            self.calls += 1
            if dies:
                tried("at a step of the unpacker")
            if dies and not self.after_effect:
                self.dead = True
                raise Killed
            try:
                return call()
            finally:
                if dies:  # whatever the call gave or raised
                    self.dead = True
                    raise Killed

    def wrap(self, thing: Any) -> Any:
        """The same thing with a life that ends; what its calls give, if that has calls itself, ends with it."""
        return _Mortal(self, thing)


_PLAIN = (type(None), bool, int, float, str, bytes, tuple)


class _Mortal:
    def __init__(self, life: Life, thing: Any) -> None:
        self._life = life
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            answer = self._life.live(lambda: found(*arguments, **options))
            passes = (
                isinstance(answer, _PLAIN) or hasattr(answer, "__next__") or hasattr(answer, "__dataclass_params__")
            )
            mortal = hasattr(answer, "abort") or hasattr(answer, "begin") or not passes
            return self._life.wrap(answer) if mortal else answer

        return call
