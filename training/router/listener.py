"""What a second look listens with: a LoRA under which a request is likelier after its own card than after near ones.

Each step draws CARDS intents that lie near each other on the matcher's map, and two requests of each. Every request is
read after every card; the cross-entropy over the sums of its log-probabilities is what is learnt (decision 084), with
a tenth of the likelihood itself (noisy channel prompting, arXiv 2108.04106). Interrupted, it goes on from its state.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.likelihood import MOST_TOKENS
from lora_agent.registry import LoraTensors
from lora_agent.registry.tensors import TENSOR
from lora_agent.routing import Card
from lora_agent.types import Message

from ..data.router.intents import Intent
from ..fit.batches import Line, pack
from ..fit.forward import read_pass, use_packed_passes
from ..fit.precision import multiplies_bfloat16
from ..fit.trainable import decoder_of

STEPS, WARMUP, SAVE_EVERY = 270, 15, 50  # 1,200 tell no better (decision 089)
CARDS, REQUESTS, NEAR = 4, 2, 16
"""Intents of a step, requests of each, and among how many nearest ones they are drawn."""
SAME = 0.9
"""Intents that lie nearer (cosine) may be the same under two names, and are not told apart."""
RANK, SCALING, RATE = 16, 2.0, 4e-4
HEAT, LIKELIHOOD = 0.3, 0.1
SHOTS = (0, 0, 1, 3, 5)
"""How many examples stand on the cards of a step."""
_CHUNK = 256


def fit(
    base: BaseModel, intents: Sequence[Intent], near: Sequence[Sequence[int]], state: Path
) -> dict[str, LoraTensors]:
    """`base`: frozen, in plain layers (`load_frozen`). `near`: of each intent the nearest others' numbers. `state`:
    where weights and optimiser are kept every 50 steps."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=RANK, lora_alpha=SCALING * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base.model, config)
    use_packed_passes(model)
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(weights.values(), lr=RATE, weight_decay=0.0)
    rng, first = random.Random(0), 0
    if state.is_file():
        saved = torch.load(state, weights_only=False)
        first = saved["step"]
        optimizer.load_state_dict(saved["optimizer"])
        rng.setstate(saved["rng"])
        for name, value in saved["weights"].items():
            weights[name].data.copy_(value)
    several = [i for i, intent in enumerate(intents) if len(intent.utterances) > 1]
    started = time.monotonic()
    model.train()
    for step in range(first, STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP) * (1 - step / STEPS)
        loss, share = _loss(base, model, *_draw(intents, several, near, rng))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()
        done = step + 1
        if done % 10 == 0:
            rate = (done - first) / (time.monotonic() - started)
            left = (STEPS - done) / rate / 60
            told = f"loss {float(loss.detach()):.3f}, right {share:.2f}, {60 * rate:.1f} steps/min, {left:.1f} min left"
            print(f"listener: {done}/{STEPS}, {told}", file=sys.stderr)
        if done % SAVE_EVERY == 0 or done == STEPS:
            kept = {name: p.data for name, p in weights.items()}
            whole = state.with_suffix(".tmp")
            torch.save(
                {"step": done, "weights": kept, "optimizer": optimizer.state_dict(), "rng": rng.getstate()}, whole
            )
            whole.replace(state)
    return tensors_of(weights)


def tensors_of(weights: dict[str, Any]) -> dict[str, LoraTensors]:
    """By module, from PEFT's names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        match = TENSOR.fullmatch(name.replace(".default.", "."))
        if match is None:
            raise ValueError(f"{name!r} is not a LoRA matrix")
        parts.setdefault(match["module"], {})[match["matrix"]] = value.detach()
    return {module: LoraTensors(pair["A"], pair["B"], SCALING) for module, pair in parts.items()}


def neighbours(places: Tensor) -> list[list[int]]:
    """Of each intent's unit vector (n, k) the NEAR nearest others that are not the same."""
    similar = places @ places.T
    similar.fill_diagonal_(-1)
    similar[similar > SAME] = -1
    found: list[list[int]] = similar.topk(min(NEAR, len(places) - 1)).indices.tolist()
    return found


def _draw(
    intents: Sequence[Intent], several: Sequence[int], near: Sequence[Sequence[int]], rng: random.Random
) -> tuple[list[str], list[str], list[int]]:
    """What is told of each card, requests, and the number of each one's card. `several`: intents of more than one
    request, near which all are drawn."""
    first = rng.choice(several)
    chosen = [first, *rng.sample(list(near[first]), CARDS - 1)]
    shots = rng.choice(SHOTS)
    told, said, owner = [], [], []
    for number, index in enumerate(chosen):
        intent = intents[index]
        texts = rng.sample(intent.utterances, len(intent.utterances))
        asked, shown = texts[:REQUESTS], tuple(texts[REQUESTS : REQUESTS + shots])
        bare = bool(shown) and rng.random() < 0.2  # some adapters have a name and examples only
        told.append(Card(intent.name, "" if bare else intent.description, shown).told)
        said += asked
        owner += [number] * len(asked)
    return told, said, owner


def _loss(base: BaseModel, model: Any, told: list[str], said: list[str], owner: list[int]) -> tuple[Tensor, float]:
    """The loss, and the share of requests that are likeliest after their own card."""
    totals, lengths = log_likelihoods(base, model, told, said)
    right = torch.tensor(owner)
    own = totals.gather(1, right[:, None])[:, 0] / lengths
    loss = functional.cross_entropy(HEAT * totals, right) - LIKELIHOOD * own.mean()
    return loss, float((totals.argmax(1) == right).float().mean())


def log_likelihoods(base: BaseModel, model: Any, told: Sequence[str], said: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Log-probabilities (requests, cards) of each request after each card, as the engine's `log_likelihoods` counts
    them, and the requests' lengths in tokens (requests,)."""
    from transformers import DynamicCache

    cards, texts = _tokens(base, told, said)
    opening = [Line([], ids) for ids in cards]
    before, known = pack(opening, 0)
    pairs = [(text, card) for text in range(len(texts)) for card in range(len(cards))]
    lines = [Line(list(opening[card].before), texts[text]) for text, card in pairs]
    after, _ = pack(lines, known)
    cache = DynamicCache()
    narrow = multiplies_bfloat16(torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        hidden = torch.cat([read_pass(model, part, cache)[0] for part in (before, after)])
    ends = torch.tensor([len(ids) for ids in cards]).cumsum(0) - 1
    places, targets, row_of = [], [], []
    start = sum(map(len, cards))
    for row, (text, card) in enumerate(pairs):
        count = len(texts[text])
        places += [int(ends[card]), *range(start, start + count - 1)]
        targets += texts[text]
        row_of += [row] * count
        start += count
    output = decoder_of(model).get_output_embeddings().weight.to(torch.bfloat16 if narrow else torch.float32)
    each = TokenLogProbs.apply(hidden[places].float(), output, torch.tensor(targets))
    totals = torch.zeros(len(pairs)).index_add(0, torch.tensor(row_of), each)
    return totals.view(len(texts), len(cards)), torch.tensor([len(ids) for ids in texts])


def _tokens(base: BaseModel, told: Sequence[str], said: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
    """The cards as system turns up to where a user's text begins, and the texts to their turns' ends."""
    cards, texts = [], []
    for one in told:
        turns = [Message(role="system", content=one), Message(role="user", content=said[0])]
        whole = base.renderer.context(turns)
        cards.append(whole[: base.renderer.text_start(whole, turns)])
    for text in said:
        whole = base.renderer.context([Message(role="system", content=told[-1]), Message(role="user", content=text)])
        texts.append(whole[len(cards[-1]) :][:MOST_TOKENS])
    return cards, texts


class TokenLogProbs(torch.autograd.Function):
    """hidden (N, d), output (vocabulary, d), targets (N,) → log-probabilities (N,).

    The gradient, the target's row less the mean row under the softmax, is made beside the values a few tokens at a
    time, so that no (N, vocabulary) is kept."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, output: Tensor, targets: Tensor) -> Tensor:
        values, slopes = [], []
        for start in range(0, len(hidden), _CHUNK):
            chosen = targets[start : start + _CHUNK]
            logits = (hidden[start : start + _CHUNK].to(output.dtype) @ output.T).float()
            total = logits.logsumexp(1)
            values.append(logits.gather(1, chosen[:, None])[:, 0] - total)
            if ctx.needs_input_grad[0]:
                mean = logits.sub_(total[:, None]).exp_().to(output.dtype) @ output
                slopes.append((output[chosen] - mean).float())
        if slopes:
            ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * grads[0][:, None], None, None
