"""Adapters for the compiled forward pass: per slot its own matrices, laid out by the layers read together."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lora_agent.engine.local.bank import AdapterBank
from lora_agent.engine.local.native.arena import Arena
from lora_agent.engine.local.native.model import CHUNK, LANES, PLACES, NativeModel, Update
from lora_agent.registry import LoraTensors


class NativeBank(AdapterBank):
    def __init__(self, model: NativeModel, *, slots: int = 8) -> None:
        super().__init__(slots)
        self._model = model
        self._pointers: dict[int, int] = {}
        self._held: dict[int, Arena] = {}

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        return self._model.shapes

    @property
    def memory_bytes(self) -> int:
        return sum(held.memory_bytes for held in self._held.values())

    def pointer(self, slot: int) -> int | None:
        """What a Feed names an adapter by; None for the bare base."""
        return self._pointers.get(slot)

    def _write(self, slot: int, tensors: Mapping[str, LoraTensors] | None) -> None:
        if slot in self._pointers:
            self._model.free_adapter(self._pointers.pop(slot))
            del self._held[slot]
        if tensors is None:
            return
        pointer, held = self._model.new_adapter(), Arena()
        for layer in range(self._model.config.layers):
            for place, layers in enumerate(PLACES):
                names = [f"model.layers.{layer}.{name}" for name in layers]
                if any(name in tensors for name in names):
                    self._model.set_adapter(pointer, layer, place, self._stack(names, tensors, held))
        self._pointers[slot], self._held[slot] = pointer, held

    def _stack(self, names: list[str], tensors: Mapping[str, LoraTensors], memory: Arena) -> Update:
        """A of the layers one below the other, each padded to the same rank; B likewise, in CHUNKs of rows.

        bfloat16 stays what it is; anything else becomes float32, so that nothing is rounded."""
        updates = [tensors.get(name) for name in names]
        some = [update for update in updates if update is not None]
        rank = max(update.a.shape[0] for update in some)
        rank += -rank % LANES
        exact = all(t.dtype == torch.bfloat16 for update in some for t in (update.a, update.b))
        dtype = torch.bfloat16 if exact else torch.float32
        shapes = [self.shapes[name] for name in names]
        a = memory.zeros((len(names), rank, shapes[0][1]), dtype)
        b = memory.zeros((sum(out for out, _ in shapes) // CHUNK, rank, CHUNK), dtype)
        first = 0
        for index, (update, (out, _)) in enumerate(zip(updates, shapes, strict=True)):
            if update is not None:
                own = update.a.shape[0]
                a[index, :own] = update.a
                b[first : first + out // CHUNK, :own] = update.b.view(-1, CHUNK, own).transpose(1, 2)
            first += out // CHUNK
        return Update(a, b, [0.0 if update is None else update.scaling for update in updates])
