"""Closes objects that declare their properties, so that a model cannot invent keys.

A schema without `additionalProperties` allows any key; small models fill that room with junk. An object is
closed unless the schema opens it itself (`additionalProperties`, `patternProperties`). An object put
together from parts gets the names of all parts at its top. Knows nothing of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lora_agent.structured.composition import ELSEWHERE, Context, rewrite
from lora_agent.structured.document import Document
from lora_agent.structured.walk import pointer_of

Record = Callable[[str, str, Any], None]
"""Called with (pointer, keyword, value) for every keyword that was added."""

_OPENED = frozenset("additionalProperties patternProperties dependentSchemas then else".split())


def close_objects(document: Document, record: Record) -> Document:
    def visit(node: Any, context: Context) -> Any:
        if not isinstance(node, dict) or context.part:
            return node
        declared = any("properties" in member for member in context.members)
        if not declared or any(_opens(member) for member in context.members):
            return node
        names: dict[str, None] = {}
        for member in context.members:
            names.update(dict.fromkeys(member.get("properties", ())))
            names.update(dict.fromkeys(member.get("required", ())))
        own = node.get("properties", {})
        missing = ELSEWHERE if context.composite else True
        record(pointer_of(context.place), "additionalProperties", False)
        return {
            **node,
            "properties": {**own, **{name: missing for name in names if name not in own}},
            "additionalProperties": False,
        }

    return rewrite(document, visit)


def _opens(member: dict[str, Any]) -> bool:
    return bool(_OPENED & set(member)) or member.get("unevaluatedProperties", False) is not False
