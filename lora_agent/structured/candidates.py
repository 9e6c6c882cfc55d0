"""Which tools a request has a word in common with: the ones that a first call may name.

A small model picks among similar tools by habit; words that request and tool share are better evidence (decision 009).
Compares beginnings of words, so that "correlated" meets "correlation". Knows texts, no models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lora_agent.types import Tool

_STEM = 5
"""Letters that must agree where both words are longer."""
_COMMON = frozenset(
    "a about all also an and any are as at be been but by can could did do does for from get give go had "
    "has have he her his how i if in into is it its let like many may me much my need no not now of off "
    "on one or our out over please re s she should so some t tell that the their them then there they "
    "this to up us use very want was we were what when where which who why will with would you your".split()
)
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def candidates(texts: Iterable[str], tools: Sequence[Tool]) -> list[Tool]:
    """The tools that share a word with the texts; all of them where none does."""
    asked = _words(" ".join(texts))
    found = [tool for tool in tools if asked & _tool_words(tool)]
    return found or list(tools)


def _tool_words(tool: Tool) -> set[str]:
    parts = [tool.name, tool.description]
    for name, schema in (tool.parameters.get("properties") or {}).items():
        parts.append(name)
        if isinstance(schema, dict):
            parts.append(str(schema.get("description", "")))
            parts += [str(value) for value in schema.get("enum") or ()]
    return _words(" ".join(parts))


def _words(text: str) -> set[str]:
    words = _WORD.findall(_CAMEL.sub(" ", text))
    return {_stem(word.lower()) for word in words if word.lower() not in _COMMON}


def _stem(word: str) -> str:
    if len(word) > _STEM:
        return word[:_STEM]
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
