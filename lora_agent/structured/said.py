"""What a conversation says, as values that an argument may take. Knows texts, no schemas."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from lora_agent.structured.evidence import words
from lora_agent.structured.number_reader import Mention, number_of
from lora_agent.structured.numerals import lists_in, mentions, numbers_in, quantities_in
from lora_agent.structured.phrases import phrases_in


@dataclass(frozen=True)
class Said:
    texts: tuple[str, ...]
    request: str | None = None
    """The last turn, if it wants one thing."""
    _by_units: dict[frozenset[str], set[float]] = field(default_factory=dict, repr=False)

    @cached_property
    def text(self) -> str:
        return "\n".join(self.texts)

    @cached_property
    def numbers(self) -> set[float]:
        """In the units that they were said in."""
        return self.numbers_for(frozenset())

    def numbers_for(self, units: frozenset[str]) -> set[float]:
        """As somebody may write them who wants one of these units."""
        if units not in self._by_units:
            self._by_units[units] = numbers_in(self.text, units)
        return self._by_units[units]

    @cached_property
    def figures(self) -> set[float]:
        """The numbers as they were said, in no other unit."""
        return {value for value in map(number_of, re.findall(r"[\w.,-]*\w", self.text)) if value is not None}

    @cached_property
    def mentions(self) -> int:
        """How many numbers are said."""
        return mentions(self.text)

    @cached_property
    def quantities(self) -> list[tuple[Mention, set[str]]]:
        """Each number, and the words around it."""
        return [(mention, words(around)) for mention, around in quantities_in(self.text)]

    @cached_property
    def lists(self) -> list[list[float]]:
        """Numbers that stand together, and each number alone."""
        together = lists_in(self.text)
        return [*together, *([value] for value in sorted(self.numbers))] if together else []

    @cached_property
    def phrases(self) -> list[str]:
        figures = [f"{value:g}" for value in self.numbers if abs(value) < 1e6]
        return list(dict.fromkeys([*phrases_in(self.texts), *figures]))

    @cached_property
    def words(self) -> set[str]:
        return words(self.text)

    @cached_property
    def requested(self) -> set[str]:
        """Words of the one thing that is wanted; empty where that is not known."""
        return words(self.request or "")
