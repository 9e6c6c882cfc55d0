"""Applies the rules to every place of a document, inside out, until none applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.equivalent.conditions import (
    without_dependencies,
    without_if,
    without_not,
    without_unevaluated,
)
from lora_agent.structured.equivalent.facts import disjoint, facts_of
from lora_agent.structured.equivalent.lists import without_contains, without_unique
from lora_agent.structured.equivalent.merging import Merger, parts_of
from lora_agent.structured.walk import descend, replace_children

Rule = Callable[[dict[str, Any], Document], dict[str, Any] | None]
"""Returns an equal node, or None where it does not apply."""
MAX_BRANCHES = 24
"""Pairs of a oneOf that are compared: 276."""
MAX_NODES = 20_000
"""Visits; a schema that grows beyond keeps what is left as it is."""
_TRIGGERS = frozenset(
    "not if dependentRequired dependentSchemas unevaluatedProperties uniqueItems contains allOf oneOf".split()
)


def rewrite_equal(document: Document) -> Document:
    """An equal document; the same one where nothing is to do."""
    if not any(_TRIGGERS & set(sub) for _, _, n in document.parts() for _, sub in descend(n) if isinstance(sub, dict)):
        return document
    rewriter = _Rewriter(document)
    return document.copy_with(
        {
            name: rewriter.rewrite(node, frozenset() if name is None else frozenset((name,)))
            for name, _, node in document.parts()
        }
    )


class _Rewriter:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.left = MAX_NODES

    def rewrite(self, node: Any, inside: frozenset[str]) -> Any:
        """`inside`: definitions whose copy the node is part of."""
        if not isinstance(node, dict):
            return node
        self.left -= 1
        if self.left < 0:
            return node
        out = replace_children(node, lambda child, _: self.rewrite(child, inside))
        if out.get("enum") == []:
            return False
        if _TRIGGERS.isdisjoint(out):
            return out
        for rule in _RULES:
            if (changed := rule(out, self.document)) is not None:
                # What a rule wrote may meet rules itself; each rule takes its keyword away, so this ends.
                return self.rewrite(changed, inside)
        if "allOf" in out:
            merger = Merger(self.document, inside)
            merged = merger.merge_all(parts_of(out))
            if merged is not None:
                return self.rewrite(merged, merger.inside)
        if "oneOf" in out and (changed := _one_of(out, self.document)) is not None:
            return changed
        return out


def _one_of(node: dict[str, Any], document: Document) -> dict[str, Any] | None:
    branches = node.get("oneOf", ())
    if not branches or len(branches) > MAX_BRANCHES or "anyOf" in node:
        return None
    siblings = facts_of({k: v for k, v in node.items() if k != "oneOf"}, document)
    known = [siblings + facts_of(branch, document) for branch in branches]
    for index, one in enumerate(known):
        if any(not disjoint(one, other, document) for other in known[:index]):
            return None
    return {("anyOf" if keyword == "oneOf" else keyword): value for keyword, value in node.items()}


_RULES: tuple[Rule, ...] = (
    without_not,
    without_if,
    without_dependencies,
    without_unevaluated,
    without_unique,
    without_contains,
)
