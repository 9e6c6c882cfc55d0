"""Adapters that no head was trained on, where a learnt map of the base's features puts them: cards and examples.

A card alone is compared as it lies there. Adapters with examples, their card being one of them, are told apart by
linear discriminant analysis: the examples' scatter about their means, shrunk to that of the intents the matcher was
trained on (regularised, doi 10.1080/01621459.1989.10478752), says which directions tell nothing. It is solved when
cards are read, in three seconds for a thousand adapters; nothing is trained. Knows vectors, no engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.prototypes import Card, Featurise

FOLDS = 5
PRIOR = 50.0
"""Examples that the scatter of the training intents counts as."""
CENTRE = 100.0
"""Adapters that the training intents' mean counts as."""
BACKGROUND = 0.25
"""Share of the similarity to the nearest training intent that counts against every adapter: what lies near anything."""
FEW = 40.0
"""Held-out examples at which the odds they tell and those of a few adapters count alike."""


@dataclass(frozen=True)
class Odds:
    """Of an adapter against "none of them": `scale * (similarity - offset)`, a natural logarithm."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Matcher:
    """A linear map `weight` (k, d), `bias` (k,) of standardised features after which a request lies near the cards and
    examples of the adapter that it is for. Trained by contrast on intents (InfoNCE, arXiv 1807.03748; the examples of
    an intent averaged as in prototypical networks, arXiv 1703.05175), so that an adapter it never saw needs no
    training. All odds keep nineteen of twenty requests that an adapter serves (training/router/matcher.py)."""

    weight: Tensor
    bias: Tensor
    cards: Odds
    examples: Odds
    """Of a few adapters; of many their own held-out examples tell."""
    level: float
    """Quantile of the held-out examples' similarities that becomes their offset."""
    heat: float
    """Factor on the scale that suits held-out examples best: they are by the hands that wrote the others."""
    background: Tensor
    """(b, k) unit vectors: the training intents' mean directions."""
    scatter: Tensor
    """(k, k): covariance of the training requests about their intents' means."""

    def __call__(self, standardised: Tensor) -> Tensor:
        return standardised @ self.weight.T + self.bias


class Discriminant:
    """Groups of unit vectors (n, k), one group for each adapter, told apart."""

    def __init__(self, groups: Sequence[Tensor], matcher: Matcher) -> None:
        means = torch.stack([group.mean(0) for group in groups])
        apart = torch.cat([group - mean for group, mean in zip(groups, means, strict=True)])
        self._centre = (means.sum(0) + CENTRE * matcher.background.mean(0)) / (len(means) + CENTRE)
        scatter = apart.T @ apart + PRIOR * matcher.scatter
        scatter += 1e-4 * scatter.trace() / len(scatter) * torch.eye(len(scatter))
        spread = torch.linalg.cholesky(scatter / (len(apart) - len(groups) + PRIOR))
        self._map = torch.linalg.inv(spread).T.contiguous()
        self._means = self._place(means)
        self._background = self._place(matcher.background)

    def similar(self, vectors: Tensor) -> Tensor:
        """(m, groups) for unit vectors (m, k)."""
        placed = self._place(vectors)
        anything = (placed @ self._background.T).amax(1, keepdim=True)
        return placed @ self._means.T - BACKGROUND * anything

    def _place(self, vectors: Tensor) -> Tensor:
        return functional.normalize((vectors - self._centre) @ self._map, dim=-1)


def held_out(groups: Sequence[Tensor], matcher: Matcher) -> tuple[Tensor, Tensor]:
    """Similarities (m, groups) of examples to groups that were made without them, and their own group's number (m,).
    The first of a group, its card, is always in it."""
    similar, right = [torch.empty(0, len(groups))], [torch.empty(0, dtype=torch.long)]
    for fold in range(FOLDS):
        out = [(torch.arange(len(g)) % FOLDS == fold) & (torch.arange(len(g)) > 0) for g in groups]
        if any(mask.any() for mask in out):
            space = Discriminant([g[~mask] for g, mask in zip(groups, out, strict=True)], matcher)
            similar.append(space.similar(torch.cat([g[mask] for g, mask in zip(groups, out, strict=True)])))
            right.append(torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([int(m.sum()) for m in out])))
    return torch.cat(similar), torch.cat(right)


def likeliest_scale(*parts: tuple[Tensor, Tensor]) -> float:
    """The factor on similarities (m, n) under which the right ones (m,) are likeliest, over all parts."""
    grid = torch.linspace(math.log(4), math.log(80), 40).exp().tolist()

    def loss(scale: float) -> float:
        return sum(float(functional.cross_entropy(similar * scale, right)) for similar, right in parts)

    best: float = min(grid, key=loss)
    return best


def example_odds(groups: Sequence[Tensor], matcher: Matcher) -> Odds:
    """What held-out examples tell, as far as there are enough of them."""
    similar, right = held_out(groups, matcher)
    few, share = matcher.examples, len(right) / (len(right) + FEW)
    if not len(right) or len(groups) < 2:
        return few
    scale = likeliest_scale((similar, right)) * matcher.heat
    offset = float(similar.amax(1).quantile(matcher.level))
    return Odds(few.scale ** (1 - share) * scale**share, few.offset * (1 - share) + offset * share)


class MatchedCards:
    """`cards` (n, k): where each adapter's card lies; `examples`: where its examples do (m, k), m may be 0."""

    def __init__(self, cards: Tensor, examples: Sequence[Tensor], matcher: Matcher) -> None:
        self._card_odds = matcher.cards
        self._cards = functional.normalize(cards, dim=-1)
        having = [index for index, group in enumerate(examples) if len(group)]
        self._having = torch.tensor(having, dtype=torch.long)
        groups = [functional.normalize(torch.cat([cards[i][None], examples[i]]), dim=-1) for i in having]
        self._space = Discriminant(groups, matcher) if groups else None
        self._odds = example_odds(groups, matcher) if groups else matcher.examples

    def log_odds(self, vectors: Tensor) -> Tensor:
        """(m, n) for vectors (m, k): against "none of them"."""
        vectors = functional.normalize(vectors, dim=-1)
        found = self._card_odds.scale * (vectors @ self._cards.T - self._card_odds.offset)
        if self._space is not None:
            found[:, self._having] = self._odds.scale * (self._space.similar(vectors) - self._odds.offset)
        return found


class Matched:
    """Cards by name; what `Prototypes` is for a head without a matcher."""

    def __init__(self, featurise: Featurise, cards: Iterable[Card], matcher: Matcher) -> None:
        self.cards = tuple(cards)
        places = [featurise(card.text) for card in self.cards]
        examples = [torch.stack([*map(featurise, c.examples)]) if c.examples else torch.empty(0) for c in self.cards]
        self._matched = MatchedCards(torch.stack(places), examples, matcher) if places else None

    def log_odds(self, place: Tensor) -> dict[str, float]:
        """By adapter, for where a request lies (k,)."""
        if self._matched is None:
            return {}
        found = self._matched.log_odds(place[None])[0].tolist()
        return dict(zip((card.name for card in self.cards), found, strict=True))
