"""The matcher: a linear map of the base's features in which requests lie near the cards of the adapters they are for.

Contrast over batches of intents: each gives one request and, as its counterpart, its card or the mean of some other
requests; both ways of finding the partner among all others of the batch are learnt (InfoNCE, arXiv 1807.03748).
Reported on intents of other sources than training, as `lora_agent.routing` will use them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.routing.channel import Hear, Heard
from lora_agent.routing.matcher import (
    Alone,
    Discriminant,
    MatchedCards,
    Matcher,
    Odds,
    Placed,
    held_out,
    joined,
    likeliest_scale,
)
from lora_agent.routing.prototypes import Card

from ..data.router.intents import SHOTS, Intent
from ..evaluate.calibrate import auroc, ece, wilson
from . import second_look

# A dropout of 0.1 finds 64 of 100 unseen skills, 0.3 71, 0.5 73: 850 intents are few (decision 052).
STEPS, INTENTS, RATE, DECAY, DROPOUT, WIDTH = 1600, 320, 1e-3, 0.3, 0.5, 256
CARD_SHARE = 0.5
"""How often a described intent's counterpart is its card."""
MOST_OTHERS = 6
KEPT = 0.95
"""Share of the requests that an adapter serves which must not be taken for ones that none does; sets the offsets."""
FEW_WORLDS, FEW_ADAPTERS, FEW_SHOTS = 20, 4, 5

Embed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Outside:
    """Requests that no intent is for, with their standardised features (n, d)."""

    texts: Sequence[str]
    features: Tensor


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
    weight: Tensor,
    bias: Tensor,
    train: Sequence[Seen],
    dev: Sequence[Seen],
    outside: Outside,
    hear: Hear | None = None,
) -> tuple[Matcher, dict[str, Any]]:
    """The matcher with its odds from one half of the development intents' requests (each source's cards or examples as
    adapters), and the report on the other half. `outside`: requests for no intent. `hear`: the base, for a second look;
    None: the matcher has none."""

    def embed(features: Tensor) -> Tensor:
        return _unit(functional.linear(features, weight, bias))

    seen = [embed(s.utterances) for s in train]
    apart = torch.cat([group - group.mean(0) for group in seen])
    scatter = apart.T @ apart / max(1, len(apart) - len(seen))
    background = _unit(torch.stack([group.mean(0) for group in seen]))
    start = Odds(20.0, 0.0)
    made = Matcher(weight, bias, start, start, 1 - KEPT, 1.0, background, scatter)
    worlds = _worlds(dev, embed)
    by_card, by_example = [w for w in worlds if not w.shots], [w for w in worlds if w.shots]
    made = replace(made, cards=_odds([_by_cards(world) for world in by_card]))
    made = replace(made, examples=_odds([few for world in by_example for few in _few(world, made)]))
    made = replace(made, **_held_out_against_asked(by_example, made))
    away = Placed.of(embed(outside.features), outside.texts)
    report = {world.source: _report(world, away, made, None) for world in worlds}
    if hear is None:
        return made, report
    made = replace(made, heard_cards=_heard(by_card, made, hear), heard_examples=_heard(by_example, made, hear))
    return made, {**{w.source: _report(w, away, made, hear) for w in worlds}, "at_first_look": report}


def plain(dev: Sequence[Seen], outside: Outside) -> dict[str, Any]:
    """What the features themselves find by cosine similarity, for comparison."""
    found = {}
    for world in _worlds(dev, _unit):
        groups = [
            group.vectors.mean(0) if len(group) else card
            for card, group in zip(world.cards.vectors, world.examples, strict=True)
        ]
        adapters = _unit(torch.stack(groups))
        similar, right = world.asked.vectors[1::2] @ adapters.T, world.right[1::2]
        away = (_unit(outside.features) @ adapters.T).amax(1)
        found[world.source] = _choice(similar, right) | {"outside_auroc": _auroc(similar.amax(1), away)}
    return found


@dataclass(frozen=True)
class _World:
    """One source's adapters: their n cards, examples (SHOTS or none) of each; m requests, the right ones (m,)."""

    source: str
    told: list[Card]
    cards: Placed
    examples: list[Placed]
    asked: Placed
    right: Tensor

    @property
    def shots(self) -> int:
        return len(self.examples[0])

    def groups(self) -> list[Placed]:
        return [joined((self.cards[[i]], group)) for i, group in enumerate(self.examples)]

    def half(self, odd: int) -> tuple[Placed, Tensor]:
        """Every other request, and its adapter."""
        return self.asked[range(odd, len(self.asked), 2)], self.right[odd::2]


def _worlds(dev: Sequence[Seen], embed: Embed) -> list[_World]:
    sources = sorted({s.intent.source for s in dev})
    return [_world(name, [s for s in dev if s.intent.source == name], embed) for name in sources]


def _world(name: str, group: Sequence[Seen], embed: Embed) -> _World:
    start = 0 if group[0].intent.description else SHOTS
    examples = [Placed.of(embed(s.utterances[:start]), s.intent.utterances[:start]) for s in group]
    texts = [text for s in group for text in s.intent.utterances[start:]]
    asked = Placed.of(embed(torch.cat([s.utterances[start:] for s in group])), texts)
    right = torch.tensor([i for i, s in enumerate(group) for _ in s.utterances[start:]])
    cards = Placed.of(embed(torch.stack([s.card for s in group])), [s.intent.card for s in group])
    told = [Card(s.intent.name, s.intent.description, s.intent.utterances[:start]) for s in group]
    return _World(name, told, cards, examples, asked, right)


def _by_cards(world: _World) -> tuple[Tensor, Tensor]:
    """Similarities (m, n) of every other request to the cards, and the right ones."""
    asked, right = world.half(0)
    return Alone(world.cards).similar(asked), right


def _few(world: _World, made: Matcher) -> Iterator[tuple[Tensor, Tensor]]:
    """The same for examples where there are a few adapters with a few examples each, as an agent has."""
    generator = torch.Generator().manual_seed(0)
    every, (asked, right) = world.groups(), world.half(0)
    for _ in range(FEW_WORLDS):
        chosen = torch.randperm(len(world.cards), generator=generator)[:FEW_ADAPTERS]
        groups = [every[i][range(min(FEW_SHOTS + 1, len(every[i])))] for i in chosen.tolist()]
        own = (right[:, None] == chosen).nonzero()
        if len(own):
            yield Discriminant(groups, made).similar(asked[own[:, 0].tolist()]), own[:, 1]


def _odds(parts: Sequence[tuple[Tensor, Tensor]]) -> Odds:
    """The likeliest scale, and the offset that all but 1 - KEPT of the requests are nearer than to some adapter."""
    if not parts:
        return Odds(20.0, 0.0)
    return Odds(likeliest_scale(*parts), float(torch.cat([similar.amax(1) for similar, _ in parts]).quantile(1 - KEPT)))


def _held_out_against_asked(worlds: Sequence[_World], made: Matcher) -> dict[str, float]:
    """How held-out examples differ from real requests: `level` and `heat`, averaged over the worlds."""
    if not worlds:
        return {}
    levels, heats = [], []
    for world in worlds:
        asked, right = world.half(0)
        similar = Discriminant(world.groups(), made).similar(asked)
        held, own = held_out(world.groups(), made)
        wanted = similar.amax(1).quantile(1 - KEPT)
        levels.append(float((held.amax(1) <= wanted).float().mean()))
        heats.append(likeliest_scale((similar, right)) / likeliest_scale((held, own)))
    return {"level": sum(levels) / len(levels), "heat": math.exp(sum(map(math.log, heats)) / len(heats))}


def _heard(worlds: Sequence[_World], made: Matcher, hear: Hear) -> Heard | None:
    parts = []
    for world in worlds:
        asked, right = world.half(0)
        before = MatchedCards(world.cards, world.examples, made).log_odds(asked)
        parts.append(second_look.looked(before, right, world.told, asked.texts, hear))
    return second_look.fit(parts, KEPT) if parts else None


def _report(world: _World, away: Placed, made: Matcher, hear: Hear | None) -> dict[str, Any]:
    """What no adapter is for: `away`, or where adapters are cards the same requests with their own card taken out:
    thirty general skills are for much of what lies outside CLINC150."""
    cards = MatchedCards(world.cards, world.examples, made)
    asked, right = world.half(1)
    unasked = away if world.shots else asked
    odds, outside = cards.log_odds(asked), cards.log_odds(unasked)
    if not world.shots:
        outside[torch.arange(len(odds)), right] = -math.inf
    if hear is not None:
        odds = second_look.again(odds, cards, world.told, asked.texts, made, hear)
        outside = second_look.again(outside, cards, world.told, unasked.texts, made, hear)
    known, unknown = odds.amax(1), outside.amax(1)
    return _choice(odds, right) | {
        "kept": round(float((known > 0).float().mean()), 4),
        "outside_auroc": _auroc(known, unknown),
        "outside_turned_away": round(float((unknown <= 0).float().mean()), 4),
        "outside_n": len(unknown),
    }


def _choice(odds: Tensor, right: Tensor) -> dict[str, Any]:
    hits = odds.argmax(1) == right
    confidence = torch.softmax(odds.double(), 1).amax(1).numpy()
    return {
        "adapters": odds.shape[1],
        "n": len(hits),
        "accuracy": round(float(hits.float().mean()), 4),
        "accuracy_95": [round(v, 4) for v in wilson(int(hits.sum()), len(hits))],
        "ece": round(ece(confidence, hits.numpy()), 4),
    }


def _auroc(known: Tensor, unknown: Tensor) -> float:
    return round(auroc(known.numpy(), unknown.numpy()), 4)


def _unit(v: Tensor) -> Tensor:
    return functional.normalize(v, dim=-1)
