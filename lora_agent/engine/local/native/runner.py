"""The compiled forward pass as sessions and batches see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora_agent.engine.local.ahead import Ahead, allowed_by
from lora_agent.engine.local.bank import BASE_SLOT
from lora_agent.engine.local.native.bank import NativeBank
from lora_agent.engine.local.native.cache import KvCache, Snapshot
from lora_agent.engine.local.native.model import Feed, NativeModel
from lora_agent.engine.local.native.passes import Job, Passes, Piece
from lora_agent.engine.local.runner import Output, Runner


class NativeRunner(Runner):
    """Calls from several threads are computed together (see passes.py)."""

    guesses = True
    merges = True

    def __init__(self, model: NativeModel, bank: NativeBank) -> None:
        super().__init__(model.config.layers)
        self.model = model
        self._bank = bank
        self.passes = Passes(self._compute)

    def new_cache(self) -> KvCache:
        return KvCache(self.model.kv)

    def snapshot(self, cache: KvCache) -> Snapshot:
        return cache.snapshot()

    def restore(self, snapshot: Snapshot, length: int) -> KvCache:
        return KvCache.restore(self.model.kv, snapshot, length)

    def batch(self, rows: int) -> RaggedBatch:
        return RaggedBatch(self, rows)

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
        own = self.new_cache() if cache is None else cache
        job = Job(ids, own, self._bank.pointer(slot), logits, tuple(layers), ahead)
        self.passes.do([job])
        hidden = torch.cat(job.hidden, 1) if job.hidden else torch.empty(0, 0, 0)
        return Output(_joined(job.logits), tuple(hidden))

    def read_rows(
        self, feeds: Sequence[Sequence[int]], caches: Sequence[Any], slot: int = BASE_SLOT, *, logits: Sequence[int]
    ) -> list[Tensor]:
        adapter = self._bank.pointer(slot)
        rows = zip(feeds, caches, logits, strict=True)
        jobs = [Job(feed, cache, adapter, wanted) for feed, cache, wanted in rows]
        self.passes.do(jobs)
        return [_joined(job.logits) for job in jobs]

    def _compute(self, pieces: list[Piece]) -> None:
        """One pass over the next tokens of several jobs."""
        feeds, outputs, ends = [], [], []
        first = 0
        for job, tokens in ((piece.job, piece.tokens) for piece in pieces):
            rows = range(max(0, len(job.ids) - job.logits_of - job.read), tokens)
            feeds.append(Feed(job.ids[job.read : job.read + tokens], job.cache, job.adapter))
            outputs += [first + row for row in rows]
            first += tokens
            ends.append((len(outputs), first))
        taps = sorted({layer for piece in pieces for layer in piece.job.layers})
        wanted = [piece.job.ahead for piece in pieces if piece.job.logits_of]
        logits, hidden = self.model.forward(feeds, outputs=outputs, allowed=lambda: allowed_by(wanted), taps=taps)
        output = row = 0
        for (job, tokens), (next_output, next_row) in zip(((p.job, p.tokens) for p in pieces), ends, strict=True):
            if next_output > output:
                job.logits.append(logits[output:next_output])
            if job.layers:
                job.hidden.append(hidden[[taps.index(layer) for layer in job.layers], row:next_row])
            job.read += tokens
            output, row = next_output, next_row

    def read_many(
        self,
        feeds: Sequence[Sequence[int]],
        caches: Sequence[KvCache],
        slots: Sequence[int],
        ahead: Sequence[Ahead | None] = (),
        *,
        logits: bool = True,
    ) -> Tensor:
        """Read each row's tokens onto its cache; logits (rows, vocabulary) after each row's last one."""
        rows = zip(feeds, caches, slots, ahead or [None] * len(feeds), strict=True)
        jobs = [Job(f, c, self._bank.pointer(s), int(logits), ahead=a) for f, c, s, a in rows]
        self.passes.do(jobs)
        return _joined([part for job in jobs for part in job.logits])


def _joined(pieces: list[Tensor]) -> Tensor:
    """numpy: torch's threads, woken to copy rows of this size, would get in the way of the next pass."""
    if not pieces:
        return torch.empty(0, 0)
    return pieces[0] if len(pieces) == 1 else torch.from_numpy(np.concatenate([piece.numpy() for piece in pieces]))


class RaggedBatch:
    """Rows of different lengths without padding, each with a cache of its own."""

    def __init__(self, runner: NativeRunner, rows: int) -> None:
        self._runner = runner
        self._caches = [runner.new_cache() for _ in range(rows)]

    def keep(self, rows: Sequence[int]) -> None:
        if rows:
            self._caches = [self._caches[row] for row in rows]

    def read(
        self,
        feeds: Sequence[Sequence[int]],
        slots: Sequence[int],
        ahead: Sequence[Ahead | None] = (),
        *,
        logits: bool = True,
    ) -> Tensor:
        return self._runner.read_many(feeds, self._caches, slots, ahead, logits=logits)
