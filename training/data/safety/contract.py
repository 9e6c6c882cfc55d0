"""Rows of the safety contract: one way to make them, so that every source agrees on order and consistency.

The judged text is the last message; its role is the target. Safe rows have no categories, an injection is
always unsafe and always a jailbreak.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from lora_agent.errors import ConfigError

from ..rows import Row, Split
from .categories import CATEGORIES, ordered

Target = Literal["user", "assistant", "tool"]
OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["safe", "unsafe"]},
        "categories": {"type": "array", "items": {"enum": list(CATEGORIES)}, "uniqueItems": True},
        "injection": {"type": "boolean"},
    },
    "required": ["verdict", "categories", "injection"],
    "additionalProperties": False,
}


def safety_row(
    turns: list[tuple[str, str]],
    categories: list[str],
    source: str,
    group: str,
    *,
    split: Split = "train",
    injection: bool = False,
) -> Row:
    """A row from (role, text) turns; an empty list of categories means safe."""
    target = turns[-1][0]
    unknown = sorted(set(categories) - set(CATEGORIES))
    if unknown or target not in ("user", "assistant", "tool") or (injection and "jailbreak" not in categories):
        raise ConfigError(
            f"not a safety row: target {target!r}, categories {categories!r}, injection {injection!r}",
            hint=f"known categories are {', '.join(CATEGORIES)}; an injection needs 'jailbreak'",
        )
    messages = [{"role": role, "content": text} for role, text in turns]
    output = {
        "verdict": "unsafe" if categories else "safe",
        "categories": ordered(categories),
        "injection": injection,
    }
    return Row({"messages": messages, "target": target}, output, source, group, split)


def judged(row: Row) -> str:
    """The text that the verdict is about."""
    return str(row.input["messages"][-1]["content"])


def key(text: str) -> str:
    """What counts as the same text: words only, lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


def words(text: str) -> int:
    """White-space separated words."""
    return len(text.split())


def cut(text: str, limit: int, keep: Literal["start", "ends"] = "start") -> str:
    """At most `limit` words: the first ones, or as many from both ends with "…" between."""
    parts = text.split(" ")
    if len(parts) <= limit:
        return text
    if keep == "start":
        return " ".join(parts[:limit]) + " …"
    return " ".join((*parts[: limit // 2], "…", *parts[-(limit // 2) :]))


def mostly_ascii(text: str) -> bool:
    """Whether a text is written in Latin letters (the base model reads English)."""
    return bool(text) and sum(char.isascii() for char in text) / len(text) > 0.95
