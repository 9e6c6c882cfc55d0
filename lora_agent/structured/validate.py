"""The last word on a value: full validation against the schema as the user wrote it, formats included.

Knows nothing of grammars: whatever was lowered, bounded or dropped for decoding is checked here. Never
fetches a remote schema. A wrong value is data (`Validation.errors`), never an exception; a wrong schema is a
`SchemaError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema
from jsonschema.protocols import Validator
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from lora_agent.errors import SchemaError
from lora_agent.structured.check import draft_of
from lora_agent.structured.faults import keyword_error
from lora_agent.structured.matching import bounded
from lora_agent.structured.walk import pointer_of
from lora_agent.types import JsonSchema


class Fault(NamedTuple):
    """One thing wrong with a value; `pointer` is a JSON pointer into the value."""

    pointer: str
    keyword: str
    message: str


@dataclass(frozen=True)
class Validation:
    valid: bool
    value: Any = None
    """The parsed value; None where the text is not JSON."""
    errors: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return self.valid

    def summary(self) -> str:
        return "; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in self.errors)


class _Duplicate(ValueError): ...


def validate(value: Any, schema: JsonSchema | bool) -> Validation:
    """Check a value, or a JSON text where `value` is a str. Duplicate keys, NaN and Infinity are errors."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value, object_pairs_hook=_unique, parse_constant=_no_constant)
        except _Duplicate as error:
            return Validation(False, errors=(Fault("", "duplicate", str(error)),))
        except (ValueError, RecursionError) as error:
            return Validation(False, errors=(Fault("", "json", f"not JSON: {error}"),))
    else:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return Validation(False, value, (Fault("", "json", f"not a JSON value: {error}"),))
    try:
        validator = _validator(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, SchemaError):
            raise
        raise keyword_error("", "", f"not JSON: {error}", "Use only JSON values in the schema.") from error
    try:
        found = [_fault(error) for error in validator.iter_errors(value)]
    except Unresolvable as error:
        raise keyword_error("", "$ref", f"{error.ref!r} is not in this schema", "Copy it into $defs.") from error
    return Validation(not found, value, tuple(sorted(found)))


@lru_cache(maxsize=128)
def _validator(schema_text: str) -> Validator:
    """Checking a schema against its draft costs milliseconds, so it is done once a schema."""
    schema = json.loads(schema_text)
    draft = bounded(draft_of(schema))
    return draft(schema, format_checker=draft.FORMAT_CHECKER, registry=REGISTRY)


def _fault(error: jsonschema.ValidationError) -> Fault:
    leaf = jsonschema.exceptions.best_match([error]) or error  # inside anyOf: the branch that came closest
    place = tuple(str(part) for part in leaf.absolute_path)
    return Fault(pointer_of(place), str(leaf.validator), f"{leaf.message:.300}")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise _Duplicate(f"key {key!r} occurs twice in one object")
        out[key] = value
    return out


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
