"""What of a list of tool calls is written so far, for streaming. The grammar fixes its spelling, so a scan will do.

`{"calls":[{"name":"f","arguments":{"x":1}},{"name":"g","argum` → (("f", '{"x":1}'),). A quote in front of a name is
passed over. Knows text only.
"""

from __future__ import annotations

import json

from lora_agent.structured.calls import QUOTE

_OPEN = '{"calls":['
_QUOTE = f'{{"{QUOTE}":'
_NAMES = ('{"name":', ',"name":')
"""At a call's beginning, and after its quote."""
_ARGUMENTS = ',"arguments":'
_READ = json.JSONDecoder().raw_decode


def calls_so_far(text: str) -> tuple[tuple[str, str], ...]:
    """Per call its name and the text of its arguments as far as they are written."""
    found: list[tuple[str, str]] = []
    at = len(_OPEN)
    while True:
        try:
            if text.startswith(_QUOTE, at):
                _, at = _READ(text, at + len(_QUOTE))
            if not text.startswith(_NAMES, at):
                break
            name, at = _READ(text, at + len(_NAMES[0]))
        except ValueError:
            break  # the quote or the name is not finished
        if not text.startswith(_ARGUMENTS, at):
            break
        start = at + len(_ARGUMENTS)
        at = _end_of_value(text, start)
        found.append((str(name), text[start:at]))
        if at == len(text) or text[at] != "}":
            break
        at += 2  # the object's end and the comma
    return tuple(found)


def _end_of_value(text: str, start: int) -> int:
    """Index after the JSON object that begins at `start`, or the text's length where it is not finished."""
    depth, inside, escaped = 0, False, False
    for index in range(start, len(text)):
        char = text[index]
        if inside:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                inside = False
        elif char == '"':
            inside = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return index + 1
    return len(text)
