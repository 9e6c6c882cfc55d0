"""Recursion through `$ref`: does it end, and unrolling it to a fixed depth so that every value is finite.

A grammar with recursion lets a small model nest for ever. `unroll` copies each recursive definition once a
level and closes the last level, so that the grammar only holds values of at most `depth` references in a
row. Knows nothing of tokens. Size grows linearly: definitions x depth, since copies refer to each other.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from lora_agent.structured.document import PREFIX, Document, references
from lora_agent.structured.walk import replace_children

DEPTH = 6
MAX_COPIES = 2_000
_CONTAINERS = frozenset(("object", "array"))


def ranks(document: Document, ended: Set[str] = frozenset()) -> dict[str, int]:
    """How many references deep the shallowest finite value of a definition is; endless ones are absent."""
    uses = {name: references(node) for name, node in document.defs.items()}
    users: dict[str, set[str]] = {}
    for name, used in uses.items():
        for target in used:
            users.setdefault(target, set()).add(name)
    rank: dict[str, int] = {}
    known = set(ended)
    candidates = set(document.defs) - known
    level = 0
    while candidates:
        found = {name for name in candidates if _finite(document.defs[name], known, document)}
        rank.update(dict.fromkeys(found, level))
        known |= found
        candidates = {user for name in found for user in users.get(name, ())} - known
        level += 1
    return rank


def _finite(node: Any, known: Set[str], document: Document) -> bool:
    if not isinstance(node, dict):
        return bool(node)
    if "$ref" in node and document.target(node) not in known:
        return False
    if not all(_finite(part, known, document) for part in node.get("allOf", ())):
        return False
    for union in ("anyOf", "oneOf"):
        if union in node and not any(_finite(branch, known, document) for branch in node[union]):
            return False
    if "enum" in node or "const" in node:
        return True
    types = node.get("type")
    types = {types} if isinstance(types, str) else set(types or ())
    if not types or types - _CONTAINERS:
        return True
    return ("object" in types and _object_ends(node, known, document)) or (
        "array" in types and _array_ends(node, known, document)
    )


def _object_ends(node: dict[str, Any], known: Set[str], document: Document) -> bool:
    properties = node.get("properties", {})
    return all(
        _finite(properties.get(name, node.get("additionalProperties", True)), known, document)
        or (name not in properties and "patternProperties" in node)
        for name in node.get("required", ())
    )


def _array_ends(node: dict[str, Any], known: Set[str], document: Document) -> bool:
    needed = node.get("minItems", 0)
    prefix = node.get("prefixItems", [])
    if not all(_finite(item, known, document) for item in prefix[:needed]):
        return False
    return needed <= len(prefix) or _finite(node.get("items", True), known, document)


def recursive(document: Document) -> set[str]:
    """Definitions on a reference cycle, or between two cycles."""
    uses = {name: references(node) & set(document.defs) for name, node in document.defs.items()}
    left = set(uses)
    while True:
        used = set().union(*(uses[name] & left for name in left)) if left else set()
        ends = {name for name in left if not uses[name] & left or name not in used}
        if not ends:
            return left
        left -= ends


def unroll(document: Document, depth: int = DEPTH) -> tuple[Document, dict[str, int]]:
    """The document without recursion, and the depth that each recursive definition was given."""
    looping = recursive(document)
    if not looping:
        return document, {}
    rank = ranks(document, set(document.defs) - looping)
    depth = max(depth, max(rank.values()) + 2)
    if len(looping) * depth > MAX_COPIES:
        return document, {}

    def link(node: Any, level: int) -> Any:
        """`node` with references to recursive definitions bound to copies of `level`."""
        if not isinstance(node, dict):
            return node
        out = replace_children(node, lambda child, _: link(child, level))
        if "$ref" in out and (target := document.target(out)) in looping:
            if level + rank[target] >= depth:
                return False
            out["$ref"] = f"{PREFIX}{target}@{level}"
        return out

    unrolled = Document(link(document.root, 0))
    for name, node in document.defs.items():
        if name not in looping:
            unrolled.defs[name], unrolled.origin[name] = link(node, 0), document.origin[name]
            continue
        for level in range(depth - rank[name]):
            copy = f"{name}@{level}"
            unrolled.defs[copy], unrolled.origin[copy] = link(node, level + 1), document.origin[name]
    return unrolled, dict.fromkeys(sorted(looping), depth)
