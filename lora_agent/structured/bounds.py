"""Gives every value an end: recorded limits on strings, arrays, maps, numbers and nesting that the schema
left open.

The commonest failure of a small model under a grammar is a value that never ends. The rule, for a budget of
B tokens: strings B/2 characters (16 to 2048), arrays B/32 items (1 to 64), maps B/64 keys (1 to 32); inside
an array or map the budget is halved. Integers stay within +-10^15, numbers have at most 9 decimals and no
exponent; `{}` becomes JSON of two levels; recursion ends after six references. Limits that the schema states
are kept.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from lora_agent.structured.closing import close_objects
from lora_agent.structured.composition import ELSEWHERE, UNIONS, Context, rewrite
from lora_agent.structured.document import Document
from lora_agent.structured.lower import MAX_COUNTED, lower
from lora_agent.structured.recursion import unroll
from lora_agent.structured.walk import ANNOTATIONS, DEFINITIONS, LISTS, MAPS, Place, pointer_of
from lora_agent.types import JsonSchema

MAX_INTEGER = 10**15
"""Below 2^53, which every JSON reader keeps exactly (RFC 8259, section 6). A power of ten: the range as a regular
expression is half as large."""
MAX_NUMBER = 10**15
DECIMALS = 1e-9
KEY_PATTERN = r"^[\s\S]{1,64}$"
ANY_LEVELS = 2

_SHORT_FORMATS = frozenset("date-time time date duration ipv4 ipv6 uuid".split())
_FAMILIES: dict[str, frozenset[str]] = {
    "object": frozenset("properties required patternProperties additionalProperties minProperties".split()),
    "array": frozenset("items prefixItems minItems maxItems".split()),
    "string": frozenset("minLength maxLength pattern format".split()),
    "number": frozenset("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split()),
}


class Bound(NamedTuple):
    """A limit that the schema did not state and the grammar has."""

    pointer: str
    keyword: str
    value: Any


class Limits(NamedTuple):
    string: int
    array: int
    map: int

    @classmethod
    def of(cls, budget: int) -> Limits:
        return cls(
            string=min(2048, max(16, budget // 2)),
            array=min(64, max(1, budget // 32)),
            map=min(32, max(1, budget // 64)),
        )


def bound(schema: JsonSchema, budget_tokens: int = 512) -> tuple[JsonSchema, list[Bound]]:
    """The schema with every open end closed, and what was added where."""
    from lora_agent.structured.check import read_schema

    document, bounds = bound_document(read_schema(schema), budget_tokens)
    return document.schema(), bounds


def bound_document(document: Document, budget_tokens: int) -> tuple[Document, list[Bound]]:
    """Close, lower, bound. In this order: lowering forgets `then` and `else`, which may name further keys."""
    bounds: dict[tuple[str, str], Bound] = {}

    def record(pointer: str, keyword: str, value: Any) -> None:
        bounds.setdefault((pointer, keyword), Bound(pointer, keyword, value))

    document = close_objects(document, record)
    document, _ = lower(document, later_formats=True)
    origin = document.origin
    document, depths = unroll(document)
    for name, depth in depths.items():
        record(pointer_of(origin[name]), "$ref", depth)

    def visit(node: Any, context: Context) -> Any:
        limits = Limits.of(budget_tokens >> _containers(context.place))
        return _Bounder(context, limits, record).bound(node)

    return rewrite(document, visit), list(bounds.values())


def _containers(place: Place) -> int:
    """How many arrays and maps stand around this place."""
    count = 0
    parts = iter(place)
    for part in parts:
        count += part in ("items", "prefixItems", "additionalProperties", "patternProperties")
        if part in MAPS or part in DEFINITIONS or (part in LISTS and part != "items"):
            next(parts, None)
    return count


@cache
def any_json(limits: Limits, levels: int = ANY_LEVELS) -> JsonSchema:
    """JSON of any kind, of a finite size. One object for all who ask: not to be changed."""
    scalars: list[JsonSchema] = [
        {"type": "string", "maxLength": limits.string},
        {"type": "number", "multipleOf": DECIMALS, "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
        {"type": "boolean"},
        {"type": "null"},
    ]
    if levels == 0:
        return {"anyOf": scalars}
    inner = any_json(limits, levels - 1)
    return {
        "anyOf": [
            *scalars,
            {"type": "array", "items": inner, "maxItems": limits.array},
            {"type": "object", **_map_of(inner), "maxProperties": limits.map},
        ]
    }


def _map_of(value: Any) -> JsonSchema:
    """A map whose keys have an end: `additionalProperties` alone would leave them open."""
    return {"patternProperties": {KEY_PATTERN: value}, "additionalProperties": False}


class _Bounder:
    def __init__(self, context: Context, limits: Limits, record: Any) -> None:
        self.context, self.limits = context, limits
        self.pointer = pointer_of(context.place)
        self._record = record

    def add(self, node: dict[str, Any], keyword: str, value: Any) -> None:
        node[keyword] = value
        self._record(self.pointer, keyword, value)

    def any_json(self, keyword: str = "type") -> JsonSchema:
        self._record(self.pointer, keyword, f"JSON of {ANY_LEVELS} levels")
        return any_json(self.limits)

    def bound(self, node: Any) -> Any:
        context = self.context
        if (context.part and not isinstance(node, dict)) or node is False or node == ELSEWHERE:
            return node
        if node is True or not set(node) - ANNOTATIONS:
            return node if context.part else {**(node if node is not True else {}), **self.any_json()}
        if "enum" in node or "const" in node:
            return node
        types = self._types(node)
        whole = not context.part and not context.composite
        if "string" in types and node.get("format") not in _SHORT_FORMATS:
            most = min(self.limits.string, MAX_COUNTED) if "pattern" in node else self.limits.string
            self._cap(node, "maxLength", "minLength", most)
        if "number" in types or "integer" in types:
            self._bound_number(node, types)
        if "array" in types:
            self._bound_array(node, whole)
        if "object" in types and whole:
            self._bound_object(node)
        return node

    def _types(self, node: dict[str, Any]) -> set[str]:
        stated = node.get("type")
        if stated is not None:
            return {stated} if isinstance(stated, str) else set(stated)
        if self.context.part or self.context.composite or "$ref" in node or any(key in node for key in UNIONS):
            return set()
        families = {name for name, keywords in _FAMILIES.items() if keywords & set(node)}
        if len(families) == 1:  # {"properties": ...} without a type also allows 7 or "x": nobody means that
            self.add(node, "type", next(iter(families)))
        return families

    def _cap(self, node: dict[str, Any], upper: str, lower: str, limit: int) -> None:
        if upper not in node:
            self.add(node, upper, max(limit, node.get(lower, 0)))

    def _bound_number(self, node: dict[str, Any], types: set[str]) -> None:
        size = MAX_NUMBER if "number" in types else MAX_INTEGER
        if "number" in types and "multipleOf" not in node:
            self.add(node, "multipleOf", DECIMALS)
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum", node.get("exclusiveMaximum"))
        if low is None:
            self.add(node, "minimum", -size if high is None or high > -size else high * 2)
        if high is None:
            self.add(node, "maximum", size if low is None or low < size else low * 2)

    def _bound_array(self, node: dict[str, Any], whole: bool) -> None:
        prefix = len(node.get("prefixItems", ()))
        if whole and "items" not in node:
            if prefix:
                self.add(node, "items", False)
            else:
                node["items"] = any_json(self.limits)
                self._record(self.pointer, "items", f"JSON of {ANY_LEVELS} levels")
        if node.get("items") is False:
            return
        self._cap(node, "maxItems", "minItems", max(self.limits.array, prefix))

    def _bound_object(self, node: dict[str, Any]) -> None:
        properties = node.get("properties", {})
        extra = node.get("additionalProperties")
        if not properties and "patternProperties" not in node and extra is not False:
            if extra is None:
                extra = any_json(self.limits)
                self._record(self.pointer, "additionalProperties", f"JSON of {ANY_LEVELS} levels")
            required = node.get("required", [])
            if required:
                node["properties"] = dict.fromkeys(required, extra)
                node["additionalProperties"] = False
                self._record(self.pointer, "additionalProperties", False)
                return
            node.update(_map_of(extra))
            self._record(self.pointer, "propertyNames", {"pattern": KEY_PATTERN})
        optional = set(properties) - set(node.get("required", ()))
        open_keys = node.get("additionalProperties") is not False or "patternProperties" in node
        if open_keys and not optional:  # llguidance cannot count keys beside optional ones
            self._cap(node, "maxProperties", "minProperties", self.limits.map + len(properties))
