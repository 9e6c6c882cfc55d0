"""Home Assistant: gold sentences with intent and slots, as calls of that project's own intents. Dev only.

A test stays if each slot's value stands in its sentence; the argument is spelled as the sentence spells it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from lora_agent.errors import ConfigError

from ...rows import Row, Split
from ..generator.values import ONES
from ..schema import Tool, make_call, make_row, make_tool, shorten

GROUP = 4
NONE_SHARE = 0.15
PER_TEST = 2
_NUMBERS = {
    "brightness": "Brightness in percent",
    "temperature": "Temperature in degrees",
    "position": "Position in percent",
    "volume_level": "Volume in percent",
    "hours": "Hours",
    "minutes": "Minutes",
    "seconds": "Seconds",
    "start_hours": "Hours the timer was set for",
    "start_minutes": "Minutes the timer was set for",
    "start_seconds": "Seconds the timer was set for",
}
_LEFT_OUT = {"device_class", "preferred_area_id", "preferred_floor_id", "conversation_command", "response"}
_UNCLEAR = {"HassRespond", "HassNevermind", "HassGetState", "HassToggle"}
"""Small talk, and a state query whose answer depends on entity names that only the house knows."""


def groups(data_dir: Path, rng: Random, split: Split) -> Iterator[list[Row]]:
    files = _read(data_dir / "tool-home-assistant" / "home_assistant_en.tar.xz")
    intents = files["intents.yaml"]
    asked: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, content in files.items():
        if name.startswith("tests/") and "tests" in content:
            for test in content["tests"]:
                _collect(test, asked, rng)
    used = {name: {key for _, slots in pairs for key in slots} for name, pairs in asked.items()}
    tools = {name: _tool(name, intents[name], used[name]) for name in asked if name in intents}
    for name in tools:
        rng.shuffle(asked[name])
    number = 0
    while True:
        ready = [name for name in tools if asked[name]]
        if len(ready) < 4:
            return
        number += 1
        listed = rng.sample(ready, min(rng.choice((2, 3, 4)), len(ready)))
        offered = [tools[name] for name in listed]
        group = f"home-assistant/{split}/{number:04}"
        rows: list[Row] = []
        for _ in range(GROUP):
            outside = [name for name in ready if _area(name) not in {_area(n) for n in listed}]
            if outside and rng.random() < NONE_SHARE:
                text, _ = rng.choice(asked[rng.choice(outside)] or [("", {})])
                if text:
                    rows.append(make_row(text, offered, [], "home-assistant/none", group, split))
                continue
            name = rng.choice(listed)
            if asked[name]:
                text, slots = asked[name].pop()
                call = make_call(tools[name], slots)
                rows.append(make_row(text, offered, [call], "home-assistant/multiple", group, split))
        yield rows


def _area(intent: str) -> str:
    """The last and first word tell families apart: timers, lists, media, on and off."""
    for word in ("Timer", "List", "Media", "Volume", "Turn", "Light", "Position", "Climate", "Vacuum"):
        if word in intent:
            return "Turn" if word in ("Light", "Position") else "Media" if word == "Volume" else word
    return intent


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"no data file at {str(path)!r}", hint="export LORA_AGENT_DATA=<folder with the data sets>")
    found: dict[str, Any] = {}
    with tarfile.open(path, "r:xz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            wanted = name == "intents.yaml" or (name.startswith("tests/en/") and name.endswith(".yaml"))
            file = archive.extractfile(member) if wanted else None
            if file is not None:
                found[name] = yaml.safe_load(file.read())
    return found


def _collect(test: dict[str, Any], asked: dict[str, list[tuple[str, dict[str, Any]]]], rng: Random) -> None:
    intent = test.get("intent", {})
    name = intent.get("name")
    if name is None or name in _UNCLEAR:
        return
    context = intent.get("context", {})
    slots = {
        key: value["value"] if isinstance(value, dict) and "value" in value else value
        for key, value in intent.get("slots", {}).items()
        if key not in _LEFT_OUT and key not in context
    }
    sentences = list(test["sentences"])
    rng.shuffle(sentences)
    kept = 0
    for text in sentences:
        arguments = {key: found for key, value in slots.items() if (found := _said(key, value, text)) is not None}
        if len(arguments) == len(slots) and kept < PER_TEST:
            asked.setdefault(name, []).append((text, arguments))
            kept += 1


def _said(key: str, value: Any, text: str) -> Any:
    low = text.lower()
    if key in _NUMBERS:
        forms = [str(value), *([ONES[value]] if isinstance(value, int) and 0 <= value <= 20 else [])]
        return value if any(re.search(rf"(?<![\w.]){form}(?!\w)", low) for form in forms) else None
    at = low.find(str(value).lower()) if isinstance(value, str) else -1
    return text[at : at + len(value)] if at >= 0 else None


def _tool(name: str, intent: dict[str, Any], used: set[str]) -> Tool:
    slots = intent.get("slots") or {}
    properties: dict[str, Any] = {}
    for key in [*(k for k in slots if k in used), *sorted(used - set(slots))]:
        if key in _NUMBERS:
            properties[key] = {"type": "number", "description": _NUMBERS[key]}
        else:
            text = str((slots.get(key) or {}).get("description", key.replace("_", " ").capitalize()))
            properties[key] = {"type": "string", "description": shorten(text, 10)}
    required = [key for key in properties if (slots.get(key) or {}).get("required") is True]
    return make_tool(name, shorten(str(intent["description"]), 25), properties, required)
