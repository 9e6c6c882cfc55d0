"""How much the second look counts: fitted on the development requests that the first was not sure of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.channel import Hear, Heard, gains, is_sure
from lora_agent.routing.matcher import MatchedCards, Matcher
from lora_agent.routing.prototypes import Card

Looked = tuple[Tensor, Tensor, Tensor]
"""Of u requests and n adapters: log-odds before (u, n), gains (u, n), the right ones (u,)."""


def looked(before: Tensor, right: Tensor, told: Sequence[Card], texts: Sequence[str], hear: Hear) -> Looked:
    """What the base hears of the requests that the first look is not sure of."""
    unsure = [i for i, odds in enumerate(before) if not is_sure(odds)]
    heard = [gains(before[i], told, texts[i], hear) for i in unsure]
    return before[unsure], torch.stack(heard) if heard else before[unsure], right[unsure]


def again(
    before: Tensor, cards: MatchedCards, told: Sequence[Card], texts: Sequence[str], made: Matcher, hear: Hear
) -> Tensor:
    """Log-odds (m, n) as a router finds them, from those of its first look."""
    pairs = zip(before, texts, strict=True)
    return torch.stack([cards.look_again(odds, told, text, hear, made) for odds, text in pairs])


def fit(parts: Sequence[Looked], kept: float) -> Heard:
    """The likeliest factors, and the offset that keeps a share `kept` of these requests."""
    factors = torch.tensor([1.0, 0.3], requires_grad=True)
    optimizer = torch.optim.LBFGS([factors], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = [functional.cross_entropy(factors[0] * b + factors[1] * g, right) for b, g, right in parts]
        total = torch.stack(losses).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    scale, weight = factors.detach().tolist()
    nearest = torch.cat([(scale * before + weight * gained).amax(1) for before, gained, _ in parts])
    return Heard(scale, weight, float(nearest.quantile(1 - kept)))
