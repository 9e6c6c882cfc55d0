"""Which schemas of a document stand alone and which are only parts of one object (allOf, anyOf beside
properties).

A keyword that says something about the whole object (closed, at most n keys) may not be put on a part: two
closed parts fit nothing. `rewrite` walks a document bottom up and tells its visitor which case holds. Knows
nothing of what the visitor changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.walk import Place, replace_children

UNIONS = ("allOf", "anyOf", "oneOf")
ELSEWHERE = {"$comment": "another part of this object says what it is"}
"""Stands for a property at the top of a composite; says nothing itself."""
_OBJECT = frozenset("properties required patternProperties additionalProperties minProperties maxProperties".split())


@dataclass(frozen=True)
class Context:
    place: Place
    part: bool
    """The node is one of several parts of an object: nothing may be said about the whole here."""
    composite: bool
    """The node is put together from parts."""
    members: tuple[dict[str, Any], ...]
    """The node and the parts it is put together from, before the rewrite."""


Visitor = Callable[[Any, Context], Any]


def rewrite(document: Document, visit: Visitor) -> Document:
    composed = _composed_definitions(document)
    walker = _Walker(document, set(composed), visit)
    return document.copy_with(
        {
            name: walker.walk(node, place, composed.get(name) if name is not None else None)
            for name, place, node in document.parts()
        }
    )


def is_composite(node: dict[str, Any], composed: set[str], document: Document) -> bool:
    kinds = [key for key in UNIONS if key in node]
    if "$ref" in node:
        return bool(kinds) or bool(_OBJECT & set(node)) or document.target(node) in composed
    if not kinds:
        return False
    plain_union = len(kinds) == 1 and (kinds[0] != "allOf" or len(node["allOf"]) == 1)
    return not plain_union or bool(_OBJECT & set(node))


def _members(node: Any, document: Document, seen: set[str]) -> Iterator[dict[str, Any]]:
    """The node and every part of its object. `seen` collects the names of the definitions among them."""
    if not isinstance(node, dict):
        return
    yield node
    if "$ref" in node and (target := document.target(node)) not in seen:
        seen.add(target)
        yield from _members(document.defs[target], document, seen)
    for key in UNIONS:
        for branch in node.get(key, ()):
            yield from _members(branch, document, seen)


def _shared(members: tuple[dict[str, Any], ...]) -> set[str]:
    """Property names of more than one part: the schemas of such a property meet and are parts as well."""
    seen: set[str] = set()
    twice: set[str] = set()
    for member in members:
        names = {name for name, schema in member.get("properties", {}).items() if schema != ELSEWHERE}
        twice |= seen & names
        seen |= names
    return twice


def _composed_definitions(document: Document) -> dict[str, set[str]]:
    """Definitions that are parts of a composite somewhere, with the property names they share there."""
    composed: dict[str, set[str]] = {}

    def visit(node: Any) -> Any:
        if isinstance(node, dict):
            if is_composite(node, set(), document):
                targets: set[str] = set()
                shared = _shared(tuple(_members(node, document, targets)))
                for name in targets:
                    composed.setdefault(name, set()).update(shared)
            replace_children(node, lambda child, _: visit(child))
        return node

    for _, _, node in document.parts():
        visit(node)
    return composed


class _Walker:
    def __init__(self, document: Document, composed: set[str], visit: Visitor) -> None:
        self.document, self.composed, self.visit = document, composed, visit

    def walk(self, node: Any, place: Place, shared: set[str] | None) -> Any:
        """`shared`: None where `node` stands alone; else it is a part, with these shared property names."""
        composite = isinstance(node, dict) and is_composite(node, self.composed, self.document)
        members = (
            tuple(_members(node, self.document, set())) if composite else (node,) if isinstance(node, dict) else ()
        )
        if not isinstance(node, dict):
            return self.visit(node, Context(place, shared is not None, False, members))
        inner = shared if shared is not None else (_shared(members) if composite else None)

        def below(child: Any, relative: Place) -> Any:
            if relative[0] in UNIONS:
                return self.walk(child, place + relative, inner)
            meets = inner is not None and not (relative[0] == "properties" and relative[1] not in inner)
            return self.walk(child, place + relative, set() if meets else None)

        out = replace_children(node, below)
        return self.visit(out, Context(place, shared is not None, composite, members))
