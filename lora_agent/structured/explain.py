"""What becomes of every keyword of a schema, before anything is generated.

`explain(schema)` takes the same steps as `compile_schema` (without bounds and without a tokenizer), so a
schema with an empty `refused` compiles. Knows nothing of models.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lora_agent.structured.check import read_schema, read_source
from lora_agent.structured.document import Document
from lora_agent.structured.effort import within_limit
from lora_agent.structured.faults import IDLE, Note, SchemaKeywordError, keyword_error
from lora_agent.structured.grammar import json_grammar, refusal
from lora_agent.structured.locate import locate, overlapping
from lora_agent.structured.lower import CHECKED_AFTER, lower
from lora_agent.structured.walk import ANNOTATIONS, ASSERTIONS, descend, pointer_of
from lora_agent.structured.widen import MAX_WIDENED, widen
from lora_agent.types import JsonSchema

_KNOWN = ASSERTIONS | ANNOTATIONS | frozenset(CHECKED_AFTER)
_SPELLING = {word.lower(): word for word in (*ASSERTIONS, *CHECKED_AFTER) if len(word) > 3}


@dataclass(frozen=True)
class Explanation:
    """Three lists of (JSON pointer, keyword, reason)."""

    enforced: list[Note] = field(default_factory=list)
    """No text that breaks the keyword can be generated."""
    checked: list[Note] = field(default_factory=list)
    """Not in the grammar: checked on the finished value, or (as the reason says) without any effect."""
    refused: list[Note] = field(default_factory=list)
    """`compile_schema` raises for it, unless `lenient=True`."""

    @property
    def ok(self) -> bool:
        return not self.refused


def explain(schema: JsonSchema | bool) -> Explanation:
    try:
        return within_limit(lambda: _explain(schema))
    except SchemaKeywordError as error:
        return Explanation(refused=[Note(error.pointer, error.keyword, error.reason)])


def _explain(schema: JsonSchema | bool) -> Explanation:
    original, source = read_source(schema), read_schema(schema)
    document, checked = lower(source)
    misspelt, unknown = strange_keywords(document)
    result = Explanation(checked=[*checked, *unknown])
    result.refused.extend(Note(e.pointer, e.keyword, e.reason) for e in misspelt)
    for _ in range(MAX_WIDENED + 1):
        unions, message = [], refusal(json_grammar(document.schema()))
        if message and (unions := overlapping(document)):
            message = refusal(json_grammar(document.schema(), coerce_one_of=True))
        if not message:
            result.checked.extend(unions)
            break
        source, let_through = widen(source, message)
        if not let_through:
            fault = locate(document, message)
            result.refused.append(Note(fault.pointer, fault.keyword, fault.reason))
            break
        result.checked.extend(let_through)
        document, _ = lower(source)
    _name_enforced(result, original)
    return result


def _name_enforced(result: Explanation, original: Document) -> None:
    """Every keyword of the schema as it was written that nothing else was said about."""
    taken = {(note.pointer, note.keyword) for note in (*result.checked, *result.refused)}
    written = [(pointer_of(place), keyword) for place, keyword, _ in _keywords(original)]
    moved = {keyword for pointer, keyword in taken - set(written)}  # said of an equal form of the schema
    for pointer, keyword in written:
        if (keyword in ASSERTIONS or keyword in CHECKED_AFTER) and (pointer, keyword) not in taken:
            if keyword in moved:
                result.checked.append(Note(pointer, keyword, "checked after in some branches"))
            else:
                result.enforced.append(Note(pointer, keyword, "enforced while decoding"))


def strange_keywords(document: Document) -> tuple[list[SchemaKeywordError], list[Note]]:
    """Unknown keywords: those that look like a real one (without an error they would silently have no effect), and the
    others."""
    errors, notes = [], []
    for place, keyword, _ in _keywords(document):
        if keyword in _KNOWN:
            continue
        if meant := _meant(keyword):
            reason = f"unknown keyword; did you mean {meant!r}?"
            hint = f"Write {meant!r}, or give a note of your own an x- prefix."
            errors.append(keyword_error(pointer_of(place), keyword, reason, hint))
        else:
            notes.append(Note(pointer_of(place), keyword, f"unknown keyword: {IDLE}"))
    return errors, notes


def _keywords(document: Document) -> list[tuple[tuple[str, ...], str, Any]]:
    return [
        (place + relative, keyword, value)
        for _, place, node in document.parts()
        for relative, sub in descend(node)
        if isinstance(sub, dict)
        for keyword, value in sub.items()
    ]


@lru_cache(maxsize=4096)
def _meant(keyword: str) -> str | None:
    if not keyword[:1].isalpha() or keyword.startswith("x-"):
        return None  # the ways in which people mark a keyword of their own
    word = keyword.lower()
    for known in _SPELLING:
        if len(known) == len(word) and sorted(known) == sorted(word) and _differences(known, word) == 2:
            return _SPELLING[known]  # two letters in the wrong order: "itmes"
    close = difflib.get_close_matches(word, _SPELLING, n=1, cutoff=0.86 if len(word) < 7 else 0.84)
    if close and abs(len(close[0]) - len(keyword)) > 1:
        return None  # "multiple" is a word of its own, not a slip of "multipleOf"
    return _SPELLING[close[0]] if close else None


def _differences(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))
