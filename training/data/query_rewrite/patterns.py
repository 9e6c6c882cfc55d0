"""Reads `patterns/*.txt`: conversations with slots, and the last turns that may follow with their rewrites.

    @ film director | dev          a pattern's name ("dev": held out)
    u: Who directed {film}?        the user's turn, standalone
    a: {film} is by {man}.         the reply
    > Where is he from? => Where is {man} from?      what may follow, and its standalone form

A slot has one value in the whole conversation; {city}, {city2} and {city3} have different ones. Names of
`vocabulary.txt` come first, then the samplers of the document generator.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lora_agent.errors import ConfigError

from ..retrieval.slots import SLOT, fill


@dataclass
class Pattern:
    """A conversation of two messages and what may follow."""

    name: str
    held_out: bool
    asked: str = ""
    reply: str = ""
    follow_ups: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Filled:
    """A pattern with its slots filled."""

    name: str
    asked: str
    reply: str
    follow_ups: tuple[tuple[str, str], ...]


@cache
def read_patterns() -> tuple[Pattern, ...]:
    """All patterns, in the order of file names and lines."""
    patterns: list[Pattern] = []
    for name, text in _files():
        if name != "vocabulary.txt":
            patterns += parse_patterns(text, name)
    return tuple(patterns)


@cache
def vocabulary() -> dict[str, tuple[str, ...]]:
    lines = dict(_files())["vocabulary.txt"].splitlines()
    pairs = (line.partition(":")[::2] for line in lines if line.strip() and not line.startswith("#"))
    return {name: tuple(value.strip() for value in values.split("|")) for name, values in pairs}


def _files() -> list[tuple[str, str]]:
    folder = Path(__file__).parent / "patterns"
    files = sorted(folder.iterdir(), key=lambda item: item.name)
    return [(file.name, file.read_text(encoding="utf-8")) for file in files if file.name.endswith(".txt")]


def parse_patterns(text: str, name: str) -> list[Pattern]:
    patterns: list[Pattern] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        mark, _, rest = line.partition(" ")
        if mark == "@":
            title, _, flag = (part.strip() for part in rest.partition("|"))
            patterns.append(Pattern(title, flag == "dev"))
        elif patterns and mark == "u:":
            patterns[-1].asked = rest
        elif patterns and mark == "a:":
            patterns[-1].reply = rest
        elif patterns and mark == ">" and " => " in rest:
            said, _, rewrite = rest.partition(" => ")
            patterns[-1].follow_ups.append((said.strip(), rewrite.strip()))
        else:
            raise ConfigError(
                f"Bad line in {name}:{number}: {line!r}.",
                hint="The format is in training/data/query_rewrite/patterns.py.",
            )
    return patterns


def fill_pattern(pattern: Pattern, rng: random.Random) -> Filled:
    texts = [pattern.asked, pattern.reply, *(text for pair in pattern.follow_ups for text in pair)]
    bound: dict[str, str] = {}
    for text in texts:
        for match in SLOT.finditer(text):
            slot = match.group(1)
            if slot not in bound:
                bound[slot] = _sample(slot, rng, set(bound.values()))

    def put(text: str) -> str:
        filled = fill(text, rng, bound)
        return filled[:1].upper() + filled[1:] if text.startswith("{") else filled

    return Filled(
        pattern.name,
        put(pattern.asked),
        put(pattern.reply),
        tuple((put(said), put(rewrite)) for said, rewrite in pattern.follow_ups),
    )


def _sample(slot: str, rng: random.Random, taken: set[str]) -> str:
    name = slot.rstrip("0123456789") if "|" not in slot and ":" not in slot and "-" not in slot else slot
    if name in vocabulary():
        return rng.choice([value for value in vocabulary()[name] if value not in taken])
    for _ in range(20):
        value = fill(f"{{{name}}}", rng)
        if value not in taken:
            break
    return value
