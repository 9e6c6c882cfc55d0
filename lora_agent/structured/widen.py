"""The second try with a schema that llguidance refused: what it cannot read is let through and checked after.

Patterns that its regular expressions cannot say, key patterns that overlap, and counts of keys it cannot count. Only
asked after a refusal, since each suspect is compiled on its own. Knows llguidance's limits; nothing of tokens.
"""

from __future__ import annotations

from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.faults import Note
from lora_agent.structured.grammar import json_grammar, refusal
from lora_agent.structured.walk import Place, pointer_of, replace_children

MAX_WIDENED = 2
"""Rounds: a second one meets what the first refusal hid."""
MAX_PATTERNS = 2_000
"""More than these are not tried one by one (0.1 ms each)."""


def widen(document: Document, message: str) -> tuple[Document, list[Note]]:
    """A document whose grammar accepts more, and what was let through; no notes where nothing was found."""
    notes: list[Note] = []
    readable: dict[str, bool] = {}
    parts: dict[str | None, Any] = {}
    for name, place, node in document.parts():
        parts[name] = _widen(node, place, notes, readable, "min/maxProperties" in message)
    return document.copy_with(parts), notes


def _widen(node: Any, place: Place, notes: list[Note], readable: dict[str, bool], counts: bool) -> Any:
    if not isinstance(node, dict):
        return node
    out = replace_children(node, lambda child, below: _widen(child, place + below, notes, readable, counts))
    pointer = pointer_of(place)
    pattern = out.get("pattern")
    if isinstance(pattern, str) and not _readable(pattern, readable):
        del out["pattern"]
        notes.append(Note(pointer, "pattern", "the grammar's regular expressions cannot say this pattern"))
    if out.get("patternProperties") and not _keys_readable(out, readable):
        _widen_keys(out)
        notes.append(Note(pointer, "patternProperties", "the grammar cannot keep these key patterns apart"))
    for keyword in ("minProperties", "maxProperties") if counts else ():
        if out.pop(keyword, None) is not None:
            notes.append(Note(pointer, keyword, "keys are not counted beside these"))
    return out


def _readable(pattern: str, known: dict[str, bool]) -> bool:
    if pattern not in known and len(known) < MAX_PATTERNS:
        known[pattern] = not refusal(json_grammar({"type": "string", "pattern": pattern}))
    return known.get(pattern, True)


def _keys_readable(node: dict[str, Any], known: dict[str, bool]) -> bool:
    patterns = node["patternProperties"]
    if not all(_readable(pattern, known) for pattern in patterns):
        return False
    keys = {
        "type": "object",
        "properties": dict.fromkeys(node.get("properties", ()), True),
        "patternProperties": dict.fromkeys(patterns, True),
        "additionalProperties": node.get("additionalProperties") is not False,
    }
    return not refusal(json_grammar(keys))


def _widen_keys(node: dict[str, Any]) -> None:
    """Any key, with a value that fits one of the rules for keys: no value that fits the schema is lost."""
    rules = [*node.pop("patternProperties").values()]
    rest = node.get("additionalProperties", True)
    rules += [rest] if rest is not False else []
    distinct = [rule for index, rule in enumerate(rules) if rule not in rules[:index]]
    node["additionalProperties"] = True if True in rules else distinct[0] if len(distinct) == 1 else {"anyOf": distinct}
