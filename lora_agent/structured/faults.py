"""How the parts of this folder say that a schema is wrong: a `SchemaError` that knows where.

Knows nothing of grammars. `pointer` is the JSON pointer of the schema object at fault, `keyword` the keyword
inside it ("" where the whole object is at fault).
"""

from __future__ import annotations

from typing import NamedTuple

from lora_agent.errors import SchemaError

IDLE = "no effect"
"""How the reason of a keyword ends that says nothing about values."""


class Note(NamedTuple):
    """What became of one keyword of a schema."""

    pointer: str
    keyword: str
    reason: str

    @property
    def idle(self) -> bool:
        """The keyword means nothing to any validator, so there is nothing to check after."""
        return self.reason.endswith(IDLE)


class SchemaKeywordError(SchemaError):
    """A `SchemaError` with the place as data."""

    pointer: str = ""
    keyword: str = ""
    reason: str = ""


def keyword_error(pointer: str, keyword: str, reason: str, hint: str) -> SchemaKeywordError:
    place = f"keyword {keyword!r} at {pointer or '/'!r}" if keyword else f"schema at {pointer or '/'!r}"
    error = SchemaKeywordError(f"{place}: {reason}", hint=hint)
    error.pointer, error.keyword, error.reason = pointer, keyword, reason
    return error
