"""The value of a JSON text that is still being written, for streaming.

Open strings and brackets are closed, an unfinished key, number or literal is left out. Knows nothing of
schemas: a partial value is for showing, never for acting on.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def parse_partial(text: str) -> Any | None:
    """The value so far; None where nothing can be said yet (or the text is not JSON)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None
