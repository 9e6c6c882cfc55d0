"""An instance with its keys in schema order, which is the only order that the grammar writes.

Knows the lowered document (what the grammar was made from). Where several branches of a union fit an instance, each
may order its keys differently, so several orders are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema

from lora_agent.structured.document import Document

MAX_ORDERS = 6


class Orders:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._validator = jsonschema.Draft202012Validator(document.schema())

    def of(self, value: Any) -> Iterator[Any]:
        """The value in at most MAX_ORDERS orders: by each branch that fits alone, then by all of them together."""
        for choice in range(MAX_ORDERS):
            yield self._order(value, [self._document.root], choice)

    def _order(self, value: Any, nodes: list[Any], choice: int) -> Any:
        if isinstance(value, dict):
            parts = [part for node in nodes for part in self._parts(node, value, choice, 0)]
            names = dict.fromkeys(name for part in parts for name in part.get("properties", ()) if name in value)
            names.update(dict.fromkeys(n for part in parts for n in part.get("required", ()) if n in value))
            names.update(dict.fromkeys(value))
            return {n: self._order(value[n], [s for p in parts for s in _of_key(p, n)], choice) for n in names}
        if isinstance(value, list):
            parts = [part for node in nodes for part in self._parts(node, value, choice, 0)]
            return [
                self._order(item, [s for part in parts for s in _of_item(part, i)], choice)
                for i, item in enumerate(value)
            ]
        return value

    def _parts(self, node: Any, value: Any, choice: int, depth: int) -> Iterator[dict[str, Any]]:
        """The node and everything that it is put together from, as far as it fits the value."""
        if not isinstance(node, dict) or depth > 50:
            return
        for keyword, content in node.items():  # the grammar follows the order of the text here as well
            if keyword == "properties":
                yield node
            elif keyword == "$ref":
                yield from self._parts(self._document.defs[self._document.target(node)], value, choice, depth + 1)
            elif keyword == "allOf":
                for part in content:
                    yield from self._parts(part, value, choice, depth + 1)
            elif keyword in ("anyOf", "oneOf"):
                fitting = [branch for branch in content if self._fits(branch, value)]
                if choice < MAX_ORDERS - 1:
                    fitting = fitting[min(choice, len(fitting) - 1) :][:1] if fitting else []
                for branch in fitting:
                    yield from self._parts(branch, value, choice, depth + 1)
        if "properties" not in node:
            yield node

    def _fits(self, branch: Any, value: Any) -> bool:
        if not isinstance(branch, dict):
            return bool(branch)
        return bool(self._validator.evolve(schema=branch).is_valid(value))


def _of_key(part: dict[str, Any], name: str) -> list[Any]:
    found = [part["properties"][name]] if name in part.get("properties", {}) else []
    found += [schema for pattern, schema in part.get("patternProperties", {}).items() if _matches(pattern, name)]
    return found or ([part["additionalProperties"]] if "additionalProperties" in part else [])


def _of_item(part: dict[str, Any], index: int) -> list[Any]:
    prefix = part.get("prefixItems", [])
    if index < len(prefix):
        return [prefix[index]]
    return [part["items"]] if "items" in part else []


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False
