"""When the head is not sure: one constrained decode over the adapters' names by the base itself.

The cards are appended to the context, read once, and the probability of each name under the base is the answer. Knows
sessions only through what `LocalSession.choose` offers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lora_agent.routing.prototypes import Card


class Chooser(Protocol):
    def choose(self, question: str, options: Sequence[str]) -> Mapping[str, float]:
        """Probability of each option as the base's next words after a system turn with `question`."""


def decode_choice(session: Chooser, cards: Sequence[Card]) -> dict[str, float]:
    """Probabilities over the cards' names."""
    lines = "\n".join(f"{card.name}: {card.description}" for card in cards)
    question = f"Which of these should take the next step?\n{lines}\nAnswer with its name."
    return dict(session.choose(question, [card.name for card in cards]))
