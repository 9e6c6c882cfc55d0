"""The serving side of LoRA: A and B of all resident adapters, stacked per linear layer, and one index per row.

y = W x + scaling * B[i] A[i] x with i the slot of the row's adapter; slot 0 is the base and costs nothing when a
whole batch uses it. Equal to PEFT within 1e-5 in float32 (tests/engine/test_equivalence.py). When an adapter is
active is the caller's business: an activated LoRA is one whose context was read at slot 0 (arXiv 2504.12397).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lora_agent.engine.local.bank import BASE_SLOT, AdapterBank
from lora_agent.errors import EngineError
from lora_agent.registry import LoraTensors


class Selection:
    """Which slot each row of the next forward passes uses."""

    def __init__(self, slots: Sequence[int], device: str) -> None:
        self.uniform = slots[0] if len(set(slots)) == 1 else None
        self.index = torch.tensor(slots, device=device)


class StackedLora(nn.Module):
    """One linear layer of the base with the resident adapters' updates beside it."""

    def __init__(self, base: nn.Module, owner: StackedBank) -> None:
        super().__init__()
        self.base = base
        self._owner = [owner]  # in a list: the bank is no submodule
        self.a: Tensor | None = None  # (slots, r, in)
        self.b: Tensor | None = None  # (slots, out, r), scaling folded in

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x)
        selection = self._owner[0].selection
        if selection is None or self.a is None or self.b is None or selection.uniform == BASE_SLOT:
            return y
        if selection.uniform is not None:
            a, b = self.a[selection.uniform], self.b[selection.uniform]
            flat = torch.addmm(y.reshape(-1, y.shape[-1]), x.reshape(-1, x.shape[-1]) @ a.T, b.T)
            return flat.view(y.shape)
        a, b = self.a[selection.index], self.b[selection.index]  # (B, r, in), (B, out, r)
        return torch.baddbmm(y, torch.bmm(x, a.transpose(1, 2)), b.transpose(1, 2))

    def put(self, slot: int, slots: int, tensors: LoraTensors | None, dtype: torch.dtype, device: str) -> None:
        """Fill one slot; None clears it. Ranks may differ: the stack is padded with zeros, which add nothing."""
        if tensors is None:
            if self.a is not None and self.b is not None:
                self.a[slot] = 0
                self.b[slot] = 0
            return
        rank = tensors.a.shape[0]
        self._grow(rank, slots, tensors, dtype, device)
        if self.a is None or self.b is None:
            raise EngineError("the adapter stack was not allocated")
        self.a[slot] = 0
        self.b[slot] = 0
        self.a[slot, :rank] = tensors.a.to(self.a)
        self.b[slot, :, :rank] = (tensors.b.float() * tensors.scaling).to(self.b)

    def _grow(self, rank: int, slots: int, tensors: LoraTensors, dtype: torch.dtype, device: str) -> None:
        held = 0 if self.a is None else self.a.shape[1]
        if held >= rank:
            return
        a = torch.zeros(slots, rank, tensors.a.shape[1], dtype=dtype, device=device)
        b = torch.zeros(slots, tensors.b.shape[0], rank, dtype=dtype, device=device)
        if self.a is not None and self.b is not None:
            a[:, :held], b[:, :, :held] = self.a, self.b
        self.a, self.b = a, b


class StackedBank(AdapterBank):
    """The stacked layers of one transformers model and what lies in their slots."""

    def __init__(self, model: Any, *, slots: int = 8, dtype: torch.dtype, device: str) -> None:
        super().__init__(slots)
        self.dtype = dtype
        self.device = device
        self.selection: Selection | None = None
        head = model.get_output_embeddings()
        self.layers: dict[str, StackedLora] = {}
        for name, module in list(model.named_modules()):
            if module is not head and _is_linear(module):
                self.layers[name] = StackedLora(module, self)
                model.set_submodule(name, self.layers[name])

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        found = {}
        for name, layer in self.layers.items():
            base: Any = layer.base
            found[name] = (int(base.out_features), int(base.in_features))
        return found

    @property
    def memory_bytes(self) -> int:
        held = [t for layer in self.layers.values() for t in (layer.a, layer.b) if t is not None]
        return sum(t.numel() * t.element_size() for t in held)

    def _write(self, slot: int, tensors: Mapping[str, LoraTensors] | None) -> None:
        for name, layer in self.layers.items():
            update = None if tensors is None else tensors.get(name)
            layer.put(slot, self.slots, update, self.dtype, self.device)

    @contextmanager
    def use(self, slots: Sequence[int]) -> Iterator[None]:
        """Forward passes inside use these slots, one per row. Outside, only the base speaks."""
        before = self.selection
        self.selection = Selection(slots, self.device)
        try:
            yield
        finally:
            self.selection = before


def _is_linear(module: nn.Module) -> bool:
    """torch's, bitsandbytes' and our unpacked linear layers."""
    from lora_agent.engine.local.unpacked import UnpackedLinear

    return isinstance(module, nn.Linear | UnpackedLinear)
