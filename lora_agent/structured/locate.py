"""Finds the keyword that llguidance refuses: its messages do not say where they come from.

Compiles the subschemas of the refused schema one by one, deepest first, and reads the keyword out of the
message. Knows llguidance's wording; needs no tokenizer.
"""

from __future__ import annotations

import re
import time
from typing import Any

from lora_agent.structured.document import Document
from lora_agent.structured.faults import Note, SchemaKeywordError, keyword_error
from lora_agent.structured.grammar import json_grammar, refusal
from lora_agent.structured.walk import Place, descend, pointer_of

MAX_SECONDS = 0.5
"""Time for compiling subschemas (0.1 to 50 ms each) before the whole schema is named."""

_KEYWORDS: tuple[tuple[str, str, str], ...] = (
    (r"look-around|regex parse error|backreference", "pattern",
     "Rewrite the pattern without look-around and back-references."),
    (r"Unimplemented keys: \[\"([^\"]+)\"", "", "Remove it, or say it with properties, enum or anyOf."),
    (r"(min\w+) \(", "", "Make the limits agree."),
    (r"patternProperties", "patternProperties", "Make the key patterns disjoint, or list the properties."),
    (r"oneOf", "oneOf", "Use anyOf, or give every branch a property with its own const."),
    (r"multipleOf", "multipleOf", "Use a multipleOf that is a decimal number."),
    (r"circular|siblings", "$ref", "Move the keywords beside the $ref into the definition."),
    (r"format", "format", "Remove the format, or use a pattern."),
    (r"[Rr]egex is empty", "pattern", "No text fits pattern, format and length: correct one."),
    (r"incompatible types", "type", "No value fits all parts: make their types agree."),
)  # fmt: skip


def overlapping(document: Document) -> list[Note]:
    """The oneOf of a schema whose branches the grammar cannot keep apart."""
    return [
        Note(
            pointer_of(place + relative),
            "oneOf",
            "branches may overlap; that exactly one fits is checked after",
        )
        for _, place, node in document.parts()
        for relative, sub in descend(node)
        if isinstance(sub, dict) and "oneOf" in sub
    ]


def locate(refused: Document, message: str) -> SchemaKeywordError:
    """The error for a document that llguidance refused with `message`."""
    found: tuple[Place, str] = ((), message)
    until = time.monotonic() + MAX_SECONDS
    for place, sub in _smallest_first(refused):
        if time.monotonic() > until:
            break
        if error := refusal(json_grammar(Document(sub, refused.defs, refused.origin).schema(), coerce_one_of=True)):
            found = (place, error)
            break
    place, reason = found
    keyword, hint = _keyword(reason)
    reason = " ".join(reason.split())
    return keyword_error(
        pointer_of(place), keyword, f"cannot be enforced while decoding: {reason:.200}",
        hint + " With lenient=True it is only checked afterwards.",
    )  # fmt: skip


def _smallest_first(document: Document) -> list[tuple[Place, Any]]:
    nodes = [
        (place + relative, sub)
        for _, place, node in document.parts()
        for relative, sub in descend(node)
        if isinstance(sub, dict) and sub
    ]
    nodes.sort(key=lambda item: -len(item[0]))
    return nodes


def _keyword(message: str) -> tuple[str, str]:
    for pattern, keyword, hint in _KEYWORDS:
        if match := re.search(pattern, message):
            return keyword or match.group(1), hint
    return "", "Simplify this part of the schema."
