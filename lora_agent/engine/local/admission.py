"""Who may read now: a request begins when its keys and values fit beside those of the requests at work.

First come, first served, so that a long request is not overtaken for ever by short ones. What is counted is what a
request may take at most, its output included: whoever has begun is never stopped for lack of memory. Knows tokens, not
what they are for; keys and values that lie in the prefix cache have a bound of their own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lora_agent.errors import CancelledError, ContextTooLongError, DeadlineError

_LOOK_S = 0.05
"""How often one who waits looks at its deadline and whether it was cancelled."""


class Admission:
    def __init__(self, tokens: int | None) -> None:
        self.tokens = tokens
        """Of all requests at work together; None: without a bound."""
        self.used = 0
        """Tokens that the requests at work may take."""
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    @contextmanager
    def admitted(
        self, tokens: int, *, deadline: float | None = None, cancel: Callable[[], bool] | None = None
    ) -> Iterator[None]:
        """Around all reading of a request. Raises ContextTooLongError for one that will never fit, and DeadlineError
        and CancelledError while it waits."""
        if self.tokens is None:
            yield
            return
        if tokens > self.tokens:
            raise ContextTooLongError(
                f"the request may take {tokens} tokens of keys and values, and there is memory for {self.tokens}",
                hint="Ask for fewer tokens, or load with a larger kv_cache_memory_bytes or kv_cache_dtype='int8'.",
            )
        self._enter(tokens, self.tokens, deadline, cancel)
        try:
            yield
        finally:
            with self._changed:
                self.used -= tokens
                self._changed.notify_all()

    def _enter(self, tokens: int, limit: int, deadline: float | None, cancel: Callable[[], bool] | None) -> None:
        mine = object()
        with self._changed:
            self._line.append(mine)
            try:
                while self._line[0] is not mine or self.used + tokens > limit:
                    self._changed.wait(_LOOK_S if deadline is not None or cancel is not None else None)
                    if cancel is not None and cancel():
                        raise CancelledError("cancelled while waiting for memory")
                    if deadline is not None and time.monotonic() > deadline:
                        raise DeadlineError(
                            f"the deadline passed while waiting for memory for {tokens} tokens; "
                            f"{self.used} of {limit} are in use",
                            hint="Send fewer requests at a time, or load with a larger kv_cache_memory_bytes.",
                        )
                self.used += tokens
            finally:
                self._line.remove(mine)
                self._changed.notify_all()
