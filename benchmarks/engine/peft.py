"""transformers with PEFT, and a grammar as a logits processor."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.structured import Grammar

from .cases import Call
from .peer import Batching
from .plain import write_plain


class Peft(Batching):
    """transformers' own model of the NF4 checkpoint, PEFT's adapters on it, `generate`."""

    name = "transformers + PEFT"

    def __init__(self, engine: LocalEngine) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(ensure_checkpoint(None, "nf4").path, dtype=torch.float32)
        folders = {name: engine.package(name).folder for name in engine.adapters}
        first, *others = folders
        self.model: Any = PeftModel.from_pretrained(model, folders[first], adapter_name=first).eval()
        for name in others:
            self.model.load_adapter(folders[name], adapter_name=name)
        self._engine = engine
        self._stop = engine.base.renderer.stop_token_ids[0]
        self._plain: set[str] = set()
        versions = (f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "bitsandbytes"))
        self.build = f"{', '.join(versions)}, {torch.get_num_threads()} threads"

    @torch.inference_mode()
    def prefill(self, ids: list[int]) -> None:
        with self.model.disable_adapter():
            self.model(input_ids=torch.tensor([ids]), logits_to_keep=1)

    @torch.inference_mode()
    def decode(self, ids: list[int], tokens: int) -> None:
        with self.model.disable_adapter():
            self._generate([ids], min_new_tokens=tokens, max_new_tokens=tokens)

    @torch.inference_mode()
    def call(self, call: Call) -> str:
        """Switch, read everything, write under the grammar."""
        self.model.set_adapter(call.adapter)
        ids = [*call.context, *call.tail]
        processor = GrammarProcessor(call.grammar, len(ids))
        out = self._generate([ids], max_new_tokens=call.max_tokens, logits_processor=[processor])
        return str(self._engine.base.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True))

    @torch.inference_mode()
    def first_token(self, first: Call, second: Call) -> None:
        """`generate` keeps nothing between calls."""
        self.model.set_adapter(second.adapter)
        self._generate([[*second.context, *second.tail]], max_new_tokens=1)

    @torch.inference_mode()
    def rows(self, ids: list[int], adapters: Sequence[str], tokens: int) -> None:
        """`adapter_names`: one adapter a row. As plain LoRAs, which adapt the whole row as our rows do."""
        self._load_plain(adapters)
        names = [_plain_name(name) for name in adapters]
        self._generate([ids] * len(names), min_new_tokens=tokens, max_new_tokens=tokens, adapter_names=names)

    def _load_plain(self, adapters: Sequence[str]) -> None:
        """Late: the more adapters are loaded, the longer `set_adapter` takes."""
        for name in sorted(set(adapters) - self._plain):
            with tempfile.TemporaryDirectory() as scratch:
                folder = write_plain(self._engine.package(name), Path(scratch, name))
                self.model.load_adapter(folder, adapter_name=_plain_name(name))
            self._plain.add(name)

    def _generate(self, rows: list[list[int]], **options: Any) -> torch.Tensor:
        inputs = torch.tensor(rows)
        out: torch.Tensor = self.model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            do_sample=False,
            eos_token_id=self._stop,
            pad_token_id=self._stop,
            **options,
        )
        return out


def _plain_name(name: str) -> str:
    return f"plain_{name}"


class GrammarProcessor:
    """A llguidance mask a step: what its users write around `generate`."""

    def __init__(self, grammar: Grammar, prompt_tokens: int) -> None:
        self._constraint = grammar.start()
        self._read = prompt_tokens

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for token in ids[0, self._read :].tolist():
            self._constraint.advance(token)
        self._read = ids.shape[1]
        if self._constraint.finished:
            scores[0] = float("-inf")
            scores[0, self._constraint.vocabulary.stop_token_id] = 0
        else:
            self._constraint.apply(scores[0])
        return scores
