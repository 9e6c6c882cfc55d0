"""`python -m lora_agent.server.reference` writes docs/api.md, the OpenAPI document as a page to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lora_agent.server.app import routes

_INTRODUCTION = """# HTTP API

Generated from the server's OpenAPI document (`GET /openapi.json`) by `python -m lora_agent.server.reference`; how to
run and use the server is in [serving.md](serving.md). Bodies are JSON (`Content-Type: application/json`), keys go into
`Authorization: Bearer KEY`, every answer has an `X-Request-Id`. An unknown field is an error, never ignored.
"""


def reference() -> str:
    """The page, Markdown."""
    return "\n".join(_lines(routes().openapi())) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield _INTRODUCTION
    schemas = document["components"]["schemas"]
    used: list[str] = []
    yield from _statuses(document)
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            yield f"## {verb.upper()} {path}\n\n{operation['description']}\n"
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            answer = operation["responses"]["200"]["content"]
            names = [("Request", body), ("Answer", answer.get("application/json", {}).get("schema"))]
            for title, schema in names:
                if schema is not None and "$ref" in schema:
                    name = _name(schema)
                    yield f"{title}: [`{name}`](#{name.lower()})\n"
                    used.append(name)
            if "text/event-stream" in answer:
                yield "With `stream`: `text/event-stream`.\n"
    yield "# Objects\n"
    for name in _closure(used, schemas):
        yield from _object(name, schemas[name])


def _statuses(document: Mapping[str, Any]) -> Iterator[str]:
    """They are the same for all routes that do work."""
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    yield "| status | when |\n|---|---|"
    for status, described in responses.items():
        yield f"| {status} | {described['description']} |"
    yield "\nEvery status but 200 comes with [`ErrorAnswer`](#erroranswer).\n"


def _closure(names: list[str], schemas: Mapping[str, Any]) -> list[str]:
    """The objects and whatever they refer to, by name."""
    found: set[str] = set()
    left = [*names, "ErrorAnswer"]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [_name({"$ref": ref}) for ref in _refs(schemas[name])]
    return sorted(found)


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _refs(child)
    elif isinstance(node, list):
        for child in node:
            yield from _refs(child)


def _object(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    if schema.get("description"):
        yield f"{_one_line(schema['description'])}\n"
    properties = schema.get("properties", {})
    if not properties:
        return
    required = schema.get("required", [])
    yield "| field | type | about |\n|---|---|---|"
    for field, described in properties.items():
        about = _one_line(described.get("description", ""))
        mark = "" if field in required else "?"
        yield f"| `{field}`{mark} | {_type(described)} | {about} |"
    yield ""


def _type(schema: Mapping[str, Any]) -> str:
    """In words; bounds in brackets."""
    if "$ref" in schema:
        name = _name(schema)
        return f"[`{name}`](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [_type(part) for part in schema[key] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds)) or "null"
    if "const" in schema:
        return f"`{schema['const']!r}`".replace("'", '"')
    if "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}{_bounds(schema, 'minItems', 'maxItems')}"
    if kind == "string":
        return f"string{_bounds(schema, 'minLength', 'maxLength')}"
    if kind in ("integer", "number"):
        low = next((f"{sign} {schema[key]}" for key, sign in _LOW if key in schema), "")
        high = next((f"{sign} {schema[key]}" for key, sign in _HIGH if key in schema), "")
        both = ", ".join(filter(None, (low, high)))
        return f"{kind} ({both})" if both else str(kind)
    return str(kind or "any")


_LOW = (("minimum", "≥"), ("exclusiveMinimum", ">"))
_HIGH = (("maximum", "≤"), ("exclusiveMaximum", "<"))


def _bounds(schema: Mapping[str, Any], low: str, high: str) -> str:
    if low in schema and high in schema:
        return f" ({schema[low]} to {schema[high]})"
    if low in schema:
        return f" (at least {schema[low]})"
    return f" (at most {schema[high]})" if high in schema else ""


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
