"""What is likelier in a text of tool calls than the model says: that none is made, that what nobody seems to have
spoken of is left out. Nats are added while it is written, nothing is forbidden. Knows JSON texts, no models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

DOUBT = 2.0
"""Nats against an argument that nobody seems to have spoken of (decision 066)."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]:,]|[^"{}\[\]:,\s]+')
_BEGINS = frozenset('{,"')
_NAME = '"name":'
_ARGUMENTS = '"arguments":{'


@dataclass(frozen=True)
class Leaning:
    beginning: str = ""
    """A beginning of the whole text, which is `nats` likelier; the nats count at every place on the way to it."""
    nats: float = 0.0
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of each tool, in the order in which they are written."""
    doubtful: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Of each tool, those of the parameters that are DOUBT nats less likely."""

    def is_over(self, tokens: int) -> bool:
        """Whether nothing is added behind so many tokens; a token has a character at least."""
        return not self.doubtful and tokens >= len(self.beginning)

    def weigh(self, written: str, pieces: Sequence[str]) -> list[float]:
        """Nats to add to each of the pieces by which the text may go on."""
        at_end = self._name_at_end(written)
        before = self._can_only_be_doubtful(at_end)
        found = []
        for piece in pieces:
            longer = written + piece
            nats = self.nats if self._is_on_the_way(written, longer) else 0.0
            if not before and (at_end is not None or not _BEGINS.isdisjoint(piece)):
                nats -= DOUBT * self._can_only_be_doubtful(self._name_at_end(longer))
            found.append(nats)
        return found

    def _is_on_the_way(self, written: str, longer: str) -> bool:
        if len(written) >= len(self.beginning) or not self.beginning.startswith(written):
            return False
        return longer.startswith(self.beginning) or self.beginning.startswith(longer)

    def _can_only_be_doubtful(self, at_end: tuple[str, str | None, str] | None) -> bool:
        """Whether what `_name_at_end` found is the name of a doubtful argument, whichever it becomes."""
        if at_end is None:
            return False
        tool, last, begun = at_end
        order = list(self.parameters[tool])
        left = order[order.index(last) + 1 :] if last in order else order
        possible = [name for name in left if json.dumps(name, ensure_ascii=False).startswith(begun)]
        return bool(possible) and all(name in self.doubtful[tool] for name in possible)

    def _name_at_end(self, text: str) -> tuple[str, str | None, str] | None:
        """Tool, last whole name of an argument and what is written of the next one, where the text ends in or before
        the name of an argument of a tool with doubtful ones."""
        start = text.rfind(_ARGUMENTS)
        named = text.rfind(_NAME, 0, start)
        if start < 0 or named < 0:
            return None
        tool = json.JSONDecoder().raw_decode(text[named + len(_NAME) :])[0]
        if tool not in self.doubtful:
            return None
        last, begun = _names(text[start + len(_ARGUMENTS) :])
        return None if begun is None else (tool, last, begun)


def _names(members: str) -> tuple[str | None, str | None]:
    """Of the members of an object: the last whole name, and what is written of the name at the end; None if the end
    is in or behind a value, or right behind the opening bracket, where the object may still end."""
    depth, last, begun, expected = 0, None, None, True
    for match in _TOKEN.finditer(members):
        token = match.group()
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
            if depth < 0:
                return last, None
        elif depth == 0 and token == ",":
            expected, begun = True, ""
        elif depth == 0 and expected and token.startswith('"'):
            begun = token
        elif depth == 0 and token == ":":
            last, begun, expected = json.loads(begun or '""'), None, False
    return last, begun
