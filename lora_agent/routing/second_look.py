"""Where the first choice among cards is not sure: an adapter reads the likeliest cards next to the request.

The matcher compares what it knows of each card with what it knows of the request; neither has seen the other. The
`route` adapter has both in view (a cross-encoder after a bi-encoder: arXiv 1901.04085), for the few that are likely. It
costs a decode, so that it is asked only where the matcher hesitates, and never among very many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lora_agent.routing.head import softmax
from lora_agent.routing.matcher import Matched
from lora_agent.routing.prototypes import Card, Prototypes

ADAPTER = "route"
"""The adapter that is asked; itself never a choice."""
SURE = 0.9
"""Share of all adapters' probability at which the likeliest is taken at its word."""
LOOKED_AT = 4
"""Adapters whose cards are read: the right one is among the first three for 94 of 100 requests (decision 068)."""
AMONG = 256
"""Adapters above which nothing is asked: the choice among a thousand stays one product of a matrix."""
WORDS = 24
"""Of each text in a card's document; the rest is cut."""

SHOWN = 2
"""Examples of a card that are read: those that are most like the request."""


def card_document(name: str, description: str, examples: Sequence[str]) -> dict[str, str]:
    """A card as the adapter reads it: its name, what it is for, and requests for it."""
    parts = [_cut(description), *(f'"{_cut(example)}"' for example in examples)]
    return {"id": name, "text": " ".join(part for part in parts if part) or name}


def look_again(
    session: Any, odds: Mapping[str, float], cards: Mapping[str, Card], known: Matched | Prototypes, place: Tensor
) -> dict[str, float]:
    """Log-odds of adapters with those of the likeliest ones shared out anew; what they have together stays. Unchanged
    where one of them is sure, where there are too many, or where the adapter gives no valid answer.

    `cards`: of all names in `odds`; `place`: where the request lies (k,) for `known`."""
    ranked = sorted(odds, key=lambda name: -odds[name])[:LOOKED_AT]
    if not 1 < len(odds) <= AMONG or softmax(odds)[ranked[0]] >= SURE:
        return dict(odds)
    shown = [card_document(name, cards[name].description, known.nearest(cards[name], place, SHOWN)) for name in ranked]
    result = session.run(ADAPTER, documents=shown)
    if not result.ok:
        return dict(odds)
    certain = min(max(result.confidence or 0.0, 1 / len(ranked)), 0.99)
    other = (1 - certain) / (len(ranked) - 1)
    right = result.output["adapter"]
    found = {name: odds[name] + math.log(certain if name == right else other) for name in ranked}
    before, after = (
        math.log(sum(math.exp(v) for v in each)) for each in ([odds[name] for name in ranked], found.values())
    )
    return {**odds, **{name: value + before - after for name, value in found.items()}}


def _cut(text: str) -> str:
    words = text.split()
    return " ".join(words[:WORDS]) + (" ..." if len(words) > WORDS else "")
