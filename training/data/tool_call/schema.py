"""Tool objects and targets: built here, checked here, so that every source agrees on their shape.

Knows the OpenAI tool object and the output contract {"calls": [{"name", "arguments"}]}. Knows nothing of
where requests come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from lora_agent.types import compact_json

from ..rows import Row, Split

Tool = dict[str, Any]
Call = dict[str, Any]


def make_tool(name: str, description: str, properties: Mapping[str, Any], required: Iterable[str] = ()) -> Tool:
    """The OpenAI tool object. `required` is left out when empty, as most real schemas do."""
    parameters: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    needed = [key for key in properties if key in set(required)]
    if needed:
        parameters["required"] = needed
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def tool_name(tool: Tool) -> str:
    return str(tool["function"]["name"])


def make_call(tool: Tool, arguments: Mapping[str, Any]) -> Call:
    """A call with its arguments in the order of the tool's properties, at every depth."""
    return {"name": tool_name(tool), "arguments": _ordered(arguments, tool["function"]["parameters"])}


def _ordered(value: Any, schema: Mapping[str, Any]) -> Any:
    properties = schema.get("properties")
    if not isinstance(value, Mapping) or not properties:
        return value
    known = [key for key in properties if key in value]
    rest = [key for key in value if key not in properties]
    return {key: _ordered(value[key], properties.get(key, {})) for key in known + rest}


def make_row(
    messages: str | Sequence[Mapping[str, str]],
    tools: Sequence[Tool],
    calls: Sequence[Call],
    source: str,
    group: str,
    split: Split = "train",
) -> Row:
    """A row; a bare string stands for a single user message."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else [dict(m) for m in messages]
    return Row({"messages": turns, "tools": list(tools)}, {"calls": list(calls)}, source, group, split)


class TargetChecker:
    """Finds what is wrong with a row's target, if anything. Validators are kept by tool: rows share lists."""

    def __init__(self) -> None:
        self._validators: dict[str, Draft202012Validator] = {}

    def fault(self, row: Row) -> str | None:
        """A short reason to drop the row, or None."""
        tools = {tool_name(tool): tool for tool in row.input["tools"]}
        if len(tools) != len(row.input["tools"]):
            return "two tools share a name"
        for call in row.output["calls"]:
            tool = tools.get(call["name"])
            if tool is None:
                return "call of a tool that is not offered"
            arguments = call["arguments"]
            properties = tool["function"]["parameters"]["properties"]
            if not arguments.keys() <= properties.keys():
                return "argument that the tool does not have"
            if list(arguments) != [key for key in properties if key in arguments]:
                return "arguments out of order"
            if not self._validator(tool).is_valid(arguments):
                return "arguments do not validate"
        return None

    def _validator(self, tool: Tool) -> Draft202012Validator:
        key = compact_json(tool)
        if key not in self._validators:
            parameters = tool["function"]["parameters"]
            Draft202012Validator.check_schema(parameters)
            self._validators[key] = Draft202012Validator(parameters)
        return self._validators[key]


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(identifier: str) -> list[str]:
    """The lower-case words of a snake_case, camelCase or dotted name."""
    return [word.lower() for word in _WORDS.findall(identifier)]


def snake(identifier: str) -> str:
    return "_".join(words_of(identifier))


def camel(identifier: str) -> str:
    first, *rest = words_of(identifier)
    return first + "".join(word.capitalize() for word in rest)


def pascal(identifier: str) -> str:
    return "".join(word.capitalize() for word in words_of(identifier))


def shorten(text: str, words: int) -> str:
    """The first words of a description, cut at a sentence end where there is one."""
    text = " ".join(text.split())
    parts = text.split(" ")
    if len(parts) <= words:
        return text
    cut = " ".join(parts[:words])
    end = cut.rfind(". ")
    return cut[: end + 1] if end > len(cut) // 3 else cut.rstrip(",;:( ")
