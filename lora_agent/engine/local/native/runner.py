"""The compiled forward pass as sessions and batches see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lora_agent.engine.local.native.bank import NativeBank
from lora_agent.engine.local.native.cache import KvCache, Snapshot
from lora_agent.engine.local.native.model import Feed, NativeModel
from lora_agent.engine.local.runner import Output, Runner, Wanted


class NativeRunner(Runner):
    def __init__(self, model: NativeModel, bank: NativeBank) -> None:
        super().__init__(model.config.layers)
        self.model = model
        self._bank = bank

    def new_cache(self) -> KvCache:
        return KvCache(self.model.kv)

    def snapshot(self, cache: KvCache) -> Snapshot:
        return cache.snapshot()

    def restore(self, snapshot: Snapshot, length: int) -> KvCache:
        return KvCache.restore(self.model.kv, snapshot, length)

    def batch(self, rows: int) -> RaggedBatch:
        return RaggedBatch(self, rows)

    def forward(
        self, ids: Sequence[int], cache: Any, slot: int, *, logits: Wanted, layers: Sequence[int] = ()
    ) -> Output:
        feed = Feed(ids, self.new_cache() if cache is None else cache, self._bank.pointer(slot))
        outputs = {"none": [], "last": [len(ids) - 1], "all": list(range(len(ids)))}[logits]
        out, hidden = self.model.forward([feed], outputs=outputs, taps=layers)
        return Output(out, tuple(hidden))

    def read_many(
        self, feeds: Sequence[Sequence[int]], caches: Sequence[KvCache], slots: Sequence[int], *, logits: bool = True
    ) -> Tensor:
        """Read each row's tokens onto its cache; logits (rows, vocabulary) after each row's last one."""
        rows = [Feed(f, c, self._bank.pointer(s)) for f, c, s in zip(feeds, caches, slots, strict=True)]
        ends, total = [], -1
        for feed in feeds:
            total += len(feed)
            ends.append(total)
        return self.model.forward(rows, outputs=ends if logits else ())[0]


class RaggedBatch:
    """Rows of different lengths without padding, each with a cache of its own."""

    def __init__(self, runner: NativeRunner, rows: int) -> None:
        self._runner = runner
        self._caches = [runner.new_cache() for _ in range(rows)]

    def keep(self, rows: Sequence[int]) -> None:
        if rows:
            self._caches = [self._caches[row] for row in rows]

    def read(self, feeds: Sequence[Sequence[int]], slots: Sequence[int], *, logits: bool = True) -> Tensor:
        return self._runner.read_many(feeds, self._caches, slots, logits=logits)
