"""Adapters that no head was trained on, where a learnt map of the base's features puts them: cards and examples.

A card alone is compared as it lies there. Adapters with examples, their card being one of them, are told apart by
linear discriminant analysis: the examples' scatter about their means, shrunk to that of the intents the matcher was
trained on (regularised, doi 10.1080/01621459.1989.10478752), says which directions tell nothing. It is solved when
cards are read, in a few seconds for a thousand adapters; nothing is trained. What the letters share with the examples
counts besides (`ngrams`). Knows texts and vectors, no engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.channel import Hear, Heard, gains, is_sure
from lora_agent.routing.ngrams import NgramMeans, Ngrams, ngrams
from lora_agent.routing.prototypes import Card, Featurise

FOLDS = 5
PRIOR = 50.0
"""Examples that the scatter of the training intents counts as."""
CENTRE = 100.0
"""Adapters that the training intents' mean counts as."""
BACKGROUND = 0.25
"""Share of the similarity to the nearest training intent that counts against every adapter: what lies near anything."""
LETTERS = 0.3
"""What a cosine similarity of n-grams counts as beside one of directions."""
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
    heard_cards: Heard | None = None
    heard_examples: Heard | None = None
    """How a second look counts; None: there is none."""

    @property
    def looks_again(self) -> bool:
        return self.heard_cards is not None or self.heard_examples is not None

    def __call__(self, standardised: Tensor) -> Tensor:
        return standardised @ self.weight.T + self.bias


@dataclass(frozen=True)
class Placed:
    """Texts, the unit vectors (n, k) where the matcher puts them, and their n-grams."""

    texts: tuple[str, ...]
    vectors: Tensor
    letters: tuple[Ngrams, ...]

    @classmethod
    def of(cls, places: Tensor, texts: Iterable[str]) -> Placed:
        texts = tuple(texts)
        return cls(texts, functional.normalize(places, dim=-1), tuple(map(ngrams, texts)))

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, chosen: Sequence[int]) -> Placed:
        texts = tuple(self.texts[i] for i in chosen)
        return Placed(texts, self.vectors[list(chosen)], tuple(self.letters[i] for i in chosen))


def joined(parts: Iterable[Placed]) -> Placed:
    """All texts of all parts; there must be some part."""
    parts = list(parts)
    texts = tuple(chain.from_iterable(part.texts for part in parts))
    letters = tuple(chain.from_iterable(part.letters for part in parts))
    return Placed(texts, torch.cat([part.vectors for part in parts]), letters)


class Alone:
    """Cards without examples, as they lie there."""

    def __init__(self, cards: Placed) -> None:
        self._vectors = cards.vectors
        self._letters = NgramMeans([[card] for card in cards.letters])

    def similar(self, texts: Placed) -> Tensor:
        """(m, cards) for m texts."""
        return texts.vectors @ self._vectors.T + LETTERS * self._letters.similar(texts.letters)


class Discriminant:
    """Groups of texts, one group for each adapter, told apart by their vectors and a little by their letters."""

    def __init__(self, groups: Sequence[Placed], matcher: Matcher) -> None:
        means = torch.stack([group.vectors.mean(0) for group in groups])
        apart = torch.cat([group.vectors - mean for group, mean in zip(groups, means, strict=True)])
        self._centre = (means.sum(0) + CENTRE * matcher.background.mean(0)) / (len(means) + CENTRE)
        scatter = apart.T @ apart + PRIOR * matcher.scatter
        scatter += 1e-4 * scatter.trace() / len(scatter) * torch.eye(len(scatter))
        spread = torch.linalg.cholesky(scatter / (len(apart) - len(groups) + PRIOR))
        self._map = torch.linalg.inv(spread).T.contiguous()
        self._means = self._place(means)
        self._background = self._place(matcher.background)
        self._letters = NgramMeans([group.letters for group in groups])

    def similar(self, texts: Placed) -> Tensor:
        """(m, groups) for m texts."""
        placed = self._place(texts.vectors)
        anything = (placed @ self._background.T).amax(1, keepdim=True)
        return placed @ self._means.T - BACKGROUND * anything + LETTERS * self._letters.similar(texts.letters)

    def _place(self, vectors: Tensor) -> Tensor:
        return functional.normalize((vectors - self._centre) @ self._map, dim=-1)


def held_out(groups: Sequence[Placed], matcher: Matcher) -> tuple[Tensor, Tensor]:
    """Similarities (m, groups) of examples to groups that were made without them, and their own group's number (m,).
    The first of a group, its card, is always in it."""
    similar, right = [torch.empty(0, len(groups))], [torch.empty(0, dtype=torch.long)]
    for fold in range(FOLDS):
        out = [[i for i in range(1, len(group)) if i % FOLDS == fold] for group in groups]
        if any(out):
            kept = [[i for i in range(len(g)) if i not in away] for g, away in zip(groups, out, strict=True)]
            space = Discriminant([group[stay] for group, stay in zip(groups, kept, strict=True)], matcher)
            similar.append(space.similar(joined(group[away] for group, away in zip(groups, out, strict=True))))
            right.append(torch.repeat_interleave(torch.arange(len(groups)), torch.tensor([*map(len, out)])))
    return torch.cat(similar), torch.cat(right)


def likeliest_scale(*parts: tuple[Tensor, Tensor]) -> float:
    """The factor on similarities (m, n) under which the right ones (m,) are likeliest, over all parts."""
    grid = torch.linspace(math.log(4), math.log(80), 40).exp().tolist()

    def loss(scale: float) -> float:
        return sum(float(functional.cross_entropy(similar * scale, right)) for similar, right in parts)

    best: float = min(grid, key=loss)
    return best


def example_odds(groups: Sequence[Placed], matcher: Matcher) -> Odds:
    """What held-out examples tell, as far as there are enough of them."""
    similar, right = held_out(groups, matcher)
    few, share = matcher.examples, len(right) / (len(right) + FEW)
    if not len(right) or len(groups) < 2:
        return few
    scale = likeliest_scale((similar, right)) * matcher.heat
    offset = float(similar.amax(1).quantile(matcher.level))
    return Odds(few.scale ** (1 - share) * scale**share, few.offset * (1 - share) + offset * share)


class MatchedCards:
    """`cards`: where each adapter's card lies; `examples`: where its examples do, which may be none."""

    def __init__(self, cards: Placed, examples: Sequence[Placed], matcher: Matcher) -> None:
        self._count = len(cards)
        self._card_odds = matcher.cards
        self._bare = [index for index, group in enumerate(examples) if not len(group)]
        self._having = [index for index, group in enumerate(examples) if len(group)]
        self._alone = Alone(cards[self._bare]) if self._bare else None
        groups = [joined((cards[[i]], examples[i])) for i in self._having]
        self._space = Discriminant(groups, matcher) if groups else None
        self._odds = example_odds(groups, matcher) if groups else matcher.examples

    def log_odds(self, texts: Placed) -> Tensor:
        """(m, n) for m texts: against "none of them"."""
        found = torch.empty(len(texts), self._count)
        if self._alone is not None:
            found[:, self._bare] = self._card_odds.scale * (self._alone.similar(texts) - self._card_odds.offset)
        if self._space is not None:
            found[:, self._having] = self._odds.scale * (self._space.similar(texts) - self._odds.offset)
        return found

    def look_again(self, before: Tensor, told: Sequence[Card], text: str, hear: Hear, matcher: Matcher) -> Tensor:
        """(n,) log-odds of a request from those before; the same where they are sure. `told`: the cards."""
        if is_sure(before):
            return before
        gained = gains(before, told, text, hear)
        found = before.clone()
        for columns, heard in ((self._bare, matcher.heard_cards), (self._having, matcher.heard_examples)):
            if heard is not None:
                found[columns] = heard.log_odds(before[columns], gained[columns])
        return found


class Matched:
    """Cards by name; what `Prototypes` is for a head without a matcher. `hear`: what a second look asks, if any."""

    def __init__(self, featurise: Featurise, cards: Iterable[Card], matcher: Matcher, hear: Hear | None = None) -> None:
        self.cards = tuple(cards)
        self._matcher, self._hear = matcher, hear
        width = len(matcher.weight)

        def placed(texts: Sequence[str]) -> Placed:
            return Placed.of(torch.stack([*map(featurise, texts)]) if texts else torch.empty(0, width), texts)

        texts = [card.text for card in self.cards]
        examples = [placed(card.examples) for card in self.cards]
        self._matched = MatchedCards(placed(texts), examples, matcher) if texts else None

    def log_odds(self, place: Tensor, text: str) -> dict[str, float]:
        """By adapter, for a request `text` that lies at `place` (k,)."""
        if self._matched is None:
            return {}
        found = self._matched.log_odds(Placed.of(place[None], [text]))[0]
        if self._hear is not None and text:
            found = self._matched.look_again(found, self.cards, text, self._hear, self._matcher)
        return dict(zip((card.name for card in self.cards), found.tolist(), strict=True))
