"""Who may add work: a bounded queue, a share per key, nothing new while draining. Refusals say when to come back.

Lives on the event loop; nothing here is thread-safe. Knows neither the engine nor HTTP routes.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque

from lora_agent.server.failures import ApiError
from lora_agent.server.settings import ServerSettings

_WEIGHT = 0.2
"""Of the newest request in the running mean of service times."""


class Admission:
    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._by_key: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {}
        self._mean_s = 1.0
        self.inside = 0
        """Requests at work or waiting."""
        self.draining = False

    @property
    def waiting(self) -> int:
        return max(0, self.inside - self._settings.workers)

    def enter(self, key: str) -> Ticket:
        """Raises ApiError 429 or 503, with Retry-After."""
        settings = self._settings
        if self.draining:
            raise _come_back(503, "The server is shutting down.", "shutting_down", 5)
        if self.inside >= settings.workers + settings.queue:
            message = f"The server has {self.inside} requests at work or waiting, which is all it takes on."
            raise _come_back(429, message, "server_overloaded", self._seconds())
        if self._by_key[key] >= settings.key_requests:
            message = f"This key has {self._by_key[key]} requests at work or waiting, its limit."
            raise _come_back(429, message, "too_many_requests_of_key", self._seconds())
        self._check_rate(key)
        self.inside += 1
        self._by_key[key] += 1
        return Ticket(self, key)

    def leave(self, key: str, seconds: float) -> None:
        self.inside -= 1
        self._by_key[key] -= 1
        if not self._by_key[key]:
            del self._by_key[key]
        self._mean_s += _WEIGHT * (seconds - self._mean_s)

    def _check_rate(self, key: str) -> None:
        limit = self._settings.key_requests_per_minute
        if not limit:
            return
        now = time.monotonic()
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= limit:
            message = f"This key has sent {limit} requests within a minute, its limit."
            raise _come_back(429, message, "rate_limit_exceeded", math.ceil(recent[0] + 60 - now))
        recent.append(now)

    def _seconds(self) -> int:
        """When a place should be free: the mean service time over the number of workers, for half the queue."""
        wait = self._mean_s * (self.waiting / 2 + 1) / self._settings.workers
        return min(60, max(1, math.ceil(wait)))


class Ticket:
    """A place inside; given back once."""

    def __init__(self, admission: Admission, key: str) -> None:
        self._admission = admission
        self._key = key
        self._since = time.monotonic()
        self._open = True

    def leave(self) -> None:
        if self._open:
            self._open = False
            self._admission.leave(self._key, time.monotonic() - self._since)


def _come_back(status: int, message: str, code: str, seconds: int) -> ApiError:
    kind = "rate_limit_error" if status == 429 else "server_error"
    message = f"{message} Try again in {seconds} s."
    return ApiError(status, message, kind=kind, code=code, headers={"Retry-After": str(seconds)})
