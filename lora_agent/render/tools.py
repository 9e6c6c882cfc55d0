"""Tools as compact text: one line per tool, one per parameter.

About a third of the tokens of the JSON that the OpenAI API carries; the grammar, not the text, enforces the
schema. Used at the end of the system turn by training and serving alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_agent.types import Tool, compact_json


def tools_block(tools: Sequence[Tool]) -> str:
    """The list of tools, in the order given."""
    return "Tools:\n" + "\n".join(tool_text(tool) for tool in tools)


def tool_text(tool: Tool) -> str:
    """`name: description`, then `  parameter type: description` lines; `?` marks optional ones."""
    lines = [f"{tool.name}: {_one_line(tool.description)}".rstrip(": ")]
    properties = tool.parameters.get("properties")
    required = tool.parameters.get("required") or []
    for name, schema in (properties or {}).items():
        schema = schema if isinstance(schema, Mapping) else {}
        mark = "" if name in required else "?"
        default = f" = {compact_json(schema['default'])}" if "default" in schema else ""
        description = _one_line(str(schema.get("description", "")))
        lines.append(f"  {name}{mark} {type_text(schema)}{default}" + (f": {description}" if description else ""))
    return "\n".join(lines)


def type_text(schema: Mapping[str, Any], depth: int = 0) -> str:
    """A schema's type in TypeScript's manner: `"c"|"f"`, `string[]`, `{x number, y? number}`."""
    if "enum" in schema:
        return "|".join(compact_json(v) for v in schema["enum"])
    if "const" in schema:
        return compact_json(schema["const"])
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            return "|".join(type_text(s, depth + 1) for s in schema[key] if isinstance(s, Mapping))
    kind = schema.get("type", "any")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        return "|".join(map(str, kind))
    if kind == "array":
        items = schema.get("items")
        return (type_text(items, depth + 1) if isinstance(items, Mapping) else "any") + "[]"
    if kind == "object" and isinstance(schema.get("properties"), Mapping) and depth < 3:
        required = schema.get("required") or []
        fields = [
            f"{name}{'' if name in required else '?'} {type_text(sub if isinstance(sub, Mapping) else {}, depth + 1)}"
            for name, sub in schema["properties"].items()
        ]
        return "{" + ", ".join(fields) + "}"
    return str(schema.get("format") or kind) if kind == "string" else str(kind)


def _one_line(text: str) -> str:
    return " ".join(text.split())
