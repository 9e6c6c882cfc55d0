"""What a user would pick instead: transformers with PEFT and a grammar as a logits processor; llama.cpp."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.fetch import fetch_gguf
from lora_agent.structured import Grammar

from .cases import Call


class Peft:
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
        self._stop = engine.base.renderer.stop_token_ids[0]

    @torch.inference_mode()
    def prefill(self, ids: list[int]) -> None:
        with self.model.disable_adapter():
            self.model(input_ids=torch.tensor([ids]), logits_to_keep=1)

    @torch.inference_mode()
    def decode(self, ids: list[int], tokens: int) -> None:
        with self.model.disable_adapter():
            self._generate(ids, min_new_tokens=tokens, max_new_tokens=tokens)

    @torch.inference_mode()
    def call(self, call: Call) -> list[int]:
        """Switch, read everything, write under the grammar."""
        self.model.set_adapter(call.adapter)
        processor = GrammarProcessor(call.grammar, len(call.context) + len(call.tail))
        return self._generate([*call.context, *call.tail], max_new_tokens=call.max_tokens, logits_processor=[processor])

    @torch.inference_mode()
    def first_token(self, call: Call) -> None:
        self.model.set_adapter(call.adapter)
        self._generate([*call.context, *call.tail], max_new_tokens=1)

    def _generate(self, ids: list[int], **options: Any) -> list[int]:
        inputs = torch.tensor([ids])
        out = self.model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            do_sample=False,
            eos_token_id=self._stop,
            pad_token_id=self._stop,
            **options,
        )
        return list(out[0, len(ids) :].tolist())


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


class LlamaCpp:
    """llama.cpp on the base's GGUF file (Q4_1), without adapters: the speed of the bare base."""

    name = "llama.cpp"

    def __init__(self, engine: LocalEngine, threads: int) -> None:
        import llama_cpp

        self._folder = tempfile.TemporaryDirectory()
        path = fetch_gguf(Path(self._folder.name))
        self._llama: Any = llama_cpp.Llama(
            model_path=str(path), n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def prefill(self, ids: list[int]) -> None:
        self._llama.reset()
        self._llama.eval(ids)

    def decode(self, ids: list[int], tokens: int) -> None:
        self._llama.reset()
        self._llama.eval(ids)
        for _ in range(tokens):
            self._llama.eval([self._llama.sample(temp=0.0)])


def find(engine: LocalEngine, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
    """(peers that are here, by name; the others with the reason)."""
    found: dict[str, Any] = {Peft.name: Peft(engine)}
    missing = {}
    try:
        found[LlamaCpp.name] = LlamaCpp(engine, threads)
    except ImportError:
        missing[LlamaCpp.name] = "not installed: pip install llama-cpp-python (it is compiled, some minutes)"
    return found, missing
