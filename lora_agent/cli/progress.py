"""Progress of long work on stderr: count, rate and time left.

On a terminal one line is rewritten; elsewhere a line is added every ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_TERMINAL_EVERY_S = 0.2
_LOG_EVERY_S = 10.0


class Progress:
    """Counts units of work. `already` units were done before (a resumed run) and do not enter the rate."""

    def __init__(
        self,
        total: int,
        *,
        already: int = 0,
        unit: str = "line",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._done, self._already, self._unit = total, already, already, unit
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._start = clock()
        self._shown = self._start
        self._terminal = self._stream.isatty()

    def advance(self) -> None:
        """One more unit is done."""
        self._done += 1
        now = self._clock()
        if now - self._shown >= (_TERMINAL_EVERY_S if self._terminal else _LOG_EVERY_S):
            self._shown = now
            self._write(self.text(now))

    def finish(self) -> None:
        """Show the final count."""
        self._write(self.text(self._clock()))
        if self._terminal:
            self._stream.write("\n")

    def text(self, now: float) -> str:
        """For example `12/40 lines, 3.1 lines/s, 0:09 left`."""
        fresh = self._done - self._already
        parts = [f"{self._done}/{self._total} {self._unit}s"]
        if fresh:
            rate = fresh / max(now - self._start, 1e-9)
            parts.append(f"{rate:.1f} {self._unit}s/s")
            parts.append(f"{_clock_time((self._total - self._done) / rate)} left")
        return ", ".join(parts)

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
