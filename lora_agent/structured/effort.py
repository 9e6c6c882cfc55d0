"""A limit on what one schema may cost: what takes longer is refused, whatever the reason.

The work runs in a thread of its own, and that thread's processor time is watched: a busy machine refuses nothing that
an idle one takes. Python cannot stop a thread. What is given up on ends by itself, at the limits of check.py, of the
rewriter and of llguidance (together some seconds, and well under 500 MB: docs/structured.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lora_agent.structured.faults import keyword_error

LIMIT_S = 2.0
_LOOK_S = 0.05
T = TypeVar("T")


def within_limit(work: Callable[[], T]) -> T:
    """What `work` returns or raises; SchemaError once it has taken LIMIT_S of processor time."""
    effort = _Effort(work)
    effort.start()
    while effort.is_alive():
        effort.join(_LOOK_S)
        if effort.is_alive() and effort.seconds() > LIMIT_S:
            raise keyword_error(
                "", "", f"it takes more than {LIMIT_S:g} s to compile", "Split the schema, or simplify its patterns."
            )
    if effort.error is not None:
        raise effort.error
    return effort.found[0]


class _Effort(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="schema", daemon=True)
        self._work = work
        self._begun = time.monotonic()
        self._clock: int | None = None
        self.found: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            self.found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            self.error = error

    def seconds(self) -> float:
        """Of processor time so far; where the system does not tell it, of time."""
        if self._clock is None:
            return time.monotonic() - self._begun
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it has just ended
            return 0.0
