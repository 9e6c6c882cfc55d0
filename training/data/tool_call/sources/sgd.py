"""Schema-Guided Dialogue: service calls inside dialogues, with the schemas of their services.

Mostly calls whose every value stands in the first user turn, some after a short dialogue. A value must be
readable in what the user said; a call with another value is left out. The dev split uses only services of the
dev file that the train file does not have, so that their schemas are unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ...rows import Row, Split
from ..generator.values import ONES
from ..schema import Call, Tool, make_call, make_row, make_tool, shorten, snake
from .files import json_file, json_lines

GROUP = 4
NONE_SHARE = 0.12
DIALOGUE_SHARE = 0.3
LONGEST_HISTORY = 5
LONGEST_TEXT = 600


@dataclass(frozen=True)
class Service:
    name: str
    tools: dict[str, Tool]
    optional: dict[str, dict[str, str]]

    @property
    def area(self) -> str:
        return self.name.split("_")[0]


@dataclass(frozen=True)
class Asked:
    service: str
    messages: tuple[dict[str, str], ...]
    call: Call


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    folder = data_dir / "tool-sgd"
    schema = json_file(folder / f"schema_{split}.json.gz")
    services = {record["service_name"]: _service(record) for record in schema}
    if split == "dev":
        known = {record["service_name"] for record in json_file(folder / "schema_train.json.gz")}
        services = {name: service for name, service in services.items() if name not in known}
    short: dict[str, list[Asked]] = {name: [] for name in services}
    dialogues: dict[str, list[Asked]] = {name: [] for name in services}
    for record in json_lines(folder / f"calls_{split}.jsonl.xz"):
        if record["service"] in services and (asked := _asked(record, services[record["service"]])) is not None:
            (short if len(asked.messages) == 1 else dialogues)[asked.service].append(asked)
    for pool in (*short.values(), *dialogues.values()):
        rng.shuffle(pool)
    return _compose(services, short, dialogues, rng, split)


def _compose(
    services: dict[str, Service],
    short: dict[str, list[Asked]],
    dialogues: dict[str, list[Asked]],
    rng: Random,
    split: Split,
) -> Iterator[list[Row]]:
    number = 0
    while True:
        ready = [name for name in services if len(short[name]) >= 2 or len(dialogues[name]) >= 4]
        if not ready:
            return
        number += 1
        service = services[rng.choice(ready)]
        others = [s for s in services.values() if s.area != service.area]
        tools = _list_tools(service, rng.choice(others), rng)
        group = f"sgd/{split}/{number:04}"
        rows: list[Row] = []
        for _ in range(GROUP):
            pools = (dialogues, short) if rng.random() < DIALOGUE_SHARE else (short, dialogues)
            pool = next((p[service.name] for p in pools if p[service.name]), None)
            stranger = rng.choice(others)
            if rng.random() < NONE_SHARE and short[stranger.name]:
                listed = {str(tool["function"]["name"]) for tool in tools}
                foreign = rng.choice(short[stranger.name])
                if foreign.call["name"] not in listed:
                    rows.append(make_row(foreign.messages, tools, [], "sgd/none", group, split))
            elif pool:
                asked = pool.pop()
                kind = "dialogue" if len(asked.messages) > 1 else "single" if len(tools) == 1 else "multiple"
                rows.append(make_row(asked.messages, tools, [asked.call], f"sgd/{kind}", group, split))
        yield rows


def _list_tools(service: Service, other: Service, rng: Random) -> list[Tool]:
    tools = list(service.tools.values())
    names = set(service.tools)
    if len(tools) < 3 and rng.random() < 0.5:
        name, tool = rng.choice(list(other.tools.items()))
        if name not in names:
            tools.append(tool)
    rng.shuffle(tools)
    return tools


def _service(record: dict[str, Any]) -> Service:
    slots = {slot["name"]: slot for slot in record["slots"]}
    tools: dict[str, Tool] = {}
    optional: dict[str, dict[str, str]] = {}
    for intent in record["intents"]:
        names = [*intent["required_slots"], *intent["optional_slots"]]
        properties = {name: _property(slots[name]) for name in names}
        description = shorten(intent["description"], 25)
        tools[intent["name"]] = make_tool(snake(intent["name"]), description, properties, intent["required_slots"])
        optional[intent["name"]] = intent["optional_slots"]
    return Service(record["service_name"], tools, optional)


def _property(slot: dict[str, Any]) -> dict[str, Any]:
    values = [value for value in slot["possible_values"] if value != "dontcare"]
    description = shorten(slot["description"], 10)
    if set(values) == {"True", "False"}:
        return {"type": "boolean", "description": description}
    if values and all(value.isdigit() for value in values):
        return {"type": "integer", "description": description}
    if slot["is_categorical"] and 0 < len(values) <= 12:
        return {"type": "string", "description": description, "enum": values}
    return {"type": "string", "description": description}


def _asked(record: dict[str, Any], service: Service) -> Asked | None:
    history = record["history"]
    if len(history) > LONGEST_HISTORY or sum(len(turn["text"]) for turn in history) > LONGEST_TEXT:
        return None
    said = " ".join(turn["text"] for turn in history if turn["role"] == "user")
    method = record["call"]["method"]
    tool = service.tools[method]
    properties = tool["function"]["parameters"]["properties"]
    arguments: dict[str, Any] = {}
    for name, value in record["call"]["parameters"].items():
        if value == "dontcare" or name not in properties:
            continue
        found = _said(name, value, properties[name], said)
        if found is not None:
            arguments[name] = found
        elif service.optional[method].get(name) != value:  # a default need not be said
            return None
    if not set(tool["function"]["parameters"].get("required", ())) <= arguments.keys():
        return None
    messages = tuple(
        {"role": "user" if turn["role"] == "user" else "assistant", "content": turn["text"]} for turn in history
    )
    return Asked(service.name, messages, make_call(tool, arguments))


def _said(name: str, value: str, schema: dict[str, Any], said: str) -> Any:
    """The value in the parameter's type if the user said it, else None."""
    text = said.lower()
    if schema["type"] == "boolean":
        stems = [word[:-1] if word.endswith("s") else word for word in name.split("_") if len(word) > 3]
        return True if value == "True" and any(stem in text for stem in stems) else None
    if schema["type"] == "integer":
        if not value.isdigit():
            return None
        forms = [value, *([ONES[int(value)]] if int(value) <= 20 else [])]
        return int(value) if any(re.search(rf"\b{form}\b", text) for form in forms) else None
    at = text.find(value.lower())
    if at < 0:
        return None
    return value if "enum" in schema else said[at : at + len(value)]
