"""A Python function's signature → the JSON Schema of its parameters, and a check of arguments against it.

pydantic does the typing: everything that it can describe works (Literal, Enum, Optional, containers, dates,
dataclasses, models, `Annotated` with constraints). Knows nothing of the agent or of running the function.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.json_schema import GenerateJsonSchema

from lora_agent.errors import ToolSignatureError
from lora_agent.types import JsonSchema


class _SchemaWriter(GenerateJsonSchema):
    def emit_warning(self, kind: Any, detail: str) -> None:
        """Silent: a default that is no JSON value is left out of the schema, and Python still applies it."""


@dataclass(frozen=True)
class Signature:
    """The parameters of one function. `fields` maps a parameter's name to its field in `model`: fields have
    neutral names, since a parameter may be called `schema` or `_x`, which pydantic does not allow a field."""

    model: type[BaseModel]
    fields: Mapping[str, str]
    schema: JsonSchema

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments, converted to the annotated types; what was not given is left to Python's own
        default. Raises pydantic.ValidationError."""
        values = self.model.model_validate(dict(arguments))
        given = values.model_fields_set
        return {name: getattr(values, field) for name, field in self.fields.items() if field in given}


def read_signature(function: Callable[..., Any], name: str, descriptions: Mapping[str, str]) -> Signature:
    """Raises ToolSignatureError, which names the tool and the parameter, for what cannot be described."""
    try:
        signature = inspect.signature(function)
    except ValueError as error:  # some functions written in C
        raise ToolSignatureError(
            f"tool {name!r}: {function!r} has no readable signature",
            hint="Wrap it in a typed Python function.",
        ) from error
    hints = _type_hints(function, name)
    definitions: dict[str, Any] = {}
    fields: dict[str, str] = {}
    for position, parameter in enumerate(signature.parameters.values()):
        annotation = _annotation(parameter, hints, name)
        options: dict[str, Any] = {"alias": parameter.name}
        if parameter.name in descriptions:
            options["description"] = descriptions[parameter.name]
        if parameter.default is not inspect.Parameter.empty:
            options["default"] = parameter.default
        field = fields[parameter.name] = f"p{position}"
        definitions[field] = (annotation, Field(**options))
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **definitions)
    return Signature(model, fields, _plain_schema(model))


def _type_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = target.func
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError) as error:
        raise ToolSignatureError(
            f"tool {name!r}: the type hints cannot be read: {error}",
            hint="Define or import the types at the top level of the module that defines the tool.",
        ) from error


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str) -> Any:
    where = f"tool {name!r}: parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ToolSignatureError(
            f"{where} takes any number of arguments",
            hint="Name each parameter: a model fills in named, typed ones.",
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolSignatureError(
            f"{where} is positional only",
            hint="Remove the `/` from the signature: arguments are passed by name.",
        )
    if parameter.name not in hints:
        hint = f"Write {parameter.name}: str, or another type."
        if parameter.name in ("self", "cls"):
            hint = "Pass the bound method: tool(instance.method)."
        raise ToolSignatureError(f"{where} has no type hint", hint=hint)
    annotation = hints[parameter.name]
    try:
        TypeAdapter[Any](annotation).json_schema(schema_generator=_SchemaWriter)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise ToolSignatureError(
            f"{where}: the type {annotation!r} has no JSON form",
            hint="Use str, int, float, bool, list, dict, Literal, Enum, a dataclass or a pydantic model.",
        ) from error
    return annotation


def _plain_schema(model: type[BaseModel]) -> JsonSchema:
    """The schema as a small model reads it best: no generated titles, references written out in place."""
    schema = model.model_json_schema(schema_generator=_SchemaWriter)
    definitions = schema.pop("$defs", {})
    try:
        plain = _inlined(schema, definitions, ())
    except _HoldsItself:  # such a type cannot be written out: it needs its references
        plain = {
            **_inlined(schema, {}, ()),
            "$defs": {k: _inlined(v, {}, ()) for k, v in definitions.items()},
        }
    plain.setdefault("properties", {})
    return typing.cast(JsonSchema, plain)


class _HoldsItself(Exception): ...


def _inlined(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    target = str(node.get("$ref", "")).removeprefix("#/$defs/")
    if target in definitions:
        if target in inside:
            raise _HoldsItself(target)
        result.update(_inlined(definitions[target], definitions, (*inside, target)))
    for key, value in node.items():
        if key == "$ref" and target in definitions:
            continue
        if key == "title" and isinstance(value, str):  # written by pydantic from the name, says nothing new
            continue
        if key in ("default", "const", "enum", "examples"):  # values, not schemas
            result[key] = value
        elif key in ("properties", "$defs"):
            result[key] = {name: _inlined(sub, definitions, inside) for name, sub in value.items()}
        else:
            result[key] = _inlined(value, definitions, inside)
    return result
