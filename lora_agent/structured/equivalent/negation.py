"""The schema of all values that do not fit a schema, where JSON Schema without `not` can say it."""

from __future__ import annotations

from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.equivalent.facts import TYPES, Facts, domain_of, fits, json_key, property_facts
from lora_agent.structured.walk import ANNOTATIONS

_OPPOSITE = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
MAX_BRANCHES = 8


def negation(node: Any, known: Facts, document: Document) -> Any | None:
    """A schema that the values which fulfil `known` fit exactly where they do not fit `node`; None if none is found."""
    if not isinstance(node, dict):
        return not node
    domain = domain_of(known, document)
    if domain is not None:
        return {"enum": [value for value in domain if not fits(value, node, document)]}
    if set(node) - ANNOTATIONS in ({"enum"}, {"const"}) and (all_listed := _listed_values(known)) is not None:
        wrong = {json_key(value) for value in node.get("enum", [node.get("const")])}
        return {"enum": [value for value in all_listed if json_key(value) not in wrong]}
    branches: list[Any] = []
    for keyword, value in node.items():
        if keyword in ANNOTATIONS:
            continue
        found = _one(keyword, value, known, document)
        if found is None:
            return None
        branches += found
    return _any(branches)


def _listed_values(known: Facts) -> list[Any] | None:
    return next((list(fact["enum"]) for fact in known if "enum" in fact), None)


def _one(keyword: str, value: Any, known: Facts, document: Document) -> list[Any] | None:
    """Schemas of which one fits where this keyword does not."""
    if keyword == "type":
        return _other_types({value} if isinstance(value, str) else set(value))
    if keyword in _OPPOSITE:
        kind, opposite, step = _OPPOSITE[keyword]
        limit = value + step
        return [] if step and limit < 0 else [{"type": kind, opposite: limit}]
    if keyword == "required":
        return (
            [{"type": "object", "properties": {name: False}} for name in value] if len(value) <= MAX_BRANCHES else None
        )
    if keyword == "properties":
        return _some_property(value, known, document)
    if keyword == "not":
        return [value]
    if keyword in ("anyOf", "allOf"):
        parts = [negation(part, known, document) for part in value]
        if any(part is None for part in parts):
            return None
        return [{"allOf": parts}] if keyword == "anyOf" else parts
    return None


def _other_types(names: set[str]) -> list[Any] | None:
    if "integer" in names and "number" not in names:
        return None  # "a number with a fraction" cannot be said
    left = [name for name in TYPES if name not in names]
    return [{"type": left}] if left else []


def _some_property(properties: dict[str, Any], known: Facts, document: Document) -> list[Any] | None:
    """Some of the keys is there with a value that does not fit."""
    found = []
    for name, rule in properties.items():
        wrong = negation(rule, property_facts(known, name, document), document)
        if wrong is None:
            return None
        found.append({"type": "object", "properties": {name: wrong}, "required": [name]})
    return found if len(found) <= MAX_BRANCHES else None


def _any(branches: list[Any]) -> Any:
    if not branches:
        return False
    return branches[0] if len(branches) == 1 else {"anyOf": branches}
