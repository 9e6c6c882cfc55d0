"""The same base in transformers, and what its users put into `logits_processor`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

import torch

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.structured import compile_schema

from ...engine.peft import GrammarProcessor
from .cases import Case

MAX_TOKENS = 160


class Transformers:
    """The NF4 checkpoint in `generate`, greedy. Its weights are unpacked to float32 once: on a CPU that is several
    times as fast as unpacking them at every step, as bitsandbytes does."""

    def __init__(self, engine: LocalEngine) -> None:
        from transformers import AutoModelForCausalLM

        self.engine = engine
        folder = ensure_checkpoint(None, "nf4").path
        packed = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model: Any = packed.dequantize().float().eval()
        self.tokenizer = engine.base.tokenizer

    @torch.inference_mode()
    def write(self, ids: list[int], processor: Any) -> list[int]:
        stop = self.engine.base.renderer.stop_token_ids[0]
        inputs = torch.tensor([ids])
        out = self.model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
            eos_token_id=stop,
            pad_token_id=stop,
            logits_processor=[processor],
        )
        return list(out[0, len(ids) :].tolist())


class Peer(ABC):
    """`prepare` compiles a schema once; `processor` makes what one call needs of it."""

    name: str

    def __init__(self, host: Transformers) -> None:
        self.host = host

    @abstractmethod
    def prepare(self, case: Case) -> Any: ...

    @abstractmethod
    def processor(self, prepared: Any, prompt: list[int]) -> Any: ...

    def call(self, prepared: Any, prompt: list[int]) -> str:
        tokens = self.host.write(prompt, self.processor(prepared, prompt))
        return str(self.host.tokenizer.decode(tokens, skip_special_tokens=True))


class Llguidance(Peer):
    name = "transformers + llguidance"

    def prepare(self, case: Case) -> Any:
        return compile_schema(case.schema, self.host.engine.vocabulary, budget_tokens=None)

    def processor(self, prepared: Any, prompt: list[int]) -> Any:
        return GrammarProcessor(prepared, len(prompt))


class Xgrammar(Peer):
    name = "transformers + xgrammar"

    def __init__(self, host: Transformers) -> None:
        super().__init__(host)
        import xgrammar

        self._library = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(host.tokenizer, vocab_size=host.model.config.vocab_size)
        self._compiler = xgrammar.GrammarCompiler(info)

    def prepare(self, case: Case) -> Any:
        return self._compiler.compile_json_schema(json.dumps(case.schema), any_whitespace=False, separators=(",", ":"))

    def processor(self, prepared: Any, prompt: list[int]) -> Any:
        return self._library.contrib.hf.LogitsProcessor(prepared)


class Outlines(Peer):
    name = "transformers + outlines"

    def __init__(self, host: Transformers) -> None:
        super().__init__(host)
        import outlines

        self._model = outlines.from_transformers(host.model, host.tokenizer)

    def prepare(self, case: Case) -> Any:
        from outlines.backends import get_json_schema_logits_processor

        return get_json_schema_logits_processor("outlines_core", self._model, json.dumps(case.schema), "")

    def processor(self, prepared: Any, prompt: list[int]) -> Any:
        prepared.reset()
        return prepared


def find(engine: LocalEngine) -> tuple[list[Peer], dict[str, str]]:
    """(peers that are here; the others with the reason)."""
    host = Transformers(engine)
    found: list[Peer] = []
    missing = {}
    for kind in (Llguidance, Xgrammar, Outlines):
        try:
            found.append(kind(host))
        except ImportError as error:
            missing[kind.name] = f'{error}: pip install "lora-agent[bench]"'
    return found, missing
