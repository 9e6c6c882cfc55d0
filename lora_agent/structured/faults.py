"""How the parts of this folder say that a schema is wrong: a `SchemaError` that knows where.

Knows nothing of grammars. `pointer` is the JSON pointer of the schema object at fault, `keyword` the keyword
inside it ("" where the whole object is at fault).
"""

from __future__ import annotations

from typing import NamedTuple

from lora_agent.errors import SchemaError


class Note(NamedTuple):
    """What became of one keyword of a schema."""

    pointer: str
    keyword: str
    reason: str


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
