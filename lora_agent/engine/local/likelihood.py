"""How likely the base finds a text as what a user says, told of one thing or another before.

What comes before the text is read once and kept with the other prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from lora_agent.registry import LooseLora
from lora_agent.types import Message

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine

MOST_TOKENS = 64
"""Of the text: what a request is for is said by then."""


def log_likelihoods(engine: LocalEngine, told: Sequence[str], text: str, weights: LooseLora | None) -> list[float]:
    """Natural-log probability of `text`, or its first 64 tokens, as the user's first turn after a system turn with each
    of `told`."""
    renderer, runner = engine.base.renderer, engine.runner
    starts, said = [], []
    for one in told:
        turns = [Message(role="system", content=one), Message(role="user", content=text)]
        ids = tuple(renderer.context(turns))
        start = renderer.text_start(ids, turns)
        starts.append(ids[: start - 1])
        said.append(ids[start - 1 : start + MOST_TOKENS])  # the first is what the first one of the text comes after
    with engine.admission.admitted(sum(map(len, starts)) + sum(map(len, said))), engine.holding(weights) as slot:
        caches = _opened(engine, starts, None if weights is None else weights.digest, slot)
        wanted = [len(row) - 1 for row in said]
        logits = runner.read_rows([row[:-1] for row in said], caches, slot, logits=wanted)
    found = []
    for row, scores in zip(said, logits, strict=True):
        targets = torch.tensor(row[1:], device=scores.device)
        found.append(float(torch.log_softmax(scores.float(), -1).gather(1, targets[:, None]).sum()))
    return found


def _opened(engine: LocalEngine, starts: Sequence[tuple[int, ...]], owner: str | None, slot: int) -> list[Any]:
    """A cache for each row that holds its start."""
    known = [engine.prefixes.longest(owner, start) for start in starts]
    caches = []
    new = []
    for index, (start, found) in enumerate(zip(starts, known, strict=True)):
        keep = found[1] if found is not None else 0
        caches.append(
            engine.runner.restore(found[0].state, keep) if found is not None and keep else engine.runner.new_cache()
        )
        if keep < len(start):
            new.append((index, start, keep))
    engine.runner.read_rows(
        [start[keep:] for _, start, keep in new], [caches[i] for i, *_ in new], slot, logits=[0] * len(new)
    )
    for index, start, _ in new:
        engine.prefixes.store(owner, start, engine.runner.snapshot(caches[index]), None)
    return caches
