"""The parts of a request that wants several things of several tools, each a request by itself.

A small model that answers "What rent can I afford with 7,000 a month? And what is 560 Lakeview Drive worth?" in one
go mixes up which words belong to which call; asked one part at a time it does not (decision 059). The parts are found
by words: where a request's clauses share theirs with different tools, it changes its subject. Knows texts and tools,
no models.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lora_agent.structured.candidates import words_of
from lora_agent.structured.evidence import words
from lora_agent.types import Tool

MOST = 8
"""Parts of a request; what seems to have more is a text rather than a list of wishes."""
LONGEST = 2_000
"""Characters of a request that is looked at: a longer one is a text that somebody has pasted."""
NEAR = 0.6
"""Of the nearest tool's words: a tool that shares as much with a clause is near to it too."""
_ADDS = (
    r"and|then|also|second|secondly|third|next|finally|lastly|additionally|besides|furthermore|moreover|plus|oh"
    r"|one more thing|in addition|on top of that|after that|afterwards|while you are at it"
)
_ASKS = (
    r"how|what|which|who|when|where|why|add|book|buy|calculate|call|cancel|change|check|compute|convert|copy|count|create"
    r"|delete|determine|draw|estimate|find|flip|get|give|list|log|look|make|move|open|order|play|put|read|record|register"
    r"|remind|remove|reserve|roll|save|schedule|search|send|set|show|solve|sort|start|stop|tell|track|translate|turn"
    r"|update|write"
)
"""Words that begin a question or a command."""
_END = re.compile(r"(?<=[?!])\s+|(?<=[.?!][\"'”])\s+(?=[A-Z])|(?<=[\w)\"'%°€$])\.\s+(?=[A-Z\"'])|\s*\n\s*|;\s+")
_JOIN = re.compile(
    rf",?\s+(?:and|then|as well as|after that|afterwards|but|while)\b[\s,:]*(?=\S)|,\s+(?=(?:{_ADDS}|{_ASKS})\b)",
    re.IGNORECASE,
)
_WISH = 4
"""Words that a sentence without a value needs to be a part of its own."""
_JOINS = re.compile(r"\b(?:and|also|plus|both|each|as well as)\b|[&;]", re.IGNORECASE)
_ADDED = re.compile(rf"\b(?!and\b)(?:{_ADDS}|as well as)\b", re.IGNORECASE)
_BEGUN = re.compile(rf"(?:{_ADDS})\b", re.IGNORECASE)
_FIRST = re.compile(r"first(?:ly)?\b[\s,:]", re.IGNORECASE)
_BEFORE = re.compile(rf"^(?:(?:{_ADDS}|first|firstly)\b[\s,:]*)+", re.IGNORECASE)
_AFTER = re.compile(rf"[\s,:]*(?:\b(?:{_ADDS}|first)[\s,:]*)+$", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|(?<!\w)'[^'\n]*'(?!\w)|```.*?```", re.DOTALL)
_NUMBERS = re.compile(r"\d(?:[\d.]*(?:,\s*|\s+)(?:and\s+)?)+\d")
_SAID = re.compile(r"\w")
_VALUE = re.compile(r"\b\w+[._]\w+|\d[\d.,:/-]*|\"[^\"]+\"|(?<!\w)'[^']+'(?!\w)|(?<![.?!]\s)(?<!^)\b[A-Z]\w+")


@dataclass(frozen=True)
class _Clause:
    start: int
    end: int
    begins: bool
    """After the end of a sentence or of a line, not in the middle of one."""
    adds: bool
    """It says of itself that it adds something: more than "and"."""


@dataclass
class _Part:
    start: int
    end: int
    near: set[int]


def split_request(request: str, tools: Sequence[Tool]) -> list[str]:
    """The parts in order, without the words that join them; [] where the request seems to want one thing.

    It is cut between two clauses that are near to different tools; at one that says of itself that it adds something
    ("Also, ...", "and then ..."); and between two that ask the same of one tool, each with values enough for a call."""
    if len(request) > LONGEST or not tools:
        return []
    nearness = _Nearness(tools)
    found: list[_Part] = []
    for clause in _clauses(request):
        text = request[clause.start : clause.end]
        near = nearness.near(text)
        before = found[-1] if found else None
        if clause.begins and _FIRST.match(text):
            found = [_Part(clause.start, clause.end, near)]  # what comes before it only announces
        elif before is None or _parted(request, before, clause, near, nearness):
            found.append(_Part(clause.start, clause.end, near))
        else:
            before.end = clause.end
            before.near = (before.near & near) or near or before.near
    return [_bare(request[part.start : part.end]) for part in found] if 1 < len(found) <= MOST else []


def says_something(request: str, tools: Sequence[Tool]) -> bool:
    """Whether it has a value that a call could take, or a word of one of the tools."""
    return bool(_VALUE.search(request)) or bool(_Nearness(tools).near(request))


def is_one_clause(request: str) -> bool:
    """Whether it has neither a second sentence nor words that join clauses."""
    return len(list(_clauses(request))) < 2


def joins_nothing(request: str) -> bool:
    """Whether it has no word that joins one thing to another."""
    return _JOINS.search(request) is None


def _parted(request: str, before: _Part, clause: _Clause, near: set[int], nearness: _Nearness) -> bool:
    had = _VALUE.search(request, before.start, before.end) is not None
    has = _VALUE.search(request, clause.start, clause.end) is not None
    earlier, text = request[before.start : before.end], request[clause.start : clause.end]
    if clause.adds and ((clause.begins and (before.near or had)) or (had and has)):
        return True
    if clause.begins and before.start == 0 and not had:
        return False  # "It's the end of the quarter. Post a job ...": it says why, not what
    if clause.begins and not has and len(text.split()) < _WISH:
        return False  # "Thanks in advance."
    if near and before.near and not near & before.near:
        return True
    return any(nearness.asks_again(earlier, text, tool) for tool in near & before.near)


class _Nearness:
    """Which tools a text shares words with; a word that few of the tools have counts more."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = tools
        self._words = [words(" ".join(words_of(tool))) for tool in tools]
        frequency = Counter(word for held in self._words for word in held)
        self._weight = {word: math.log((len(tools) + 1) / count) for word, count in frequency.items()}

    def near(self, text: str) -> set[int]:
        """Indices of the tools that share most with the text; empty if none shares a word."""
        said = words(text)
        shares = [sum(self._weight[word] for word in said & held) for held in self._words]
        most = max(shares)
        return {index for index, share in enumerate(shares) if share >= NEAR * most} if most else set()

    def asks_again(self, earlier: str, text: str, tool: int) -> bool:
        """Whether two sentences want the same of a tool and both have the values for it."""
        first, second = words(earlier) & self._words[tool], words(text) & self._words[tool]
        least = max(1, len(self._tools[tool].parameters.get("required") or ()))
        enough = all(len(_VALUE.findall(_BEFORE.sub("", each))) >= least for each in (earlier, text))
        return enough and 2 * len(first & second) >= len(first | second)


def _clauses(request: str) -> Iterator[_Clause]:
    """Sentences, cut further at the words that join clauses; nothing is cut in quotation marks or a list of numbers."""
    quoted = [match.span() for whole in (_QUOTED, _NUMBERS) for match in whole.finditer(request)]
    cuts = sorted(
        (match.start(), match.end(), begins)
        for mark, begins in ((_END, True), (_JOIN, False))
        for match in mark.finditer(request)
    )
    position, begins, joined = 0, True, ""
    for start, end, ends in cuts:
        if start < position or any(first < start < last for first, last in quoted):
            continue
        if _SAID.search(request, position, start):
            yield _clause(request, position, start, begins, joined)
            begins, joined = ends, request[start:end]
        position = end
    if _SAID.search(request, position):
        yield _clause(request, position, len(request), begins, joined)


def _clause(request: str, start: int, end: int, begins: bool, joined: str) -> _Clause:
    """`joined`: what stands between it and the clause before."""
    begun = _BEGUN.match(request, start) if begins or "," in joined or "and" in joined.lower() else None
    adds = ";" in joined or bool(_ADDED.search(joined)) or begun is not None
    return _Clause(start, end, begins, adds)


def _bare(part: str) -> str:
    text = part.strip()
    if not text.endswith((".", "?", "!")):
        text = _AFTER.sub("", text) or text
    text = _BEFORE.sub("", text) or text
    return text[0].upper() + text[1:]
