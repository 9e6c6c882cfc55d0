"""Adapters that no head was trained on: one prototype per adapter, from its card and its examples.

For a head without a matcher. A prototype is the direction of the card's text, and the mean direction of the examples,
in the base's hidden states (after the recipe of LoRAuter, arXiv 2601.21795). Adding an adapter costs one short prefill
per example and no training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_agent.errors import ConfigError

Featurise = Callable[[str], Tensor]
"""A user turn's text → what is compared (k,)."""


MOST_TOLD, MOST_LETTERS = 5, 200
"""Examples of an adapter that the base is told, and how much of each."""


@dataclass(frozen=True)
class Card:
    """What the router knows of an adapter: its name, when to use it, and utterances that it should take."""

    name: str
    description: str
    examples: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the base reads of it."""
        words = self.name.replace("_", " ")
        return f"{words}: {self.description}" if self.description else words

    @property
    def told(self) -> str:
        """What the base is told of it before it hears what a user says."""
        lines = [self.text[:1].upper() + self.text[1:]]
        if self.examples:
            lines += ["For example:", *(f"- {text[:MOST_LETTERS]}" for text in self.examples[:MOST_TOLD])]
        return "\n".join(lines)


def read_cards(raw: object) -> tuple[Card, ...]:
    """Cards from YAML: a list of {name, description, examples?}. Raises ConfigError."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise ConfigError(f"cards must be a list, not {raw!r:.80}", hint="See `lora-agent route --help`.")
    cards = []
    for index, item in enumerate(raw):
        if not isinstance(item, dict) or not {"name", "description"} <= item.keys() <= {
            "name",
            "description",
            "examples",
        }:
            raise ConfigError(
                f"cards[{index}] is {item!r:.120}", hint="A card has `name`, `description` and optionally `examples`."
            )
        cards.append(Card(str(item["name"]), str(item["description"]), tuple(map(str, item.get("examples") or ()))))
    names = [card.name for card in cards]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise ConfigError(f"two cards are called {sorted(twice)[0]!r}", hint="Rename one of them.")
    return tuple(cards)


class Prototypes:
    """Unit vectors of all adapters in one matrix, so that a thousand are compared in one product."""

    def __init__(self, featurise: Featurise, cards: Iterable[Card], scale: float = 1.0, offset: float = 0.0) -> None:
        self.cards = tuple(cards)
        self._scale, self._offset = scale, offset
        rows = [_prototype(featurise, card) for card in self.cards]
        self._vectors = torch.cat(rows) if rows else torch.empty(0, 0)
        self._owner = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(r) for r in rows]).long())

    def log_odds(self, place: Tensor, _text: str) -> dict[str, float]:
        """By adapter, against "none of them", for where a request lies (k,). Its letters say nothing here."""
        return {name: self._scale * (near - self._offset) for name, near in self.similarities(place).items()}

    def similarities(self, place: Tensor) -> dict[str, float]:
        """Cosine similarity of what is compared (k,) to each adapter's prototypes: the nearest one counts."""
        if not self.cards:
            return {}
        near = torch.full((len(self.cards),), -1.0)
        near.scatter_reduce_(0, self._owner, self._vectors @ _unit(place), "amax")
        return dict(zip((card.name for card in self.cards), near.tolist(), strict=True))


def _prototype(featurise: Featurise, card: Card) -> Tensor:
    """(1 or 2, k): the card's own direction, and the examples' mean direction when there are any."""
    rows = [_unit(featurise(card.text))]
    if card.examples:
        rows.append(_unit(torch.stack([_unit(featurise(text)) for text in card.examples]).mean(0)))
    return torch.stack(rows)


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / vector.norm().clamp(min=1e-8)
    return unit
