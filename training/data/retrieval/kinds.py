"""Reads `kinds/*.txt`: sorts of documents that users keep, each with facts, their wordings and questions.

    @ Router manual | the {brand} {model} router    a kind, and what one is about (then "| dev": held out)
    lead: Thank you for choosing {e}.               an opening sentence without any asked fact
    = Reset                                         a fact; its label
    - To reset {e}, [hold the button for {5-15} seconds].    a wording, the answer in brackets
    + The router can be hung on a wall.             a wording with the answer "yes"
    ! The router must not be hung on a wall.        a wording with the answer "no"
    ? How do I reset the router?                    a question

Knows nothing of rows; `generator.py` makes documents of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lora_agent.errors import ConfigError

BRACKETS = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True)
class Wording:
    """A statement template; `answer` is "yes", "no", or "" where the answer stands in brackets."""

    text: str
    answer: str = ""


@dataclass
class Fact:
    label: str
    wordings: list[Wording] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


@dataclass
class Kind:
    """One sort of document, such as a router's manual."""

    name: str
    entity: str
    held_out: bool
    leads: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


@cache
def read_kinds() -> tuple[Kind, ...]:
    """All kinds, in the order of file names and lines."""
    folder = Path(__file__).parent / "kinds"
    kinds: list[Kind] = []
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".txt"):
            kinds += parse_kinds(file.read_text(encoding="utf-8"), file.name)
    return tuple(kinds)


def parse_kinds(text: str, name: str) -> list[Kind]:
    kinds: list[Kind] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            _add_line(kinds, line, f"{name}:{number}")
    for kind in kinds:
        for fact in kind.facts:
            if not fact.wordings or not fact.questions:
                raise _error(f"{name}, {kind.name!r}", f"fact {fact.label!r} has no wording or no question")
    return kinds


def _add_line(kinds: list[Kind], line: str, where: str) -> None:
    mark, rest = line[0], line[1:].strip()
    if mark == "@":
        name, entity, *flags = (part.strip() for part in re.split(r"\s\|\s", rest))
        kinds.append(Kind(name, entity, "dev" in flags))
    elif not kinds:
        raise _error(where, f"{line!r} before the first '@'")
    elif line.startswith("lead:"):
        kinds[-1].leads.append(line[5:].strip())
    elif mark == "=":
        kinds[-1].facts.append(Fact(rest))
    elif not kinds[-1].facts:
        raise _error(where, f"{line!r} before the first '='")
    elif mark in "+!":
        kinds[-1].facts[-1].wordings.append(Wording(rest, "yes" if mark == "+" else "no"))
    elif mark == "-" and len(BRACKETS.findall(rest)) == 1:
        kinds[-1].facts[-1].wordings.append(Wording(rest))
    elif mark == "?":
        kinds[-1].facts[-1].questions.append(rest)
    else:
        raise _error(where, f"{line!r} has no known mark, or not exactly one [answer]")


def _error(where: str, what: str) -> ConfigError:
    return ConfigError(
        f"Bad document kind in {where}: {what}.", hint="The format is in training/data/retrieval/kinds.py."
    )
