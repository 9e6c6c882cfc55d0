"""uniqueItems and contains of small arrays as the sequences that are left."""

from __future__ import annotations

from itertools import permutations
from math import perm
from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.equivalent.facts import domain_of, facts_of
from lora_agent.structured.equivalent.merging import both

Node = dict[str, Any]
MAX_SEQUENCES = 65
"""All orders of up to four values."""
MAX_POSITIONS = 8


def without_unique(node: Node, document: Document) -> Node | None:
    if "uniqueItems" not in node:
        return None
    rest = {keyword: value for keyword, value in node.items() if keyword != "uniqueItems"}
    most = node.get("maxItems")
    if node["uniqueItems"] is False or (most is not None and most <= 1):
        return rest
    if node.get("type") != "array" or "prefixItems" in node or "items" not in node or "contains" in node:
        return None
    domain = domain_of(facts_of(node["items"], document), document)
    if domain is None:
        return None
    distinct = [value for index, value in enumerate(domain) if not any(_equal(value, d) for d in domain[:index])]
    most = len(distinct) if most is None else min(most, len(distinct))
    least = node.get("minItems", 0)
    if sum(perm(len(distinct), length) for length in range(least, most + 1)) > MAX_SEQUENCES:
        return None
    sequences = [
        {"prefixItems": [{"const": value} for value in values], "items": False, "minItems": length, "maxItems": length}
        if length
        else {"items": False, "maxItems": 0}
        for length in range(least, most + 1)
        for values in permutations(distinct, length)
    ]
    keywords = {k: v for k, v in rest.items() if k not in ("type", "items", "minItems", "maxItems")}
    if "anyOf" in keywords or not sequences:
        return None
    return {**keywords, "anyOf": [{"type": "array", **sequence} for sequence in sequences]}


def without_contains(node: Node, document: Document) -> Node | None:
    if "contains" not in node:
        return None
    rest = {k: v for k, v in node.items() if k not in ("contains", "minContains", "maxContains")}
    if node.get("minContains") == 0 and "maxContains" not in node:
        return rest
    simple = node.get("type") == "array" and not {"prefixItems", "anyOf", "uniqueItems", "maxContains"} & set(node)
    most = node.get("maxItems")
    if not simple or node.get("minContains", 1) != 1 or most is None or most > MAX_POSITIONS:
        return None
    items = node.get("items", True)
    wanted = both(items, node["contains"])
    least = node.get("minItems", 0)
    branches = []
    for position in range(most):
        branch = {"type": "array", "prefixItems": [*[items] * position, wanted], "items": items, "maxItems": most}
        branches.append({**branch, "minItems": max(position + 1, least)})
    keywords = {k: v for k, v in rest.items() if k not in ("type", "items", "minItems", "maxItems")}
    return {**keywords, "anyOf": branches} if branches else None


def _equal(one: Any, other: Any) -> bool:
    """JSON equality: 1 is 1.0 and not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
