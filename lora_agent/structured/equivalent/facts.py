"""What is known of every value that fits a schema: its types, its domain, its keys; and whether two schemas share a
value. Sound, not complete: "not known" is always a possible answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import jsonschema

from lora_agent.structured.document import Document

TYPES = ("object", "array", "string", "number", "boolean", "null")
MAX_DEPTH = 4
MAX_DOMAIN = 100
"""Values that are tried one by one against the other side."""
_LIMITS = (
    ("number", "minimum", "maximum"),
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
)

Facts = tuple[dict[str, Any], ...]
"""Schema objects that all hold."""
NOTHING: Facts = ({"enum": []},)
"""Facts that no value fulfils."""


def facts_of(node: Any, document: Document, seen: frozenset[str] = frozenset()) -> Facts:
    """The node, what it refers to and the parts of its allOf."""
    if not isinstance(node, dict):
        return () if node else NOTHING
    found: list[dict[str, Any]] = [node]
    if "$ref" in node and (name := document.target(node)) not in seen and name in document.defs:
        found += facts_of(document.defs[name], document, seen | {name})
    for part in node.get("allOf", ()):
        found += facts_of(part, document, seen)
    return tuple(found)


def types_of(facts: Facts) -> set[str]:
    """The types that remain; integer counts as number."""
    left = set(TYPES)
    for fact in facts:
        stated = fact.get("type")
        if stated is not None:
            names = {stated} if isinstance(stated, str) else set(stated)
            left &= {"number" if name == "integer" else name for name in names}
        if "const" in fact or "enum" in fact:
            left &= {type_of(value) for value in fact.get("enum", [fact.get("const")])}
    return left


def type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def domain_of(facts: Facts, document: Document) -> list[Any] | None:
    """All values that fit, where they are few and listed; None where they are not known."""
    values: list[Any] | None = None
    for fact in facts:
        if "enum" in fact or "const" in fact:
            values = list(fact.get("enum", [fact.get("const")]))
            break
    if values is not None and len(values) > MAX_DOMAIN:
        return None
    if values is None:
        types = types_of(facts)
        if not types <= {"boolean", "null"}:
            return None
        values = [*([False, True] if "boolean" in types else []), *([None] if "null" in types else [])]
    return [value for value in values if all(fits(value, fact, document) for fact in facts)]


def fits(value: Any, node: Any, document: Document) -> bool:
    if not isinstance(node, dict):
        return bool(node)
    schema = {**node, "$defs": document.defs} if "$ref" in str(node) else node
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def listed(facts: Facts) -> set[str] | None:
    """The values of an enum or const among the facts, in JSON with numbers as floats; None where there is none."""
    for fact in facts:
        if "enum" in fact or "const" in fact:
            return {json_key(value) for value in fact.get("enum", [fact.get("const")])}
    return None


def json_key(value: Any) -> str:
    """Equal for equal JSON values: 1 is 1.0 and not true."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(float(value)) if abs(value) < 2**53 else repr(value)
    if isinstance(value, list):
        return "[" + ",".join(map(json_key, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{json_key(value[key])}" for key in sorted(value)) + "}"
    return json.dumps(value)


def required_of(facts: Facts) -> set[str]:
    return {name for fact in facts for name in fact.get("required", ())}


def property_facts(facts: Facts, name: str, document: Document) -> Facts:
    """What is known of the value of a key, if it is there."""
    found: list[dict[str, Any]] = []
    for fact in facts:
        rules = [fact["properties"][name]] if name in fact.get("properties", ()) else []
        try:
            rules += [rule for key, rule in fact.get("patternProperties", {}).items() if re.search(key, name)]
        except re.error:
            continue
        if not rules and "additionalProperties" in fact:
            rules = [fact["additionalProperties"]]
        for rule in rules:
            found += facts_of(rule, document)
    return tuple(found)


def disjoint(one: Facts, other: Facts, document: Document, depth: int = 0) -> bool:
    """Whether surely no value fits both."""
    if depth > MAX_DEPTH:
        return False
    both = types_of(one) & types_of(other)
    if not both:
        return True
    if (values := listed(one)) is not None and (others := listed(other)) is not None and values.isdisjoint(others):
        return True
    for left, right in ((one, other), (other, one)):
        domain = domain_of(left, document)
        if domain is not None:
            return not any(all(fits(value, fact, document) for fact in right) for value in domain)
    if all(_apart(kind, one, other, document, depth) for kind in both):
        return True
    return _all_branches(one, other, document, depth) or _all_branches(other, one, document, depth)


def _apart(kind: str, one: Facts, other: Facts, document: Document, depth: int) -> bool:
    """Whether no value of this type fits both."""
    for name, low, high in _LIMITS:
        if name == kind and (_above(one, other, low, high) or _above(other, one, low, high)):
            return True
    if kind == "object":
        return _keys_apart(one, other, document, depth)
    if kind == "array" and max(_bounds(one + other, "minItems"), default=0) > 0:
        return _items_apart(one, other, document, depth)
    return False


def _items_apart(one: Facts, other: Facts, document: Document, depth: int) -> bool:
    if any("prefixItems" in fact for fact in one + other):
        return False
    items = [
        tuple(item for fact in side if "items" in fact for item in facts_of(fact["items"], document))
        for side in (one, other)
    ]
    return disjoint(items[0], items[1], document, depth + 1)


def _keys_apart(one: Facts, other: Facts, document: Document, depth: int) -> bool:
    for name in sorted(required_of(one) | required_of(other)):
        left, right = property_facts(one, name, document), property_facts(other, name, document)
        if disjoint(left, right, document, depth + 1):
            return True
    return False


def _all_branches(one: Facts, other: Facts, document: Document, depth: int) -> bool:
    for index, fact in enumerate(one):
        for union in ("anyOf", "oneOf"):
            branches: Sequence[Any] = fact.get(union, ())
            if not branches:
                continue
            rest = (*one[:index], {k: v for k, v in fact.items() if k != union}, *one[index + 1 :])
            if all(disjoint(rest + facts_of(b, document), other, document, depth + 1) for b in branches):
                return True
    return False


def _above(one: Facts, other: Facts, low: str, high: str) -> bool:
    """Whether all of `one` lies above all of `other`."""
    floor = max(_bounds(one, low), default=None)
    ceiling = min(_bounds(other, high), default=None)
    return floor is not None and ceiling is not None and floor > ceiling


def _bounds(facts: Facts, keyword: str) -> Iterable[float]:
    return [fact[keyword] for fact in facts if isinstance(fact.get(keyword), (int, float))]
