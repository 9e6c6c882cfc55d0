"""Whose weights lie in which slot, for how long: adapters are read and proven when they are first used, and stay while
a decode works with them. Knows nothing of sessions or of the registry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from lora_agent.engine.local.bank import BASE_SLOT, AdapterBank, NoFreeSlotError
from lora_agent.engine.local.runner import Runner
from lora_agent.registry import AdapterPackage, LooseLora, LoraTensors, check_fingerprint, read_tensors

Prove = Callable[[int], None]
"""Raises when the adapter in a slot does not act as it did where it was built."""

_PRINTS = 64
"""Texts of fingerprints whose reading by the base is remembered."""


class Slots:
    """Safe from several threads. `lock` is held while slots change; never while tokens are read for a user."""

    def __init__(self, bank: AdapterBank, runner: Runner, lock: threading.RLock) -> None:
        self._bank, self._runner = bank, runner
        self._freed = threading.Condition(lock)
        self._loading: set[str] = set()
        self._proven: set[str] = set()
        self._base_prints: dict[tuple[tuple[int, ...], ...], list[float]] = {}

    @contextmanager
    def using(self, packages: Sequence[AdapterPackage]) -> Iterator[list[int]]:
        """The packages' slots, which stay theirs inside. Waits while running decodes hold all slots; whoever pins
        several at once must be alone in it, or two could wait for each other."""
        keep = [package.digest for package in packages]
        held: list[str] = []
        slots: list[int] = []
        try:
            for package in packages:
                slots.append(self._pin(package.digest, keep, partial(self._read_package, package)))
                held.append(package.digest)
            yield slots
        finally:
            self._release(held)

    @contextmanager
    def holding(self, weights: LooseLora | None) -> Iterator[int]:
        """The slot of weights that belong to no package, which stays theirs inside; without any, that of the base."""
        if weights is None:
            yield BASE_SLOT
            return
        slot = self._pin(weights.digest, [weights.digest], lambda: (weights.tensors(), None))
        try:
            yield slot
        finally:
            self._release([weights.digest])

    def forget(self, digest: str) -> None:
        """Read and prove it anew when it is wanted next; waits while a decode works with it."""
        with self._freed:
            while self._bank.pinned(digest):
                self._freed.wait()
            self._proven.discard(digest)
            self._bank.drop(digest)

    def doubt(self, digest: str) -> None:
        """Prove it anew when it is read next; the slot keeps it for work that has begun."""
        self._proven.discard(digest)

    def _release(self, digests: Sequence[str]) -> None:
        with self._freed:
            for digest in digests:
                self._bank.unpin(digest)
            self._freed.notify_all()

    def _read_package(self, package: AdapterPackage) -> tuple[Mapping[str, LoraTensors], Prove | None]:
        return read_tensors(package, self._bank.shapes), partial(self._prove, package)

    def _pin(
        self, digest: str, keep: Sequence[str], read: Callable[[], tuple[Mapping[str, LoraTensors], Prove | None]]
    ) -> int:
        """While one thread reads and proves an adapter, those who want it wait, and nobody else does."""
        with self._freed:
            while digest in self._loading:
                self._freed.wait()
            slot = self._bank.find(digest)
            if slot is not None:
                self._bank.pin(digest)
                return slot
            self._loading.add(digest)
        try:
            return self._load(digest, keep, *read())
        finally:
            with self._freed:
                self._loading.discard(digest)
                self._freed.notify_all()

    def _load(self, digest: str, keep: Sequence[str], tensors: Mapping[str, LoraTensors], prove: Prove | None) -> int:
        with self._freed:
            while (slot := self._put(digest, tensors, keep)) is None:
                self._freed.wait()
            self._bank.pin(digest)
        if prove is not None and digest not in self._proven:
            try:
                prove(slot)
            except BaseException:
                with self._freed:
                    self._bank.unpin(digest)
                    self._bank.drop(digest)
                raise
            self._proven.add(digest)
        return slot

    def _put(self, digest: str, tensors: Mapping[str, LoraTensors], keep: Sequence[str]) -> int | None:
        try:
            return self._bank.put(digest, tensors, keep)
        except NoFreeSlotError:
            return None

    def _prove(self, package: AdapterPackage, slot: int) -> None:
        """Fail closed: the adapter must act here as it did where it was built."""
        print_ = package.manifest.fingerprint
        key = (tuple(print_.canary), tuple(print_.positions), tuple(print_.targets))
        base = self._base_prints.get(key)  # most packages are printed on the same text
        if base is None:
            if len(self._base_prints) == _PRINTS:
                self._base_prints.clear()
            base = self._base_prints[key] = self._runner.logprobs(*key)
        adapted = self._runner.logprobs(print_.canary, print_.positions, print_.targets, slot)
        check_fingerprint(print_, base, adapted)
