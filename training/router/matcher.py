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
from ..evaluate.calibrate import auroc, ece, platt, softmax, threshold, wilson

# A dropout of 0.1 finds 64 of 100 unseen skills, 0.3 71, 0.5 73: 850 intents are few (decision 052).
STEPS, INTENTS, RATE, DECAY, DROPOUT, WIDTH = 1200, 160, 1e-3, 0.3, 0.5, 256
CARD_SHARE = 0.5
"""How often a described intent's counterpart is its card."""
MOST_OTHERS = 6
TARGET_ACCURACY = 0.9
"""Of the choices among cards that are not abstained from; sets the threshold where it can be reached."""

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
    """The matcher with its odds and threshold from one half of the development intents' requests (each source's card
    or examples as adapters), and the report on the other half. `outside`: features (n, d) of requests for no intent.
    `embed`: what to report on instead of the matcher, for comparison."""
    plain = Matcher(weight, bias, 1.0, 0.0, 0.0)
    embed = embed or plain
    away = _unit(embed(outside))
    report: dict[str, Any] = {}
    fitted: list[tuple[Tensor, Tensor, Tensor]] = []
    for source in sorted({s.intent.source for s in dev}):
        group = [s for s in dev if s.intent.source == source]
        zero_shot = bool(group[0].intent.description)
        start = 0 if zero_shot else SHOTS
        adapters = torch.stack([_prototype(embed, s, zero_shot) for s in group])
        asked = torch.cat([s.utterances[start:] for s in group])
        right = torch.tensor([i for i, s in enumerate(group) for _ in s.utterances[start:]])
        similar = _unit(embed(asked)) @ adapters.T
        half = torch.arange(len(right)) % 2 == 0
        fitted.append((similar[half], right[half], (away @ adapters.T)[::2]))
        hits = similar[~half].argmax(1) == right[~half]
        found = {"adapters": len(group), "n": len(hits), "accuracy": round(float(hits.float().mean()), 4)}
        found["accuracy_95"] = [round(v, 4) for v in wilson(int(hits.sum()), len(hits))]
        known, unknown = similar[~half].max(1).values.numpy(), (away @ adapters.T)[1::2].max(1).values.numpy()
        if not zero_shot:
            found["outside_auroc"], found["outside_n"] = round(auroc(known, unknown), 4), len(unknown)
        report[source] = found
    scale, offset = _odds(fitted)
    confidence, correct = _confidence(fitted, scale, offset)
    tau = threshold(confidence, correct, TARGET_ACCURACY)
    report["calibration_ece"] = round(ece(confidence, correct), 4)
    report["covered"] = round(float((confidence >= tau).mean()), 4)
    return Matcher(weight, bias, scale, offset, tau), report


def _prototype(embed: Embed, seen: Seen, zero_shot: bool) -> Tensor:
    return _unit(embed(seen.card) if zero_shot else _unit(embed(seen.utterances[:SHOTS])).mean(0))


def _odds(fitted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    """Scale with the least negative log-likelihood of the right adapter; offset at which the nearest one is as likely
    right as not."""
    grid = np.exp(np.linspace(math.log(4), math.log(80), 40))
    losses = [
        np.mean([float(functional.cross_entropy(similar * s, right)) for similar, right, _ in fitted]) for s in grid
    ]
    nearest, is_right = [], []
    for similar, right, away in fitted:
        best = similar.max(1)
        nearest += [*best.values.tolist(), *away.max(1).values.tolist()]
        is_right += [*(best.indices == right).tolist(), *([False] * len(away))]
    a, b = platt(nearest, is_right)
    return float(grid[int(np.argmin(losses))]), -b / a


def _confidence(fitted: Sequence[tuple[Tensor, Tensor, Tensor]], scale: float, offset: float) -> tuple[Any, Any]:
    confidence, correct = [], []
    for similar, right, away in fitted:
        for values, truth in ((similar, right), (away, torch.full((len(away),), -1))):
            logits = np.concatenate([scale * (values.numpy() - offset), np.zeros((len(values), 1))], 1)
            p = softmax(logits.astype(np.float64))
            chosen = p.argmax(1)
            base = values.shape[1]
            confidence.append(p.max(1))
            correct.append((chosen == truth.numpy()) | ((chosen == base) & (truth.numpy() == -1)))
    return np.concatenate(confidence), np.concatenate(correct)


def _unit(v: Tensor) -> Tensor:
    return functional.normalize(v, dim=-1)
