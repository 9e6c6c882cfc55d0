"""From a Python type to a JSON Schema and back: what the user names is what the user gets.

Knows pydantic and the typing module, nothing of grammars. Any type that pydantic can describe works (models,
dataclasses, TypedDict, Literal, Enum, list[...], unions, date ...); a dict is a JSON Schema and its value is
returned as it is. Conversion runs in pydantic's JSON mode, so "2026-01-31" becomes a date.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import Any

from lora_agent.errors import ModelOutputError, SchemaError
from lora_agent.structured.validate import validate
from lora_agent.types import JsonSchema, compact_json

Convert = Callable[[Any], Any]


def schema_of(type_or_schema: Any) -> tuple[JsonSchema, Convert]:
    """The JSON Schema, and a function from a JSON value to a validated value of the type."""
    if isinstance(type_or_schema, dict):
        return type_or_schema, _schema_converter(type_or_schema)
    import pydantic

    if isinstance(type_or_schema, (str, int, float, bool, list, tuple)):
        raise SchemaError(
            f"{type_or_schema!r:.100} is neither a type nor a JSON Schema",
            hint="Pass a pydantic class, a dataclass, list[int], Literal['a', 'b'] or a JSON Schema dict.",
        )
    try:
        adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(_typed_dict(type_or_schema))
        schema = adapter.json_schema()
    except (pydantic.PydanticUserError, TypeError, NameError) as error:
        raise SchemaError(
            f"no JSON Schema for {type_or_schema!r:.100}: {str(error).splitlines()[0]}",
            hint="Use types that JSON can hold; before 3.12 take nested TypedDicts from typing_extensions.",
        ) from error

    def convert(value: Any) -> Any:
        try:
            return adapter.validate_json(compact_json(value))
        except pydantic.ValidationError as error:
            raise ModelOutputError(
                f"value {value!r:.200} does not fit {type_or_schema!r:.100}: "
                + "; ".join(f"{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()),
                hint="Loosen the type, or state the rule in its JSON Schema so that decoding can follow it.",
            ) from error

    return schema, convert


def _schema_converter(schema: JsonSchema) -> Convert:
    def convert(value: Any) -> Any:
        # A str that is itself the value, not JSON text, is checked in its JSON spelling.
        verdict = validate(compact_json(value), schema)
        if not verdict.valid:
            raise ModelOutputError(
                f"value {value!r:.200} does not fit the schema: {verdict.summary()}",
                hint="Loosen the schema, or allow more tokens.",
            )
        return verdict.value

    return convert


def _typed_dict(source: Any) -> Any:
    """pydantic before Python 3.12 refuses typing.TypedDict; rebuild it with the one of typing_extensions."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(source):
        return source
    import typing_extensions

    if type(source).__module__ == "typing_extensions":
        return source
    hints = typing.get_type_hints(source, include_extras=True)
    fields = {
        name: hint if name in source.__required_keys__ else typing_extensions.NotRequired[hint]
        for name, hint in hints.items()
    }
    return typing_extensions.TypedDict(source.__name__, fields)  # type: ignore[operator]
