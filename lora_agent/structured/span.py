"""Where the value at a JSON pointer stands in a JSON text. Knows texts, no grammars."""

from __future__ import annotations

import json
from json.decoder import JSONDecodeError

_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


def value_span(text: str, pointer: str) -> tuple[int, int] | None:
    """(start, end) in characters of the value at `pointer` (RFC 6901); None if the text has none there."""
    at = _skip(text, 0)
    try:
        for part in pointer.split("/")[1:]:
            found = _child(text, at, part.replace("~1", "/").replace("~0", "~"))
            if found is None:
                return None
            at = found
        return at, _DECODER.raw_decode(text, at)[1]
    except (JSONDecodeError, IndexError):
        return None


def _child(text: str, at: int, part: str) -> int | None:
    """Start of the member or item `part` of the container that starts at `at`."""
    opening, at = text[at], _skip(text, at + 1)
    if opening not in "{[":
        return None
    for index in range(len(text)):
        if text[at] in "}]":
            return None
        key = str(index)
        if opening == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if key == part:
            return at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
