"""if/then/else, not, dependentRequired, dependentSchemas and unevaluatedProperties in words of anyOf and properties."""

from __future__ import annotations

from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.equivalent.facts import facts_of
from lora_agent.structured.equivalent.merging import both
from lora_agent.structured.equivalent.negation import negation

Node = dict[str, Any]
MAX_DEPENDENCIES = 4
"""Each doubles the branches of the grammar."""
_IN_PLACE = frozenset("$ref allOf anyOf oneOf if then else not dependentSchemas additionalProperties".split())


def without_not(node: Node, document: Document) -> Node | None:
    if "not" not in node:
        return None
    rest = {keyword: value for keyword, value in node.items() if keyword != "not"}
    wrong = negation(node["not"], facts_of(rest, document), document)
    return None if wrong is None else _and(rest, wrong)


def without_if(node: Node, document: Document) -> Node | None:
    if "if" not in node:
        return None
    rest = {keyword: value for keyword, value in node.items() if keyword not in ("if", "then", "else")}
    if "then" not in node and "else" not in node:
        return rest
    otherwise = negation(node["if"], facts_of(rest, document), document)
    if otherwise is None:
        return None
    branches = [both(node["if"], node.get("then", True)), both(otherwise, node.get("else", True))]
    if "then" not in node:
        branches = [True if node["if"] is True else node["if"], branches[1]]
    possible = [branch for branch in branches if branch is not False]
    return _and(rest, _any(possible))


def without_dependencies(node: Node, document: Document) -> Node | None:
    required, schemas = node.get("dependentRequired", {}), node.get("dependentSchemas", {})
    rules: list[tuple[str, Any]] = [(name, {"required": needs}) for name, needs in required.items() if needs]
    rules += list(schemas.items())
    if not required and not schemas and not {"dependentRequired", "dependentSchemas"} & set(node):
        return None
    if len(rules) > MAX_DEPENDENCIES:
        return None
    out = {k: v for k, v in node.items() if k not in ("dependentRequired", "dependentSchemas")}
    for name, rule in rules:
        out = _and(out, _any([{"properties": {name: False}}, rule]))
    return out


def without_unevaluated(node: Node, document: Document) -> Node | None:
    """Where nothing else in the schema evaluates keys, the unevaluated ones are the additional ones."""
    if "unevaluatedProperties" not in node or _IN_PLACE & set(node):
        return None
    out = {keyword: value for keyword, value in node.items() if keyword != "unevaluatedProperties"}
    return {**out, "additionalProperties": node["unevaluatedProperties"]}


def _and(node: Node, more: Any) -> Node:
    if more is True:
        return node
    if isinstance(more, dict) and set(more) == {"anyOf"} and "anyOf" not in node:
        return {**node, **more}
    return {**node, "allOf": [*node.get("allOf", ()), more]}


def _any(branches: list[Any]) -> Any:
    if True in branches:
        return True
    if not branches:
        return False
    return branches[0] if len(branches) == 1 else {"anyOf": branches}
