"""Walking a JSON Schema: which keywords hold schemas, and how a place in it is written (JSON pointer).

Knows the shape of the keywords of drafts 4 to 2020-12 and nothing of their meaning. Values of `enum`,
`const`, `default` and `examples` are data and never entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

SINGLE = frozenset(
    "additionalProperties additionalItems unevaluatedItems unevaluatedProperties contains propertyNames "
    "not if then else contentSchema items".split()
)
LISTS = frozenset("allOf anyOf oneOf prefixItems items".split())
MAPS = frozenset("properties patternProperties dependentSchemas dependencies".split())
ANNOTATIONS = frozenset(
    "title description default examples deprecated readOnly writeOnly $comment contentEncoding "
    "contentMediaType contentSchema discriminator nullable example".split()
)
"""Keywords that say nothing about which values fit."""
ASSERTIONS = frozenset(
    "type enum const anyOf allOf oneOf $ref properties required additionalProperties patternProperties "
    "minProperties maxProperties items prefixItems minItems maxItems minLength maxLength pattern format "
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split()
)
"""Keywords that the grammar enforces."""
DEFINITIONS = frozenset(("$defs", "definitions"))

Place = tuple[str, ...]


def pointer_of(place: Place) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in place)


def is_schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))


_KIND = {
    **dict.fromkeys(SINGLE, "single"),
    **dict.fromkeys(LISTS, "list"),
    **dict.fromkeys(MAPS, "map"),
    **dict.fromkeys(DEFINITIONS, "definitions"),
    "items": "single or list",
}


def children(node: dict[str, Any], *, definitions: bool = False) -> list[tuple[Place, Any]]:
    """Every direct subschema with its place relative to `node`."""
    found: list[tuple[Place, Any]] = []
    for keyword, value in node.items():
        kind = _KIND.get(keyword)
        if kind is None or (kind == "definitions" and not definitions):
            continue
        if kind in ("map", "definitions"):
            if isinstance(value, dict):
                found += [((keyword, name), child) for name, child in value.items() if isinstance(child, (dict, bool))]
        elif isinstance(value, list):
            if kind != "single":
                found += [
                    ((keyword, str(i)), child) for i, child in enumerate(value) if isinstance(child, (dict, bool))
                ]
        elif kind != "list" and isinstance(value, (dict, bool)):
            found.append(((keyword,), value))
    return found


def replace_children(node: dict[str, Any], change: Callable[[Any, Place], Any]) -> dict[str, Any]:
    """A copy of `node` whose direct subschemas went through `change(child, relative place)`."""
    out = dict(node)
    for (keyword, *rest), child in children(node):
        changed = change(child, (keyword, *rest))
        if not rest:
            out[keyword] = changed
            continue
        if out[keyword] is node[keyword]:
            out[keyword] = node[keyword].copy()
        out[keyword][rest[0] if isinstance(node[keyword], dict) else int(rest[0])] = changed
    return out


def descend(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """`node` and every subschema under it, parents first."""
    yield place, node
    if isinstance(node, dict):
        for relative, child in children(node):
            yield from descend(child, place + relative)
