"""From a function's table entry to a tool object: naming style, wording, order of parameters, defaults.

The same function never looks the same twice, so that the schema has to be read. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from ..schema import Call, Tool, camel, make_call, make_tool, pascal, snake
from .spec import Function, Parameter

Naming = Callable[[str], str]


@dataclass(frozen=True)
class Style:
    """How one API names things; one tool list mostly has one style."""

    function: str
    parameter: Naming

    @classmethod
    def draw(cls, rng: Random) -> Style:
        function = rng.choices(("snake", "camel", "dotted", "pascal"), (50, 24, 16, 10))[0]
        parameter: Naming = rng.choices((snake, camel), (4, 1) if function != "camel" else (1, 2))[0]
        return cls(function, parameter)

    def name(self, stem: str, domain: str) -> str:
        if self.function == "dotted":
            return f"{domain}.{snake(stem)}"
        return {"snake": snake, "camel": camel, "pascal": pascal}[self.function](stem)


@dataclass(frozen=True)
class Offer:
    """A function as one request's tool list shows it."""

    function: Function
    tool: Tool
    keys: Mapping[str, tuple[str, ...]]
    """Slot → path of property names in the arguments."""

    def call(self, values: Mapping[str, Any]) -> Call:
        arguments: dict[str, Any] = {}
        for slot, value in values.items():
            *outer, last = self.keys[slot]
            target = arguments
            for key in outer:
                target = target.setdefault(key, {})
            target[last] = value
        return make_call(self.tool, arguments)


def make_offer(function: Function, style: Style, rng: Random) -> Offer:
    parameters = list(function.parameters)
    if rng.random() < 0.2:
        rng.shuffle(parameters)
    keys = {p.slot: tuple(style.parameter(part) for part in rng.choice(p.names).split(".")) for p in parameters}
    if len(set(keys.values())) < len(keys):  # two parameters took the same synonym
        keys = {p.slot: tuple(style.parameter(part) for part in p.slot.split(".")) for p in parameters}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in parameters:
        _place(parameter, keys[parameter.slot], properties, required, rng)
    description = rng.choice(function.descriptions)
    if rng.random() < 0.6:
        description = description.rstrip(".") + "."
    tool = make_tool(style.name(rng.choice(function.names), function.domain), description, properties, required)
    return Offer(function, tool, keys)


def _place(
    parameter: Parameter, path: tuple[str, ...], properties: dict[str, Any], required: list[str], rng: Random
) -> None:
    *outer, last = path
    for key in outer:
        nested = properties.setdefault(key, {"type": "object", "properties": {}})
        if parameter.required and key not in required:
            required.append(key)
        properties, required = nested["properties"], nested.setdefault("required", [])
    properties[last] = _property(parameter, rng)
    if parameter.required:
        required.append(last)


def _property(parameter: Parameter, rng: Random) -> dict[str, Any]:
    schema = dict(parameter.kind.schema)
    text = parameter.description if rng.random() < 0.88 else ""
    if parameter.kind.note:
        text = f"{text} ({parameter.kind.note})".strip()
    if not parameter.required and schema["type"] in ("integer", "boolean", "string") and rng.random() < 0.25:
        if schema["type"] == "string" and "enum" not in schema:
            return {**schema, "description": text} if text else schema
        schema["default"] = parameter.kind.sample(rng)[1]
    return {"type": schema.pop("type"), **({"description": text} if text else {}), **schema}
