"""The serving side of LoRA: A and B of all resident adapters, stacked per linear layer, and one index per row.

y = W x + scaling * B[i] A[i] x with i the slot of the row's adapter; slot 0 is the base and costs nothing when a
whole batch uses it. Equal to PEFT within 1e-5 in float32 (tests/engine/test_equivalence.py). When an adapter is
active is the caller's business: an activated LoRA is one whose context was read at slot 0 (arXiv 2504.12397).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lora_agent.errors import EngineError
from lora_agent.registry import LoraTensors

BASE_SLOT = 0


class Selection:
    """Which slot each row of the next forward passes uses."""

    def __init__(self, slots: Sequence[int], device: str) -> None:
        self.uniform = slots[0] if len(set(slots)) == 1 else None
        self.index = torch.tensor(slots, device=device)


class StackedLora(nn.Module):
    """One linear layer of the base with the resident adapters' updates beside it."""

    def __init__(self, base: nn.Module, owner: AdapterBank) -> None:
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


class AdapterBank:
    """The stacked layers of one model and what lies in their slots. Least recently used adapters give way."""

    def __init__(self, model: Any, *, slots: int = 8, dtype: torch.dtype, device: str) -> None:
        self.slots = slots + 1
        self.dtype = dtype
        self.device = device
        self.selection: Selection | None = None
        self._resident: OrderedDict[str, int] = OrderedDict()
        head = model.get_output_embeddings()
        self.layers: dict[str, StackedLora] = {}
        for name, module in list(model.named_modules()):
            if module is not head and _is_linear(module):
                self.layers[name] = StackedLora(module, self)
                model.set_submodule(name, self.layers[name])

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every adaptable layer by its path."""
        found = {}
        for name, layer in self.layers.items():
            base: Any = layer.base
            found[name] = (int(base.out_features), int(base.in_features))
        return found

    @property
    def resident(self) -> tuple[str, ...]:
        """Digests in the slots, least recently used first."""
        return tuple(self._resident)

    @property
    def memory_bytes(self) -> int:
        held = [t for layer in self.layers.values() for t in (layer.a, layer.b) if t is not None]
        return sum(t.numel() * t.element_size() for t in held)

    def find(self, digest: str) -> int | None:
        """The slot of a resident adapter, marked as just used."""
        if digest in self._resident:
            self._resident.move_to_end(digest)
            return self._resident[digest]
        return None

    def put(self, digest: str, tensors: Mapping[str, LoraTensors], keep: Sequence[str] = ()) -> int:
        """Make an adapter resident and return its slot. `keep`: digests that must stay (the running batch)."""
        slot = self._free_slot(keep)
        for name, layer in self.layers.items():
            layer.put(slot, self.slots, tensors.get(name), self.dtype, self.device)
        self._resident[digest] = slot
        return slot

    def drop(self, digest: str) -> None:
        slot = self._resident.pop(digest, None)
        if slot is not None:
            for layer in self.layers.values():
                layer.put(slot, self.slots, None, self.dtype, self.device)

    @contextmanager
    def use(self, slots: Sequence[int]) -> Iterator[None]:
        """Forward passes inside use these slots, one per row. Outside, only the base speaks."""
        before = self.selection
        self.selection = Selection(slots, self.device)
        try:
            yield
        finally:
            self.selection = before

    def _free_slot(self, keep: Sequence[str]) -> int:
        taken = set(self._resident.values())
        for slot in range(1, self.slots):
            if slot not in taken:
                return slot
        for digest in self._resident:
            if digest not in keep:
                return self._resident.pop(digest)
        raise EngineError(
            f"{len(keep)} different adapters in one batch, but {self.slots - 1} slots",
            hint="Load the engine with more: Engine.load(slots=...).",
        )


def _is_linear(module: nn.Module) -> bool:
    """torch's, bitsandbytes' and our unpacked linear layers."""
    from lora_agent.engine.local.unpacked import UnpackedLinear

    return isinstance(module, nn.Linear | UnpackedLinear)
