"""The forward pass through transformers: any architecture, any device. The reference for the compiled one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lora_agent.engine.local.ahead import Ahead
from lora_agent.engine.local.lora import StackedBank
from lora_agent.engine.local.runner import Output, Runner


class TorchRunner(Runner):
    def __init__(self, model: Any, device: str, bank: StackedBank) -> None:
        super().__init__(model.config.num_hidden_layers)
        self.model = model
        self.device = device
        self._bank = bank
        self.turn = threading.Lock()
        """Which adapters act is the bank's state: one forward pass at a time."""

    def new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache()

    def snapshot(self, cache: Any) -> Any:
        # transformers' cache concatenates: its tensors are never written to after they are made.
        return tuple((layer.keys, layer.values) for layer in cache.layers)

    def restore(self, snapshot: Any, length: int) -> Any:
        cache = self.new_cache()
        for index, (keys, values) in enumerate(snapshot):
            cache.update(keys[:, :, :length], values[:, :, :length], index)
        return cache

    def batch(self, rows: int) -> PaddedBatch:
        return PaddedBatch(self, self._bank, rows)

    @torch.inference_mode()
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
        inputs = torch.tensor([list(ids)], device=self.device)
        shared: dict[str, Any] = {"input_ids": inputs, "past_key_values": cache, "use_cache": cache is not None}
        with self.turn, self._bank.use([slot]):
            if not logits:
                out = self.model.get_decoder()(**shared, output_hidden_states=bool(layers))
                return Output(inputs.new_empty(0), tuple(out.hidden_states[layer][0] for layer in layers))
            out = self.model(**shared, logits_to_keep=logits, output_hidden_states=bool(layers))
        hidden = tuple(out.hidden_states[layer][0] for layer in layers)
        return Output(out.logits[0, -logits:], hidden)


class PaddedBatch:
    """A padded cache of B rows and what is real in it. Rows are right-padded; the padding stays in the cache and is
    masked, positions are given explicitly."""

    def __init__(self, runner: TorchRunner, bank: StackedBank, rows: int) -> None:
        self._model = runner.model
        self._turn = runner.turn
        self._device = runner.device
        self._bank = bank
        self._cache = runner.new_cache()
        self._mask = torch.zeros(rows, 0, dtype=torch.bool, device=runner.device)

    def keep(self, rows: Sequence[int]) -> None:
        if 0 < len(rows) < len(self._mask):
            index = torch.tensor(list(rows), device=self._device)
            self._cache.batch_select_indices(index)
            self._mask = self._mask[index]

    @torch.inference_mode()
    def read(
        self,
        feeds: Sequence[Sequence[int]],
        slots: Sequence[int],
        ahead: Sequence[Ahead | None] = (),
        *,
        logits: bool = True,
    ) -> Tensor:
        width = max(map(len, feeds))
        ids = torch.zeros(len(feeds), width, dtype=torch.long)
        real = torch.zeros(len(feeds), width, dtype=torch.bool)
        for i, feed in enumerate(feeds):
            ids[i, : len(feed)] = torch.tensor(list(feed), dtype=torch.long)
            real[i, : len(feed)] = True
        ids, real = ids.to(self._device), real.to(self._device)
        start = self._mask.sum(1, keepdim=True)
        positions = (start + real.long().cumsum(1) - 1).clamp(min=0)
        self._mask = torch.cat([self._mask, real], 1)
        with self._turn, self._bank.use(slots):
            hidden: Tensor = self._model.get_decoder()(
                input_ids=ids,
                attention_mask=self._mask.long(),
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
            ).last_hidden_state
        if not logits:
            return hidden
        last = (real.sum(1) - 1).clamp(min=0)
        out: Tensor = self._model.get_output_embeddings()(hidden[torch.arange(len(feeds)), last])
        return out
