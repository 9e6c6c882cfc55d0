"""Requests that were written one by one, with their tools and calls: the tables in ../written/train and ../written/dev,
which are by different hands and of different domains.

A table reads

    == vet_practice                          (a tool list; what follows belongs to it)
    @ book_visit | Books a visit at the practice.
    pet* string | Name of the animal         (* required)
    reason* enum checkup,vaccination | What the visit is for
    weights_kg number[] | Weights of the animals    (also string[], integer[], boolean, integer, enum[] a,b)
    owner.phone string | Phone number        (dotted names make nested objects)
    reminder boolean =true | Send a reminder (a default)

    ? Tilly the cat needs her jabs, can you get her in?
    = book_visit {"pet": "Tilly", "reason": "vaccination"}
    ? What is the capital of Peru?
    = none

Several "=" lines are several calls, in the order of the request. Which tools a row offers is drawn: those that are
called, and others of the list.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.types import compact_json

from ...rows import Row, Split
from ..schema import Call, TargetChecker, Tool, make_call, make_row, make_tool, tool_name

TABLES = Path(__file__).parents[1] / "written"
ALONE = 0.3
"""Share of the requests for one tool that are offered no other."""
TOGETHER = 3
"""Requests that share a list of tools; training reads it once."""
ROOM = 1_700
"""Characters of a list of tools beyond which nothing is offered that is not called."""
_PARAMETER = re.compile(
    r"^(?P<path>[\w.-]+)(?P<required>\*?) (?P<kind>string|integer|number|boolean|enum)(?P<array>\[\])?"
    r"(?: (?P<choices>[^|=]*?))?(?: =(?P<default>[^|]*?))? \| (?P<description>.+)$"
)


@dataclass(frozen=True)
class Request:
    text: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class ToolList:
    name: str
    tools: tuple[Tool, ...]
    requests: tuple[Request, ...]


def read_tables(split: Split) -> list[list[ToolList]]:
    """The tool lists of each table, the tables in the order in which they were written."""
    return [parse_table(path.read_text("utf-8"), path.name) for path in sorted((TABLES / split).glob("*.txt"))]


def groups(_: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    """Requests that are offered the same tools: one of a list, several, or those of others, where nothing fits. Tables
    that were written later come first, so that a set that cannot hold all has those that no weights have learnt."""
    tables = read_tables(split)[::-1]
    lists = [one for table in tables for one in table]
    number = 0
    for table in tables:
        drawn = [group for one in table for group in _groups(one, lists, rng)]
        rng.shuffle(drawn)
        for name, tools, requests in drawn:
            yield [_row(f"written/{name}/{number}", tools, request, split) for request in requests]
            number += 1


def _groups(one: ToolList, lists: Sequence[ToolList], rng: Random) -> Iterator[tuple[str, list[Tool], list[Request]]]:
    requests = list(one.requests)
    rng.shuffle(requests)
    shared: list[Request] = []
    alone: dict[str, list[Request]] = {}
    for request in requests:
        called = {call["name"] for call in request.calls}
        if len(called) == 1 and rng.random() < ALONE:
            alone.setdefault(called.pop(), []).append(request)
        else:
            shared.append(request)
    for name, only in alone.items():
        yield one.name, [tool for tool in one.tools if tool_name(tool) == name], only
    while shared:
        some, shared = shared[:TOGETHER], shared[TOGETHER:]
        yield one.name, _offered(one, some, rng), some
    others = rng.sample([other for other in lists if other is not one], min(2, len(lists) - 1))
    foreign = [tool for other in others for tool in other.tools[:2]]
    if foreign:  # the same requests where nothing fits
        yield one.name, foreign, [Request(r.text, ()) for r in rng.sample(requests, 1)]


def _offered(one: ToolList, requests: Sequence[Request], rng: Random) -> list[Tool]:
    """The tools that these requests call and as many others of the list as are drawn."""
    called = {call["name"] for request in requests for call in request.calls}
    wanted = [tool for tool in one.tools if tool_name(tool) in called]
    rest = [tool for tool in one.tools if tool_name(tool) not in called]
    more = rng.sample(rest, min(len(rest), rng.randint(0 if wanted else 1, 2)))
    while wanted and more and len(compact_json([*wanted, *more])) > ROOM:
        more.pop()
    tools = wanted + more
    rng.shuffle(tools)
    return tools


def _row(group: str, tools: Sequence[Tool], request: Request, split: Split) -> Row:
    if len(request.calls) > 1:
        kind = "parallel" if len({call["name"] for call in request.calls}) == 1 else "parallel-multiple"
    else:
        kind = ("single" if len(tools) == 1 else "multiple") if request.calls else "none"
    return make_row(request.text, tools, request.calls, f"written/{kind}", group, split)


def parse_table(text: str, table: str) -> list[ToolList]:
    """The tool lists of a table; ConfigError names the line that is wrong."""
    lists = []
    for chunk in re.split(r"(?m)^== ", text)[1:]:
        name, *lines = (line.rstrip() for line in chunk.splitlines())
        lists.append(_tool_list(name.strip(), [line for line in lines if line], table))
    return lists


def _tool_list(name: str, lines: list[str], table: str) -> ToolList:
    tools: dict[str, Tool] = {}
    requests: list[tuple[str, list[Call]]] = []
    heads = [index for index, line in enumerate(lines) if line[:2] in ("@ ", "? ")]
    for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        head, *rest = lines[start:end]
        where = f"{table}, {name}: {head!r}"
        if head.startswith("@ "):
            tool = _tool(head[2:], rest, where)
            tools[tool_name(tool)] = tool
        else:
            calls = [_call(line, tools, where) for line in rest if line != "= none"]
            if not rest or (calls and len(calls) != len(rest)):
                raise _wrong(where, "a request needs its calls, or one line '= none'")
            requests.append((head[2:].strip(), calls))
    checker = TargetChecker()
    for text, calls in requests:
        fault = checker.fault(make_row(text, list(tools.values()), calls, "written", name))
        if fault:
            raise _wrong(f"{table}, {name}: {text!r}", fault)
    return ToolList(name, tuple(tools.values()), tuple(Request(text, tuple(calls)) for text, calls in requests))


def _tool(head: str, lines: list[str], where: str) -> Tool:
    name, _, description = (part.strip() for part in head.partition("|"))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for line in lines:
        match = _PARAMETER.match(line.strip())
        if match is None:
            raise _wrong(where, f"cannot read the parameter {line!r}")
        _place(match, properties, required, where)
    return make_tool(name, description, properties, required)


def _place(match: re.Match[str], properties: dict[str, Any], required: list[str], where: str) -> None:
    *outer, last = match["path"].split(".")
    for key in outer:
        nested = properties.setdefault(key, {"type": "object", "properties": {}})
        if match["required"] and key not in required:
            required.append(key)
        properties, required = nested["properties"], nested.setdefault("required", [])
    if match["required"]:
        required.append(last)
    choices = [choice.strip() for choice in (match["choices"] or "").split(",") if choice.strip()]
    if bool(choices) != (match["kind"] == "enum"):
        raise _wrong(where, f"{last!r}: an enum, and nothing else, has choices")
    value: dict[str, Any] = {"type": "string", "enum": choices} if choices else {"type": match["kind"]}
    schema: dict[str, Any] = {"type": "array", "items": value} if match["array"] else value
    schema = {"type": schema.pop("type"), "description": match["description"].strip(), **schema}
    if match["default"] is not None:
        text = match["default"].strip()
        schema["default"] = text if match["kind"] in ("string", "enum") else json.loads(text)
    properties[last] = schema


def _call(line: str, tools: dict[str, Tool], where: str) -> Call:
    name, _, arguments = line.removeprefix("= ").partition(" ")
    if not line.startswith("= ") or name not in tools:
        raise _wrong(where, f"{line!r} calls no tool of the list")
    try:
        return make_call(tools[name], json.loads(arguments or "{}"))
    except json.JSONDecodeError as error:
        raise _wrong(where, f"{line!r}: {error}") from error


def _wrong(where: str, what: str) -> ConfigError:
    return ConfigError(f"{where}: {what}", hint="see the head of training/data/tool_call/sources/written.py")


def main() -> int:
    """Checks tables: `python -m training.data.tool_call.sources.written FILE ...`"""
    for path in map(Path, sys.argv[1:]):
        bad = good = 0
        counts = [0, 0, 0]
        for chunk in re.split(r"(?m)^(?=== )", path.read_text("utf-8"))[1:]:
            try:
                (one,) = parse_table(chunk, path.name)
            except ConfigError as error:
                print(error)
                bad += 1
                continue
            good += 1
            for request in one.requests:
                counts[min(len(request.calls), 2)] += 1
        print(f"{path.name}: {good} lists, {counts[0]} none, {counts[1]} one call, {counts[2]} several; {bad} wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
