"""Seal-Tools: machine-written requests with one to six calls among five given functions.

The dev file trains, the in-domain test file is for dev. Its argument values are noisy, so a row stays only if
every value can be found in (or derived from) its request. The last tools of a long list are left out, never
one that is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from lora_agent.types import compact_json

from ...rows import Row, Split
from ..generator.values import ONES
from ..quotes import parts_of, quote
from ..schema import Tool, make_call, make_row, make_tool, shorten, tool_name
from .files import json_lines

_FILES: dict[Split, str] = {"train": "dev.jsonl.gz", "dev": "test_in_domain.jsonl.gz"}
_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
LIST_CHARACTERS = 1300
NONE_SHARE = 0.15


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    """A request with its tools; sometimes a second one, of another field, that those tools cannot serve."""
    rows = list(json_lines(data_dir / "tool-seal-tools" / _FILES[split]))
    rng.shuffle(rows)
    for index, record in enumerate(rows):
        found = _row(record, rng, split)
        if found is None:
            continue
        group = [found]
        if rng.random() < NONE_SHARE:
            other = rows[(index + 1) % len(rows)]
            if not _fields(other) & _fields(record):
                tools = found.input["tools"]
                group.append(make_row(other["query"], tools, [], "seal-tools/none", found.group, split))
        yield group


def _fields(record: dict[str, Any]) -> set[str]:
    return {api["field"].split("/")[0] for api in record["api_list"]}


def _row(record: dict[str, Any], rng: Random, split: Split) -> Row | None:
    called = {call["api"] for call in record["calling"]}
    apis = {api["api_name"]: api for api in record["api_list"]}
    if not called <= apis.keys():
        return None
    tools: list[Tool] = []
    size = 0
    for name in sorted(apis, key=lambda n: (n not in called, rng.random())):
        tool = _tool(apis[name])
        size += len(compact_json(tool))
        if name in called or size <= LIST_CHARACTERS:
            tools.append(tool)
    rng.shuffle(tools)
    by_name = {tool_name(tool): tool for tool in tools}
    calls = []
    for call in record["calling"]:
        tool = by_name[call["api"]]
        arguments = _arguments(call["parameters"], tool, record["query"])
        if arguments is None:
            return None
        calls.append(make_call(tool, arguments))
    if len(calls) > 1 and split == "train":
        parts = parts_of(record["query"], calls)
        if parts is None:
            return None
        calls = quote(calls, record["query"], parts)
    kind = "single" if len(calls) == 1 else "parallel" if len(called) == 1 else "parallel-multiple"
    return make_row(record["query"], tools, calls, f"seal-tools/{kind}", f"seal-tools/{record['id']}", split)


def _tool(api: dict[str, Any]) -> Tool:
    properties = {
        name: {"type": _TYPES.get(spec["type"], "string"), "description": shorten(spec["description"], 10)}
        for name, spec in api["parameters"].items()
    }
    return make_tool(api["api_name"], shorten(api["api_description"], 25), properties, api.get("required", ()))


def _arguments(parameters: dict[str, Any], tool: Tool, query: str) -> dict[str, Any] | None:
    properties = tool["function"]["parameters"]["properties"]
    arguments: dict[str, Any] = {}
    for name, value in parameters.items():
        schema = properties.get(name)
        if schema is None:
            return None
        typed = _typed(value, schema["type"])
        if typed is None or not _in_query(typed, query) or _is_placeholder(value, name):
            return None
        if isinstance(typed, str):  # spelled as the request spells it
            at = query.lower().find(typed.lower().strip())
            typed = query[at : at + len(typed.strip())]
        arguments[name] = typed
    return arguments


def _typed(value: Any, kind: str) -> Any:
    """The value in the parameter's type; None if it is not of that type."""
    if kind == "string":
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    try:
        number = float(str(value).replace(",", ""))
    except ValueError:
        return None
    whole = number == int(number)
    return int(number) if whole else (None if kind == "integer" else number)


def _is_placeholder(value: Any, name: str) -> bool:
    """ "country" for a country says nothing; neither does a result of another call."""
    text = str(value).lower().replace("_", " ")
    return text == name.lower().replace("_", " ") or text.startswith(("api call", "your ", "specific"))


def _in_query(value: Any, query: str) -> bool:
    if isinstance(value, bool):
        return value  # only what is asked for is passed as true
    text = query.lower()
    if isinstance(value, int | float):
        forms = {
            str(value),
            f"{value:,}",
            *([ONES[value]] if isinstance(value, int) and 0 <= value <= 20 else []),
        }
        return any(re.search(rf"(?<![\w.]){re.escape(form)}(?![\w]|\.\d)", text) for form in forms)
    return value.lower().strip() in text
