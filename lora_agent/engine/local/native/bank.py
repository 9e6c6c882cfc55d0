"""Adapters for the compiled forward pass: per slot its own float32 matrices, laid out by the layers read together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lora_agent.engine.local.bank import AdapterBank
from lora_agent.engine.local.native.model import PLACES, NativeModel
from lora_agent.registry import LoraTensors

_LANES = 8
"""forward.c multiplies eight numbers at a time: ranks are padded with zeros, which add nothing."""


class NativeBank(AdapterBank):
    def __init__(self, model: NativeModel, *, slots: int = 8) -> None:
        super().__init__(slots)
        self._model = model
        self._pointers: dict[int, int] = {}
        self._held: dict[int, list[Tensor]] = {}

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        return self._model.shapes

    @property
    def memory_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for held in self._held.values() for t in held)

    def pointer(self, slot: int) -> int | None:
        """What a Feed names an adapter by; None for the bare base."""
        return self._pointers.get(slot)

    def _write(self, slot: int, tensors: Mapping[str, LoraTensors] | None) -> None:
        if slot in self._pointers:
            self._model.free_adapter(self._pointers.pop(slot))
            del self._held[slot]
        if tensors is None:
            return
        pointer = self._model.new_adapter()
        held: list[Tensor] = []
        for layer in range(self._model.config.layers):
            for place, names in enumerate(PLACES):
                updates = [tensors.get(f"model.layers.{layer}.{name}") for name in names]
                if any(update is not None for update in updates):
                    a, b = self._stack([f"model.layers.{layer}.{name}" for name in names], updates)
                    self._model.set_adapter(pointer, layer, place, a, b)
                    held += [a, b]
        self._pointers[slot], self._held[slot] = pointer, held

    def _stack(self, names: list[str], updates: list[LoraTensors | None]) -> tuple[Tensor, Tensor]:
        """A of the layers one below the other, each padded to the same rank; B likewise, with the scaling in it."""
        rank = max(update.a.shape[0] for update in updates if update is not None)
        rank += -rank % _LANES
        shapes = [self.shapes[name] for name in names]
        a = torch.zeros(len(names) * rank, shapes[0][1])
        b = torch.zeros(sum(out for out, _ in shapes), rank)
        row = 0
        for index, (update, (out, _)) in enumerate(zip(updates, shapes, strict=True)):
            if update is not None:
                own = update.a.shape[0]
                a[index * rank : index * rank + own] = update.a.float()
                b[row : row + out, :own] = update.b.float() * update.scaling
            row += out
        return a, b
