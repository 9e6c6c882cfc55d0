"""Messages that no tool answers: small talk, thanks, opinions, general knowledge, talk about the assistant.

Templates with (a|b) choices, which may nest, are in unrelated.txt.
"""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")

CHAT = tuple(Path(__file__).with_name("unrelated.txt").read_text("utf-8").splitlines())

PLEASANTRIES = tuple(
    line for line in CHAT if line.startswith(("(Thanks", "(Great", "(Bye", "(Okay", "(Hi|", "(How are"))
)
"""What stays unanswerable even where a tool fits almost every request (web search, notes)."""


def unrelated(rng: Random, *, anything_fits: bool = False) -> str:
    """One message. With `anything_fits` only thanks and greetings."""
    text = rng.choice(PLEASANTRIES if anything_fits else CHAT)
    while (found := _CHOICE.search(text)) is not None:  # the innermost choice goes first
        text = text[: found.start()] + rng.choice(found.group(1).split("|")) + text[found.end() :]
    text = " ".join(text.split())
    return text.lower().rstrip(".?!") if rng.random() < 0.15 else text
