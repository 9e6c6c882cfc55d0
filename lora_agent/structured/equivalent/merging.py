"""One schema for the parts of an allOf, where their keywords go together."""

from __future__ import annotations

from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.equivalent.facts import domain_of
from lora_agent.structured.walk import ANNOTATIONS

_LARGEST = frozenset("minimum minLength minItems minProperties exclusiveMinimum".split())
_SMALLEST = frozenset("maximum maxLength maxItems maxProperties exclusiveMaximum".split())
_FINITE = frozenset(("enum", "const"))
_OF_KEYS = frozenset("properties patternProperties additionalProperties required".split())
_APART = frozenset(
    "if then else unevaluatedProperties unevaluatedItems contains minContains maxContains propertyNames "
    "dependentRequired dependentSchemas".split()
)
"""Keywords that mean something else, or something more, beside those of another part."""
_TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"]


class Merger:
    """Merges within definitions `inside`, which are not copied once more: a recursive schema would never end."""

    def __init__(self, document: Document, inside: frozenset[str]) -> None:
        self._document = document
        self._around = inside
        self.inside = inside
        """Grows by the definitions that were copied."""

    def merge_all(self, parts: list[Any]) -> Any | None:
        """A schema that means the same as all parts together; None where it has no plain form."""
        saying = [part for part in parts if part is False or (isinstance(part, dict) and set(part) - ANNOTATIONS)]
        if len(saying) == 1:
            return saying[0]
        merged: Any = True
        for part in saying:
            merged = self._merge(merged, part)
            if merged is None:
                return None
        return merged

    def _merge(self, one: Any, other: Any) -> Any | None:
        if one is False or other is False:
            return False
        if one is True or one == other:
            return other
        one, other = self._opened(one), self._opened(other)
        if not isinstance(one, dict) or not isinstance(other, dict):
            return None if one is None or other is None else both(one, other)
        if _FINITE & set(one) and _FINITE & set(other):
            return self._merge_domains(one, other)
        out = dict(one)
        for keyword, value in other.items():
            if keyword not in _OF_KEYS and keyword not in ANNOTATIONS and not _merge_keyword(out, keyword, value):
                return None
        if out.get("type") == []:
            return False
        return out if _merge_keys(out, one, other) else None

    def _opened(self, node: Any) -> Any | None:
        """A part without `$ref` and `allOf` of its own, and without keywords that look at their neighbours."""
        while isinstance(node, dict) and ("$ref" in node or "allOf" in node):
            if "allOf" in node:
                node = self.merge_all(parts_of(node))
                continue
            name = self._document.target(node)
            if name in self._around or name not in self._document.defs or set(node) - ANNOTATIONS != {"$ref"}:
                return None
            self.inside |= {name}
            self._around |= {name}
            opened = self._opened(self._document.defs[name])
            self._around -= {name}
            return opened
        return None if isinstance(node, dict) and not _APART.isdisjoint(node) else node

    def _merge_domains(self, one: dict[str, Any], other: dict[str, Any]) -> Any | None:
        domain = domain_of((one, other), self._document)
        return None if domain is None else {"enum": domain}


def parts_of(node: dict[str, Any]) -> list[Any]:
    """The parts of an allOf and what stands beside it, so that keys keep the order of the text."""
    parts: list[Any] = []
    own: dict[str, Any] = {}
    for keyword, value in node.items():
        if keyword == "allOf":
            parts += [own, *value]
            own = {}
        else:
            own[keyword] = value
    return [*parts, own]


def _merge_keyword(out: dict[str, Any], keyword: str, value: Any) -> bool:
    """One keyword of the second part into `out`; False where it does not go in."""
    if keyword in ("items", "prefixItems") and keyword not in out:
        if {"items", "prefixItems"} & set(out):
            return False
        out[keyword] = value
    elif keyword not in out:
        out[keyword] = value
    elif keyword == "type":
        types = _common_types(out["type"], value)
        out["type"] = types[0] if len(types) == 1 else types
    elif keyword in _LARGEST:
        out[keyword] = max(out[keyword], value)
    elif keyword in _SMALLEST:
        out[keyword] = min(out[keyword], value)
    elif out[keyword] != value:
        return False
    return True


def _common_types(one: Any, other: Any) -> list[str]:
    sides = [{side} if isinstance(side, str) else set(side) for side in (one, other)]
    wide = [side | ({"integer"} if "number" in side else set()) for side in sides]
    common = wide[0] & wide[1]
    if "number" in common:
        common -= {"integer"}
    return [name for name in _TYPES if name in common]


def _merge_keys(out: dict[str, Any], one: dict[str, Any], other: dict[str, Any]) -> bool:
    """properties, additionalProperties and required of both into `out`."""
    rest = [side.get("additionalProperties", True) for side in (one, other)]
    patterns = [side.get("patternProperties", {}) for side in (one, other)]
    plain = [not side.get("properties") and not side.get("patternProperties") for side in (one, other)]
    if any(patterns) and not (rest[0] is True and rest[1] is True) and not any(plain):
        return False
    # What a side without keys of its own says of additional keys, it says of all keys.
    left_out = [limit if alone else True for limit, alone in zip(rest, plain, strict=True)]
    properties: dict[str, Any] = {}
    for name in dict.fromkeys([*one.get("properties", ()), *other.get("properties", ())]):
        sides = [side.get("properties", {}).get(name, left) for side, left in zip((one, other), rest, strict=True)]
        properties[name] = both(sides[0], sides[1])
    if properties:
        out["properties"] = properties
    if patterns[0] or patterns[1]:
        out["patternProperties"] = {
            key: both(patterns[0].get(key, left_out[0]), patterns[1].get(key, left_out[1]))
            for key in {**patterns[0], **patterns[1]}
        }
    left = both(rest[0], rest[1])
    if "additionalProperties" in one or "additionalProperties" in other:
        out["additionalProperties"] = left
    required = list(dict.fromkeys([*one.get("required", ()), *other.get("required", ())]))
    if required:
        out["required"] = required
    return True


def both(one: Any, other: Any) -> Any:
    """A schema for values that fit both."""
    if one is False or other is False:
        return False
    if one is True or one == {} or one == other:
        return other
    return one if other is True or other == {} else {"allOf": [one, other]}
