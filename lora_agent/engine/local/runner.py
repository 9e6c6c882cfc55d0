"""What sessions and batches ask of a forward pass, whichever way it is computed. Knows tokens, slots and hidden states.

Two ways exist: `torch_runner.py` runs the transformers model on any device, `native/` the compiled pass on a CPU.
A cache is the runner's own; the rest of the engine only measures it, crops it and hands it back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lora_agent.engine.local.ahead import Ahead
from lora_agent.engine.local.bank import BASE_SLOT


class Cache(Protocol):
    """Keys and values of one sequence."""

    def get_seq_length(self) -> int: ...

    def crop(self, tokens: int, /) -> None:
        """Forget the last `-tokens` positions (transformers' sign)."""


class Output(NamedTuple):
    logits: Tensor
    """(wanted, vocabulary)"""
    hidden: tuple[Tensor, ...]
    """(tokens, hidden) per layer asked for"""


class BatchReader(Protocol):
    """Several sequences that are read together, each with its own cache."""

    def read(
        self,
        feeds: Sequence[Sequence[int]],
        slots: Sequence[int],
        ahead: Sequence[Ahead | None] = (),
        *,
        logits: bool = True,
    ) -> Tensor:
        """Read each row's tokens with its slot; logits (rows, vocabulary) after each row's last one. `ahead`: per row
        what comes next under its grammar; logits of tokens that no row may take need not be computed (-inf)."""

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""


def feature_layers(layers: int) -> tuple[int, int, int]:
    """Hidden states that the router sees: a third of the way up, two thirds, and the last (normalised)."""
    return (layers // 3, 2 * layers // 3, layers)


def turn_features(hidden: Sequence[Tensor], start: int) -> Tensor:
    """The router's view of a turn: per feature layer the mean over tokens from `start` on, and the last token.
    float32 (2 * layers * hidden,) on the CPU."""
    parts = [part for h in hidden for part in (h[start:].float().mean(0), h[-1].float())]
    return torch.cat(parts).cpu()


class Runner(ABC):
    guesses = False
    """Whether a few tokens more in a pass cost so little that guessing them pays."""
    merges = False
    """Whether what several threads want read at the same time is read in shared passes."""

    def __init__(self, layers: int) -> None:
        self.feature_layers = feature_layers(layers)

    @abstractmethod
    def new_cache(self) -> Any: ...

    @abstractmethod
    def snapshot(self, cache: Any) -> Any:
        """What the cache holds now; later changes of the cache do not reach it."""

    @abstractmethod
    def restore(self, snapshot: Any, length: int) -> Any:
        """A cache that starts with the first `length` tokens of a snapshot."""

    @abstractmethod
    def batch(self, rows: int) -> BatchReader: ...

    @abstractmethod
    def forward(
        self,
        ids: Sequence[int],
        cache: Any,
        slot: int,
        *,
        logits: int,
        layers: Sequence[int] = (),
        ahead: Ahead | None = None,
    ) -> Output:
        """Read tokens into the cache (None: no cache is kept). `logits`: of how many of the last tokens; `ahead`: what
        may come there under a grammar; logits of other tokens need not be computed (-inf)."""

    def read(self, ids: Sequence[int], cache: Any, slot: int = BASE_SLOT) -> Tensor:
        """Read tokens into the cache; logits (vocabulary,) after the last one."""
        return self.forward(ids, cache, slot, logits=1).logits[0]

    def read_layers(self, ids: Sequence[int], cache: Any) -> tuple[Tensor, ...]:
        """Read tokens into the cache; hidden states (tokens, hidden) of the feature layers. No logits."""
        return self.forward(ids, cache, BASE_SLOT, logits=0, layers=self.feature_layers).hidden

    def read_rows(
        self, feeds: Sequence[Sequence[int]], caches: Sequence[Any], slot: int = BASE_SLOT, *, logits: Sequence[int]
    ) -> list[Tensor]:
        """Read each row's tokens onto its own cache, together where that is faster; of each row's last `logits[row]`
        tokens the logits (logits[row], vocabulary)."""
        rows = zip(feeds, caches, logits, strict=True)
        return [self.forward(feed, cache, slot, logits=wanted).logits for feed, cache, wanted in rows]

    def choice(self, prompt: Sequence[int], options: Mapping[str, list[int]], cache: Any) -> dict[str, float]:
        """Probabilities of token sequences after `prompt`, normalised over the options. The cache is left as it was."""
        before = cache.get_seq_length()
        first = torch.log_softmax(self.read(prompt, cache).float(), 0)
        start = cache.get_seq_length()
        totals = []
        for ids in options.values():
            total = float(first[ids[0]])
            if len(ids) > 1:
                out = self.forward(ids[:-1], cache, BASE_SLOT, logits=len(ids) - 1).logits
                scores = torch.log_softmax(out.float(), -1)
                total += float(sum(scores[i, token] for i, token in enumerate(ids[1:])))
                cache.crop(start - cache.get_seq_length())
            totals.append(total)
        cache.crop(before - start)
        return dict(zip(options, torch.softmax(torch.tensor(totals), 0).tolist(), strict=True))

    def logprobs(
        self, ids: Sequence[int], positions: Sequence[int], targets: Sequence[int], slot: int = BASE_SLOT
    ) -> list[float]:
        """Natural-log probabilities of `targets[i]` after `ids[: positions[i] + 1]`, without any cache."""
        first = min(positions)
        out = self.forward(ids, None, slot, logits=len(ids) - first).logits
        scores = torch.log_softmax(out[[position - first for position in positions]].float(), -1)
        picked = scores.gather(1, torch.tensor(list(targets), device=scores.device)[:, None])[:, 0]
        return [float(v) for v in picked]
