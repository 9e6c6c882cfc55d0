"""Forward passes of the base with whatever adapter the bank has selected. Knows tokens, caches and hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Runner:
    def __init__(self, model: Any, device: str) -> None:
        self.model = model
        self.device = device
        layers = model.config.num_hidden_layers
        self.feature_layers = (layers // 3, 2 * layers // 3, layers)
        """Hidden states that the router sees: a third of the way up, two thirds, and the last (normalised)."""

    def new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache()

    @torch.inference_mode()
    def read(self, ids: list[int], cache: Any) -> Tensor:
        """Read tokens into the cache; logits (vocabulary,) after the last one."""
        inputs = torch.tensor([ids], device=self.device)
        out = self.model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: Tensor = out.logits[0, -1]
        return logits

    @torch.inference_mode()
    def read_layers(self, ids: list[int], cache: Any) -> tuple[Tensor, ...]:
        """Read tokens into the cache; hidden states (tokens, hidden) of the feature layers. No logits."""
        inputs = torch.tensor([ids], device=self.device)
        decoder = self.model.get_decoder()
        out = decoder(input_ids=inputs, past_key_values=cache, use_cache=True, output_hidden_states=True)
        return tuple(out.hidden_states[layer][0] for layer in self.feature_layers)

    def features(self, hidden: tuple[Tensor, ...], start: int) -> Tensor:
        """The router's view of a turn: per feature layer the mean over tokens from `start` on, and the last token.
        float32 (2 * layers * hidden,) on the CPU."""
        parts = [part for h in hidden for part in (h[start:].float().mean(0), h[-1].float())]
        return torch.cat(parts).cpu()

    @torch.inference_mode()
    def choice(self, prompt: list[int], options: Mapping[str, list[int]], cache: Any) -> dict[str, float]:
        """Probabilities of token sequences after `prompt`, normalised over the options. The cache is left as it was."""
        before = cache.get_seq_length()
        first = torch.log_softmax(self.read(prompt, cache).float(), 0)
        start = cache.get_seq_length()
        totals = []
        for ids in options.values():
            total = float(first[ids[0]])
            if len(ids) > 1:
                out = self.model(input_ids=torch.tensor([ids[:-1]], device=self.device), past_key_values=cache)
                scores = torch.log_softmax(out.logits[0].float(), -1)
                total += float(sum(scores[i, token] for i, token in enumerate(ids[1:])))
                cache.crop(start - cache.get_seq_length())
            totals.append(total)
        cache.crop(before - start)
        return dict(zip(options, torch.softmax(torch.tensor(totals), 0).tolist(), strict=True))

    @torch.inference_mode()
    def logprobs(self, ids: list[int], positions: list[int], targets: list[int]) -> list[float]:
        """Natural-log probabilities of `targets[i]` after `ids[: positions[i] + 1]`, without any cache."""
        inputs = torch.tensor([ids], device=self.device)
        logits = self.model(input_ids=inputs, use_cache=False).logits[0]
        scores = torch.log_softmax(logits[positions].float(), -1)
        picked = scores.gather(1, torch.tensor(targets, device=scores.device)[:, None])[:, 0]
        return [float(v) for v in picked]
