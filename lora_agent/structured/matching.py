"""Regular expressions of others' schemas, in bounded time.

Python's `re` takes exponential time on patterns such as `^((a+)+b|a+)$` and holds the interpreter's lock meanwhile: one
such schema would stop a whole server. `regex` takes the same syntax, gives the lock free and stops after a time. What
could not be checked in time counts as broken. Replaces jsonschema's own functions for the keywords that match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

LIMIT_S = 0.25
"""For one text and one pattern; an honest pattern takes microseconds."""


def bounded(draft: type[Validator]) -> type[Validator]:
    """The same draft with time-limited patterns."""
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    made: type[Validator] = extend(draft, {name: check for name, check in own.items() if name in draft.VALIDATORS})
    return made


def _matches(pattern: str, text: str) -> bool:
    """Raises TimeoutError."""
    return regex.search(pattern, text, timeout=LIMIT_S, concurrent=True) is not None


def _pattern(validator: Any, pattern: str, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if not isinstance(value, str):
        return
    try:
        if not _matches(pattern, value):
            yield ValidationError(f"{value!r} does not match {pattern!r}")
    except TimeoutError:
        yield _too_slow(pattern)


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, sub in patterns.items():
        for key, item in value.items():
            try:
                if _matches(pattern, key):
                    yield from validator.descend(item, sub, path=key, schema_path=pattern)
            except TimeoutError:
                yield _too_slow(pattern)


def _additional_properties(
    validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = []
    for key in value:
        try:
            if key not in known and not any(_matches(pattern, key) for pattern in patterns):
                extra.append(key)
        except TimeoutError:
            yield _too_slow(", ".join(patterns))
    if isinstance(wanted, dict):
        for key in extra:
            yield from validator.descend(value[key], wanted, path=key)
    elif wanted is False and extra:
        yield ValidationError(f"additional properties are not allowed: {', '.join(map(repr, extra))}")


def _too_slow(pattern: str) -> ValidationError:
    return ValidationError(f"pattern {pattern!r:.200} could not be checked within {LIMIT_S} s")
