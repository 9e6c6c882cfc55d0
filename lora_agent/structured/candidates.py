"""Which tools a request is near to: the ones that a first call may name.

A small model picks among similar tools by habit; words that request and tool share are better evidence (decision 009).
Compares beginnings of words, so that "correlated" meets "correlation". Knows texts, no models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lora_agent.structured.evidence import coverage
from lora_agent.types import Tool

NEAR = 0.5
"""Share of the best tool's coverage that another one needs to be a candidate beside it: on development requests for
one call the right tool has it in 98 to 100 of 100 (decision 055)."""
NO_CALL = {True: 0.0, False: 1.5}
"""Nats for "no tool fits", by whether one shares a word with the request (decision 055)."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def candidates(texts: Iterable[str], tools: Sequence[Tool]) -> list[Tool]:
    """The tools whose words cover most of what the texts say, and those near to it; all where none shares a word."""
    shares = _shares(texts, tools)
    most = max(shares, default=0.0)
    return [tool for tool, share in zip(tools, shares, strict=True) if share >= NEAR * most]


def common(texts: Iterable[str], tools: Sequence[Tool]) -> bool:
    """Whether a tool shares a word with the texts."""
    return any(_shares(texts, tools))


def _shares(texts: Iterable[str], tools: Sequence[Tool]) -> list[float]:
    return coverage(" ".join(texts), [" ".join(words_of(tool)) for tool in tools], empty=0.0)


def words_of(tool: Tool) -> Iterator[str]:
    yield spaced(tool.name)
    yield tool.description
    for name, schema in (tool.parameters.get("properties") or {}).items():
        yield spaced(name)
        if isinstance(schema, dict):
            yield str(schema.get("description", ""))
            yield from (str(value) for value in schema.get("enum") or ())


def spaced(name: str) -> str:
    """ "playerStats" as two words."""
    return _CAMEL.sub(" ", name)
