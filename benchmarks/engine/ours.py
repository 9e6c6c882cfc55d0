"""The same work through our engine, nothing taken from its caches unless the case says so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lora_agent.engine.local.engine import LocalEngine

from .cases import Call


class Ours:
    name = "lora-agent"

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def prefill(self, ids: list[int]) -> None:
        self.engine.runner.read(ids, self.engine.runner.new_cache())

    def decode(self, ids: list[int], tokens: int, adapter: str | None = None) -> None:
        """Greedy, without guesses: each token costs a pass."""
        runner = self.engine.runner
        slot = 0 if adapter is None else self.engine.resident(self.engine.package(adapter))
        cache = runner.new_cache()
        logits = runner.read(ids, cache)
        for _ in range(tokens):
            logits = runner.read([int(logits.numpy().argmax())], cache, slot)

    def call(self, call: Call) -> str:
        self.engine.prefixes.clear()
        return self.engine.call(call.adapter, call.inputs).raw

    def first_token(self, first: Call, second: Call) -> float:
        """Seconds from asking for a second adapter on a conversation that has been read to its first token."""
        runner = self.engine.runner
        cache = runner.new_cache()
        runner.read(first.context, cache)
        slots = [self.engine.resident(self.engine.package(c.adapter)) for c in (first, second)]
        for c, slot in zip((first, second), slots, strict=True):
            started = time.perf_counter()
            runner.read(c.tail, cache, slot)
            seconds = time.perf_counter() - started
            cache.crop(-len(c.tail))
        return seconds

    def invocation_alone(self, call: Call) -> None:
        """What reading the second adapter's tokens costs without any context."""
        slot = self.engine.resident(self.engine.package(call.adapter))
        self.engine.runner.read(call.tail, self.engine.runner.new_cache(), slot)

    def rows(self, ids: list[int], adapters: Sequence[str | None], tokens: int) -> None:
        """A batch of rows, one adapter each, decoded together."""
        runner = self.engine.runner
        slots = [0 if a is None else self.engine.resident(self.engine.package(a)) for a in adapters]
        batch = runner.batch(len(slots))
        logits = batch.read([ids] * len(slots), [0] * len(slots))
        for _ in range(tokens):
            logits = batch.read([[int(row.numpy().argmax())] for row in logits], slots)

    def concurrent(self, calls: Sequence[Call], threads: int) -> None:
        self.engine.prefixes.clear()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda c: self.engine.call(c.adapter, c.inputs), calls))

    def load_adapter(self, name: str) -> None:
        """From disk into a slot."""
        from lora_agent.registry import read_tensors

        bank = self.engine.bank
        package = self.engine.package(name)
        bank.drop(package.digest)
        bank.put(package.digest, read_tensors(package, bank.shapes))
