"""Arguments that somebody said: tools whose parameters take only numbers and phrases that occur in the conversation.

A small model writes a number that looks like one ("402000" as 40200, a year that nobody named) or half a name
("Retrilet"), and its grammar lets it. What a request says is a short list, so the grammar of its call names it
(decision 055). What the schema itself names counts as said. Knows texts and schemas, no models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from lora_agent.errors import SchemaError
from lora_agent.structured.check import read_schema
from lora_agent.structured.normalise import normalise
from lora_agent.structured.numerals import numbers_in
from lora_agent.structured.phrases import phrases_in
from lora_agent.types import Tool, compact_json

_FREE = frozenset("enum const $ref anyOf oneOf allOf not if format pattern".split())
"""Keywords beside which a node is left as it is."""
_SPELLED = re.compile(
    r"format|y{2,4}.?m{1,2}|m{1,2}.?d{1,2}|h{1,2}.?m{1,2}|iso\b|codes?\b|abbreviat|e\.g|such as|example|either|one of",
    re.IGNORECASE,
)
"""In the description of a text that is to be spelled in some way of its own: it is left free."""


@dataclass(frozen=True)
class _Said:
    numbers: set[float]
    phrases: list[str]


def grounded(tools: Sequence[Tool], texts: Sequence[str]) -> list[Tool]:
    """The tools, with each number an enum of the numbers said, and each text one of the phrases. A number that must be
    given is left free if none would do; one that need not be is left out. Without texts the tools are as they were."""
    if not texts:
        return list(tools)
    numbers = numbers_in("\n".join(texts))
    figures = [f"{value:g}" for value in numbers if abs(value) < 1e6]
    said = _Said(numbers, [*phrases_in(texts), *figures])
    return [_narrow(tool, said) for tool in tools]


def _narrow(tool: Tool, said: _Said) -> Tool:
    try:
        parameters = normalise(tool.parameters).schema
        read_schema(parameters)
    except SchemaError:
        return tool  # `calls_schema` says which tool it is and what is wrong with it
    return tool.model_copy(update={"parameters": _object(parameters, said)})


def _object(node: dict[str, Any], said: _Said) -> dict[str, Any]:
    properties = node.get("properties")
    if not isinstance(properties, dict):
        return node
    required = node.get("required")
    needed = set(required) if isinstance(required, list) else set()
    kept = {}
    for name, child in properties.items():
        found = _value(child, said)
        if found is not None or name in needed:
            kept[name] = child if found is None else found
    return {**node, "properties": kept}


def _value(node: Any, said: _Said) -> Any:
    """A schema of what may be written; None where nothing that was said would do."""
    if not isinstance(node, dict) or _FREE & node.keys():
        return node
    match node.get("type"):
        case "integer" | "number":
            numbers = _numbers(node, said.numbers)
            return {"enum": numbers} if numbers else None
        case "string":
            phrases = _phrases(node, said)
            return {"enum": phrases} if phrases else node
        case "array" if isinstance(node.get("items"), dict):
            items = _value(node["items"], said)
            return None if items is None else {**node, "items": items}
        case "object":
            return _object(node, said)
    return node


def _numbers(node: dict[str, Any], said: set[float]) -> list[float]:
    own = numbers_in(str(node.get("description", "")))
    own |= {float(value) for value in _named(node) if isinstance(value, int | float) and not isinstance(value, bool)}
    numbers = [int(value) if value == int(value) else value for value in sorted(said | own) if abs(value) < 1e15]
    valid = jsonschema.Draft202012Validator(node).is_valid
    return [value for value in numbers if valid(value) and "e" not in compact_json(value)]


def _phrases(node: dict[str, Any], said: _Said) -> list[str]:
    if _SPELLED.search(str(node.get("description", ""))):
        return []
    named = [value for value in _named(node) if isinstance(value, str)]
    least, most = node.get("minLength", 0), node.get("maxLength", 10_000)
    return [text for text in dict.fromkeys([*said.phrases, *named]) if least <= len(text) <= most]


def _named(node: dict[str, Any]) -> list[Any]:
    examples = node.get("examples")
    default = [node["default"]] if "default" in node else []
    return default + (examples if isinstance(examples, list) else [])
