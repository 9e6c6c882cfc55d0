"""Requests that say one thing of several: "the weather in Paris, Rome and Oslo", "roll dice with 6 and 8 sides".

Asked of the first alone, the request has one call, and the others are that call with another item in it. With
"respectively" several lists go together. Knows texts and calls, no models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_agent.structured.evidence import words
from lora_agent.structured.number_reader import NUMBER_WORDS, number_of
from lora_agent.types import compact_json

MOST = 8
"""Items of a list."""
_NAME = r"[A-Z][\w'’-]*(?:\.[\w'’-]+)*(?:\s+(?:(?:of|de|the|del|la|du)\s+)?[A-Z0-9][\w'’-]*)*"
_AGAIN = r"(?:in|for|of|to|from|at|on|with)\s+"
"""The preposition of a list may be said again: "in Paris and in Rome"."""
_KINDS = (
    r"\"[^\"\n]+\"|(?<!\w)'[^'\n]+'(?!\w)",
    _NAME,
    rf"\$?(?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|(?:{'|'.join(NUMBER_WORDS)})",
    r"[a-z0-9@][\w.@'-]*\w",
)
"""Items: quoted, names, figures, single words. A list has items of one kind."""
_FIGURES, _WORDS = 2, 3
_LISTS = [
    re.compile(
        rf"(?<![\w.$-])({kind})((?:\s*,\s*(?:{_AGAIN})?(?:{kind}))*)\s*,?\s+and\s+(?:{_AGAIN})?({kind})(?![\w-])"
    )
    for kind in _KINDS
]
_RESPECTIVELY = re.compile(r",?\s*\brespecti?ve?ly\b", re.IGNORECASE)
_RANGE = re.compile(r"\b(?:between|from)\s*$", re.IGNORECASE)
_SENTENCE = re.compile(r"(?:^|[.?!:]\s+|\n\s*)$")


@dataclass(frozen=True)
class _List:
    start: int
    end: int
    items: tuple[str, ...]
    kind: int


@dataclass(frozen=True)
class Listing:
    """A request and the lists in it that are gone through together."""

    request: str
    lists: tuple[_List, ...]

    @property
    def count(self) -> int:
        return len(self.lists[0].items)

    @property
    def first(self) -> str:
        """The request of the first item alone."""
        text = self.request
        for each in reversed(self.lists):
            text = text[: each.start] + each.items[0] + text[each.end :]
        return _RESPECTIVELY.sub("", text)

    def calls(self, call: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The calls for all items, from that for the first; None if it does not hold each list's first item."""
        found = []
        for index in range(self.count):
            arguments: dict[str, Any] = dict(call["arguments"])
            for each in self.lists:
                changed = {name: _exchanged(value, each, index) for name, value in arguments.items()}
                if not any(value is not None for value in changed.values()):
                    return None
                arguments = {name: arguments[name] if value is None else value for name, value in changed.items()}
            found.append({**call, "arguments": arguments})
        return found if len({compact_json(one) for one in found}) == len(found) else None

    def kept_together(self, calls: Sequence[Mapping[str, Any]]) -> bool:
        """Whether one array holds all items of a list: then the list is what a tool takes, and not several wishes."""
        arrays = [value for call in calls for value in call["arguments"].values() if isinstance(value, list)]
        return any(len(value) >= len(each.items) for value in arrays for each in self.lists)


def listing(request: str, *, figures: bool = True) -> Listing | None:
    """The longest list of the request, one of words only where there is no other; with "respectively" all that have as
    many items as the first. Not `figures`: lists of numbers belong together, as an array. None where there is none."""
    found = [each for each in _lists(request) if figures or each.kind != _FIGURES]
    if not found:
        return None
    if _RESPECTIVELY.search(request):
        return Listing(request, tuple(each for each in found if len(each.items) == len(found[0].items)))
    return Listing(request, (max(found, key=lambda each: (each.kind != _WORDS, len(each.items))),))


def _lists(request: str) -> list[_List]:
    """By their place; where two kinds meet, the stricter one's."""
    found: list[_List] = []
    for number, pattern in enumerate(_LISTS):
        for match in pattern.finditer(request):
            if not any(match.start() < each.end and each.start < match.end() for each in found):
                found += _checked(request, match, number)
    return sorted(found, key=lambda each: each.start)


def _checked(request: str, match: re.Match[str], kind: int) -> Iterator[_List]:
    start, before = match.start(), request[: match.start()]
    first = match.group(1)
    if _SENTENCE.search(before) and first[0].isupper() and " " in first:
        verb, first = first.split(" ", 1)  # "Show Rome and Oslo"
        start += len(verb) + 1
    middle = [item for item in re.split(rf"\s*,\s*(?:{_AGAIN})?", match.group(2)) if item]
    items = (first, *middle, match.group(3))
    told_apart = len({item.lower() for item in items}) == len(items) <= MOST
    numbers = [number_of(item.lstrip("$")) is not None for item in items]
    if kind != _FIGURES and any(numbers):
        return  # "bread and two bottles of milk"
    if told_apart and not _RANGE.search(before) and all(words(item) or item[0] in "\"'" for item in items):
        yield _List(start, match.end(), items, kind)


def _exchanged(value: Any, each: _List, index: int) -> Any:
    """The list's item `index` where the value is its first; None where it is not."""
    first, other = each.items[0].strip("\"'"), each.items[index].strip("\"'")
    if isinstance(value, str):
        return other if value.lower().removeprefix("the ").strip() == first.lower().removeprefix("the ") else None
    if isinstance(value, int | float) and not isinstance(value, bool) and number_of(first.lstrip("$")) == value:
        number = number_of(other.lstrip("$"))
        return number if number is None or isinstance(value, float) else int(number)
    return None
