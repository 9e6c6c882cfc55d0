"""Parameter schemas as people write them → JSON Schema.

Tool lists in the wild say "dict", "float", "tuple" or "any" for a type, "required": true inside a property,
and null for an empty list. Each repair is recorded. Knows nothing of grammars; does not judge what it cannot
repair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lora_agent.structured.faults import Note
from lora_agent.structured.walk import Place, is_schema, pointer_of, replace_children
from lora_agent.types import JsonSchema

TYPES = {
    **dict.fromkeys("object dict map hashmap record struct mapping".split(), "object"),
    **dict.fromkeys("array list tuple set sequence arraylist".split(), "array"),
    **dict.fromkeys("number float double decimal".split(), "number"),
    **dict.fromkeys("integer int long short int32 int64".split(), "integer"),
    **dict.fromkeys("boolean bool".split(), "boolean"),
    **dict.fromkeys("string str text char".split(), "string"),
    **dict.fromkeys("null none nonetype".split(), "null"),
}
_ANY = frozenset("any unknown object|any".split())
_PYTHON: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "number": (int, float), "integer": int, "boolean": bool, "string": str,
    "null": type(None),
}  # fmt: skip


class Normalised(NamedTuple):
    schema: JsonSchema
    changes: list[Note]


def normalise(schema: Any) -> Normalised:
    """The schema with known slips repaired, and the repairs."""
    changes: list[Note] = []
    if not schema:
        schema = {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        return Normalised(schema, changes)
    out = _repair(schema, (), changes)
    if "type" not in out and not {"$ref", "anyOf", "allOf", "oneOf", "enum", "const"} & set(out):
        out = {"type": "object", **out}
        changes.append(Note("", "type", "missing; the parameters of a tool are an object"))
    return Normalised(out, changes)


def _repair(node: Any, place: Place, changes: list[Note]) -> Any:
    if not isinstance(node, dict):
        return node
    out = dict(node)
    pointer = pointer_of(place)

    def note(keyword: str, reason: str) -> None:
        changes.append(Note(pointer, keyword, reason))

    for keyword in ("properties", "required", "enum", "items"):
        if keyword in out and out[keyword] is None:
            del out[keyword]
            note(keyword, "null; removed")
    if isinstance(out.get("required"), str):
        out["required"] = [out["required"]]
        note("required", "a single name; made a list")
    _repair_type(out, note)
    _repair_enum(out, note)
    _lift_required(out, note)
    for keyword in ("$defs", "definitions"):
        if isinstance(out.get(keyword), dict):
            out[keyword] = {k: _repair(v, (*place, keyword, k), changes) for k, v in out[keyword].items()}
    return replace_children(out, lambda child, relative: _repair(child, place + relative, changes))


def _repair_type(out: dict[str, Any], note: Any) -> None:
    stated = out.get("type")
    if stated is None:
        if "type" in out:
            del out["type"]
            note("type", "null; removed")
        return
    names = stated if isinstance(stated, list) else [stated]
    if not all(isinstance(name, str) for name in names):
        return
    if any(name.lower() in _ANY for name in names):
        del out["type"]
        note("type", f"{stated!r} means any JSON; removed")
        return
    known = list(dict.fromkeys(TYPES.get(name.lower(), name) for name in names))
    if known != names:
        out["type"] = known if isinstance(stated, list) and len(known) > 1 else known[0]
        note("type", f"{stated!r} read as {out['type']!r}")


def _repair_enum(out: dict[str, Any], note: Any) -> None:
    values = out.get("enum")
    if values == []:
        del out["enum"]
        note("enum", "empty; removed")
        return
    kind = out.get("type")
    if not isinstance(values, list) or not isinstance(kind, str) or kind not in _PYTHON:
        return
    if not any(isinstance(value, _PYTHON[kind]) for value in values):
        del out["type"]
        note("type", f"{kind!r} fits none of the enum's values; removed")


def _lift_required(out: dict[str, Any], note: Any) -> None:
    """`"required": true` inside a property (draft 3) → the list beside `properties`."""
    if not isinstance(out.get("properties"), dict):
        if isinstance(out.get("required"), bool):
            del out["required"]
        return
    if isinstance(out.get("required"), bool):
        del out["required"]
    flagged = [
        name
        for name, child in out["properties"].items()
        if is_schema(child) and isinstance(child, dict) and child.get("required") is True
    ]
    stated = out.get("required", [])
    if flagged and isinstance(stated, list):
        out["required"] = list(dict.fromkeys([*stated, *flagged]))
        note("required", f"flags inside the properties {flagged!r}; made a list")
