"""Which words of a request each of its calls serves: `for`, in front of a call's name (PromptSpec.quotes).

A small model that first writes down a part of the request and then its call forgets fewer parts and mixes up
fewer values (decision 053). Single calls carry no quote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from lora_agent.structured.calls import QUOTE

from .schema import Call, words_of

_END = re.compile(r"(?<=[.?!])\s+|\n+")
_CLAUSE = re.compile(r"(?<=[.?!])\s+|\n+|,? and (?:then |also |finally )?|, (?:then|finally|plus) |; ")
_LEADING = re.compile(r"^(?:first|then|next|finally|lastly|also|and|after that|additionally)\b,?\s+", re.IGNORECASE)


def quote(calls: Sequence[Call], text: str, parts: Sequence[str]) -> list[Call]:
    """The calls, each with its part as `text` spells it; as they are where a part is not found in its turn."""
    if len(calls) < 2 or len(calls) != len(parts):
        return list(calls)
    low, at, quoted = text.lower(), 0, []
    for call, part in zip(calls, parts, strict=True):
        wanted = part.strip().rstrip(".?!,;").lower()
        start = low.find(wanted, at)
        if start < 0 or not wanted:
            return list(calls)
        at = start + len(wanted)
        quoted.append({QUOTE: text[start:at], **call})
    return quoted


def parts_of(text: str, calls: Sequence[Call]) -> list[str] | None:
    """For requests by other hands: the sentence or clause that shares most with each call; None where two calls share
    one or the order is another."""
    for cut in (_END, _CLAUSE):
        pieces = [piece for piece in cut.split(text) if piece.strip()]
        found = [max(range(len(pieces)), key=lambda i, c=call: _shared(pieces[i], c)) for call in calls]
        if all(a < b for a, b in pairwise(found)):
            return [_LEADING.sub("", pieces[i].strip()) for i in found]
    return None


def _shared(piece: str, call: Call) -> int:
    low = piece.lower()
    values = [v for v in call["arguments"].values() if not isinstance(v, bool | dict | list)]
    return 2 * sum(str(v).lower() in low for v in values) + sum(word in low for word in words_of(call["name"]))
