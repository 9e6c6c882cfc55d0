"""How long to wait before asking again."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

_LONGEST = 60.0


def delay(attempt: int, asked: float | None, rng: random.Random) -> float:
    """Seconds before try number `attempt` + 1. Exponential with full jitter, so that many clients do not come back
    together (M. Brooker, "Exponential Backoff and Jitter", AWS 2015); at least what the server `asked` for."""
    own = rng.uniform(0, min(_LONGEST, 2.0**attempt))
    return own if asked is None else asked + rng.uniform(0, min(1.0, own))


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, which is a number or an HTTP date (RFC 9110, 10.2.3); None if unreadable."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
