"""A second look at the likeliest adapters: how likely the base finds the request, told of each one before.

A language model tells better which of two descriptions a text was said under than which of two descriptions fits a
text that it has read (noisy channel prompting, arXiv 2108.04106). Its probability under an adapter's card, over that
under a card for anything, is added to what the matcher says (decision 083). Knows cards and numbers, no engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_agent.routing.prototypes import Card

Hear = Callable[[Sequence[str], str], Sequence[float]]
"""What the base is told each time, and a text → natural-log probabilities that a user says it then."""

ANYTHING = Card("assistant", "Answers questions and helps with tasks of all kinds.")
LIKELIEST, WITHIN = 5, 4.0
"""Adapters that are looked at again, at most, and how far below the best one's log-odds: among thirty of one line each
the right one is there for 97 of 100 requests (decisions 083, 089)."""
SURE = 0.9
"""Probability of the first choice from which it is not looked at again."""


@dataclass(frozen=True)
class Heard:
    """Log-odds of an adapter after a second look: `scale` times those before, plus `weight` times the logarithm of how
    much likelier the text is under its card than under one for anything, minus `offset`."""

    scale: float
    weight: float
    offset: float

    def log_odds(self, before: Tensor, gained: Tensor) -> Tensor:
        return self.scale * before + self.weight * gained - self.offset


def is_sure(before: Tensor) -> bool:
    """Of log-odds (n,) against "none of them"."""
    return float(torch.softmax(torch.cat([before, before.new_zeros(1)]), 0).max()) >= SURE


def gains(before: Tensor, cards: Sequence[Card], text: str, hear: Hear) -> Tensor:
    """How much likelier the text is under each card (n,), where `before` (n,) are log-odds: of the likeliest ones, and
    of all others the least that was found."""
    chosen = before.topk(min(LIKELIEST, len(cards))).indices
    chosen = chosen[before[chosen] >= before.max() - WITHIN]
    anything, *heard = hear([ANYTHING.told, *(cards[i].told for i in chosen.tolist())], text)
    gained = torch.tensor(heard) - anything
    return torch.full((len(cards),), float(gained.min())).scatter(0, chosen, gained)
