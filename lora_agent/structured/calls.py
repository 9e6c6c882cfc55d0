"""The output schema of a tool-calling step: `{"calls": [{"name", "arguments"}]}` over the tools at hand.

The arguments of a call follow the parameters schema of the tool that is named, so a call of an unknown tool
or with an invented argument cannot be written. An adapter may be trained to quote: each of several calls then begins
with the words of the request that it serves, `{"for", "name", "arguments"}`, which stay inside (`without_quotes`).
Knows tools as values; nothing of prompts or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lora_agent.errors import SchemaError, ToolNameClashError
from lora_agent.structured.check import read_schema
from lora_agent.structured.closing import close_objects
from lora_agent.structured.document import PREFIX, Document
from lora_agent.structured.normalise import Normalised, normalise
from lora_agent.structured.walk import replace_children
from lora_agent.types import JsonSchema, Tool

MAX_CALLS = 8
QUOTE = "for"
_QUOTE_SCHEMA = {"type": "string", "maxLength": 400}


def normalise_parameters(schema: Any) -> Normalised:
    """A tool's parameters as JSON Schema: `.schema`, and the repairs made as `.changes`."""
    return normalise(schema)


def calls_schema(
    tools: Sequence[Tool],
    max_calls: int = MAX_CALLS,
    *,
    first: Sequence[Tool] | None = None,
    min_calls: int = 0,
    quotes: bool = False,
) -> JsonSchema:
    """No call is allowed unless `min_calls` says otherwise. Without tools it is the only answer: `{"calls":[]}`.
    `first`: the tools that the first call may name (see `candidates`); later ones may name any. With `quotes` a call
    may begin with the words that it serves; then it is one of several, and the first may name any as well: what all of
    the request is near to says little of its first part."""
    names = [tool.name for tool in tools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ToolNameClashError(f"tools share the name {twice[0]!r}", hint="Give every tool its own name.")
    defs: dict[str, Any] = {}
    quotes = quotes and max_calls > 1
    arguments = [_arguments(tool, f"tool{number}.", defs) for number, tool in enumerate(tools)]
    branches = [_call(*pair, quotes=False) for pair in zip(tools, arguments, strict=True)]
    leading = [branch for tool, branch in zip(tools, branches, strict=True) if first is None or tool in first]
    if quotes:
        quoting = [_call(*pair, quotes=True) for pair in zip(tools, arguments, strict=True)]
        branches, leading = [*branches, *quoting], [*leading, *quoting]
    items = branches[0] if len(branches) == 1 else {"anyOf": branches}
    calls: dict[str, Any] = (
        {"type": "array", "items": items, "maxItems": max_calls} if branches else {"type": "array", "maxItems": 0}
    )
    if branches and min_calls:
        calls["minItems"] = min_calls
    if 0 < len(leading) < len(branches):
        calls["prefixItems"] = [leading[0] if len(leading) == 1 else {"anyOf": leading}]
    schema: JsonSchema = {
        "type": "object",
        "properties": {"calls": calls},
        "required": ["calls"],
        "additionalProperties": False,
    }
    return {**schema, "$defs": defs} if defs else schema


def _call(tool: Tool, arguments: Any, *, quotes: bool) -> dict[str, Any]:
    properties = {"name": {"const": tool.name}, "arguments": arguments}
    if quotes:
        properties = {QUOTE: _QUOTE_SCHEMA, **properties}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def without_quotes(output: Any) -> Any:
    """A value of `calls_schema(..., quotes=True)` as its caller gets it; one that is no such value as it is."""
    calls = output.get("calls") if isinstance(output, dict) else None
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return output
    return {**output, "calls": [{key: v for key, v in call.items() if key != QUOTE} for call in calls]}


def _arguments(tool: Tool, prefix: str, defs: dict[str, Any]) -> Any:
    """The tool's parameters, closed; its definitions go to `defs` under names of their own."""
    try:
        document = read_schema(normalise(tool.parameters).schema)
    except SchemaError as error:
        raise SchemaError(f"tool {tool.name!r}: parameters: {error.message}", hint=error.hint) from error
    document = close_objects(document, lambda pointer, keyword, value: None)
    defs.update({prefix + name: _rename(node, prefix, document) for name, node in document.defs.items()})
    return _rename(document.root, prefix, document)


def _rename(node: Any, prefix: str, document: Document) -> Any:
    if not isinstance(node, dict):
        return node
    out = replace_children(node, lambda child, _: _rename(child, prefix, document))
    if "$ref" in out:
        out["$ref"] = PREFIX + prefix + document.target(out)
    return out
