"""The matcher: a linear map of the base's features in which requests lie near the cards of the adapters they are for.

Contrast over batches of intents: each gives one request and, as its counterpart, its card or the mean of some other
requests; both ways of finding the partner among all others of the batch are learnt (InfoNCE, arXiv 1807.03748).
Reported on intents of other sources than training, as `lora_agent.routing` will use them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.head import Matcher

from ..data.router.intents import SHOTS, Intent
from ..evaluate.calibrate import auroc, ece, wilson

# A dropout of 0.1 finds 64 of 100 unseen skills, 0.3 71, 0.5 73: 850 intents are few (decision 052).
STEPS, INTENTS, RATE, DECAY, DROPOUT, WIDTH = 1200, 160, 1e-3, 0.3, 0.5, 256
CARD_SHARE = 0.5
"""How often a described intent's counterpart is its card."""
MOST_OTHERS = 6
KEPT = 0.95
"""Share of the requests that an adapter serves which must not be taken for ones that none does; sets the offsets."""

Embed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Seen:
    """An intent with the standardised features of its card (d,) and its utterances (n, d)."""

    intent: Intent
    card: Tensor
    utterances: Tensor


def fit(seen: Sequence[Seen], seed: int = 0) -> tuple[Tensor, Tensor]:
    """(weight (WIDTH, d), bias (WIDTH,)). Starts from the whitened main directions of all features."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.nn.Parameter(_main_directions(torch.cat([s.utterances for s in seen])))
    bias = torch.nn.Parameter(torch.zeros(len(weight)))
    heat = torch.nn.Parameter(torch.tensor(math.log(20.0)))
    plain = {"params": [bias, heat], "weight_decay": 0.0}
    optimizer = torch.optim.AdamW([{"params": [weight], "weight_decay": DECAY}, plain], lr=RATE)
    often = torch.tensor([min(len(s.utterances), 8) ** 0.5 for s in seen])
    count = min(INTENTS, len(seen))

    def embed(x: Tensor) -> Tensor:
        return functional.normalize(functional.linear(functional.dropout(x, DROPOUT), weight, bias), dim=-1)

    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * (1 - step / STEPS)
        chosen = torch.multinomial(often, count, generator=generator).tolist()
        drawn = [_draw(seen[i], generator) for i in chosen]
        requests = embed(torch.stack([request for request, _ in drawn]))
        owner = torch.tensor([i for i, (_, others) in enumerate(drawn) for _ in others])
        others = embed(torch.cat([others for _, others in drawn]))
        partners = functional.normalize(torch.zeros_like(requests).index_add(0, owner, others), dim=-1)
        logits = requests @ partners.T * heat.exp()
        right = torch.arange(count)
        loss = (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return weight.detach(), bias.detach()


def _draw(seen: Seen, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A request (d,) and its counterpart's parts (n, d): the card, or other requests of the intent."""
    order = torch.randperm(len(seen.utterances), generator=generator)
    by_card = bool(seen.intent.description) and float(torch.rand(1, generator=generator)) < CARD_SHARE
    if by_card or len(order) == 1:
        return seen.utterances[order[0]], seen.card[None]
    count = 1 + int(torch.randint(0, min(MOST_OTHERS, len(order) - 1), (1,), generator=generator))
    return seen.utterances[order[0]], seen.utterances[order[1 : 1 + count]]


def _main_directions(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    _, spread, directions = torch.svd_lowrank(centred, q=WIDTH, niter=2)
    return ((directions / spread.clamp(min=1e-3)).T * math.sqrt(len(features) / WIDTH)).contiguous()


def calibrated(
    weight: Tensor, bias: Tensor, dev: Sequence[Seen], outside: Tensor, embed: Embed | None = None
) -> tuple[Matcher, dict[str, Any]]:
    """The matcher with its odds from one half of the development intents' requests (each source's cards or examples as
    adapters), and the report on the other half. `outside`: features (n, d) of requests for no intent. `embed`: what to
    report on instead of the matcher, for comparison."""
    embed = embed or Matcher(weight, bias, 1.0, 0.0, 0.0)
    worlds = [
        _world([s for s in dev if s.intent.source == name], embed) for name in sorted({s.intent.source for s in dev})
    ]
    away = _unit(embed(outside))
    offsets = {by_card: _offset([w for w in worlds if w.by_card == by_card]) for by_card in (True, False)}
    scale = _scale(worlds)
    report = {world.source: _report(world, away, scale, offsets[world.by_card]) for world in worlds}
    return Matcher(weight, bias, scale, offsets[True], offsets[False]), report


@dataclass(frozen=True)
class _World:
    """The adapters of one source (n, k), the similarity (m, n) of requests to them, and the right one of each."""

    source: str
    by_card: bool
    adapters: Tensor
    similar: Tensor
    right: Tensor

    def part(self, odd: bool) -> tuple[Tensor, Tensor]:
        return self.similar[odd::2], self.right[odd::2]


def _world(group: Sequence[Seen], embed: Embed) -> _World:
    by_card = bool(group[0].intent.description)
    start = 0 if by_card else SHOTS
    adapters = torch.stack([_prototype(embed, s, by_card) for s in group])
    asked = torch.cat([s.utterances[start:] for s in group])
    right = torch.tensor([i for i, s in enumerate(group) for _ in s.utterances[start:]])
    return _World(group[0].intent.source, by_card, adapters, _unit(embed(asked)) @ adapters.T, right)


def _prototype(embed: Embed, seen: Seen, by_card: bool) -> Tensor:
    return _unit(embed(seen.card) if by_card else _unit(embed(seen.utterances[:SHOTS])).mean(0))


def _scale(worlds: Sequence[_World]) -> float:
    """The one with the least negative log-likelihood of the right adapter."""
    grid = np.exp(np.linspace(math.log(4), math.log(80), 40))
    parts = [world.part(False) for world in worlds]
    losses = [np.mean([float(functional.cross_entropy(s * scale, right)) for s, right in parts]) for scale in grid]
    return float(grid[int(np.argmin(losses))])


def _offset(worlds: Sequence[_World]) -> float:
    """What all but 1 - KEPT of the requests are nearer than to some adapter; 0 without a world to learn it from."""
    nearest = [world.part(False)[0].max(1).values for world in worlds]
    return float(torch.cat(nearest).quantile(1 - KEPT)) if nearest else 0.0


def _report(world: _World, away: Tensor, scale: float, offset: float) -> dict[str, Any]:
    similar, right = world.part(True)
    hits = similar.argmax(1) == right
    confidence = torch.softmax(similar.double() * scale, 1).max(1).values.numpy()
    known, unknown = similar.max(1).values.numpy(), (away @ world.adapters.T).max(1).values.numpy()
    return {
        "adapters": len(world.adapters),
        "n": len(hits),
        "accuracy": round(float(hits.float().mean()), 4),
        "accuracy_95": [round(v, 4) for v in wilson(int(hits.sum()), len(hits))],
        "ece": round(ece(confidence, hits.numpy()), 4),
        "kept": round(float((known > offset).mean()), 4),
        "outside_auroc": round(auroc(known, unknown), 4),
        "outside_turned_away": round(float((unknown <= offset).mean()), 4),
        "outside_n": len(unknown),
    }


def _unit(v: Tensor) -> Tensor:
    return functional.normalize(v, dim=-1)
