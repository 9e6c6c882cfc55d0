"""Weights that are still PEFT's, run by the engine that serves: in the middle of a fit, or for methods without slots.

Same rendering, grammar and decode loop as for a package; only "slot 1" means the layers that PEFT put into the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.torch_runner import TorchRunner
from lora_agent.registry import AdapterPackage, Registry

from ..fit.forward import base_only

_SLOT = 1


class _Switch:
    """Stands in for AdapterBank: one adapter, on or off."""

    resident = ()

    def __init__(self, model: Any) -> None:
        self._model = model

    def find(self, digest: str) -> int:
        """There is one adapter, and it never leaves."""
        return _SLOT

    def pin(self, digest: str) -> None: ...

    def unpin(self, digest: str) -> None: ...

    def pinned(self, digest: str) -> bool:
        return False

    @contextmanager
    def use(self, slots: Sequence[int]) -> Iterator[None]:
        with nullcontext() if any(slots) else base_only(self._model):
            yield


class LiveEngine(LocalEngine):
    """An engine for one package without files. Make a new one after every change of the weights: what it has read
    it remembers. With a model that has no adapter layers (full fine-tuning) every slot is the model itself."""

    def __init__(self, base: BaseModel, package: AdapterPackage) -> None:
        super().__init__(base, Registry({package.name: package}), allow_ungated=True)

    def _forward_pass(self, slots: int) -> Any:
        switch: Any = _Switch(self.base.model)
        return switch, TorchRunner(self.base.model, self.base.device, switch)
