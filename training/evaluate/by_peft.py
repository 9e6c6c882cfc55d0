"""Prefix and prompt tuning run by PEFT's own `generate`: greedy, without a grammar, one row at a time.

The engine has no place for virtual tokens, so this is how such an adapter will be used, and how it is judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lora_agent.engine.contract import call_grammar, read_output
from lora_agent.render import input_messages, read_tools, suffix
from lora_agent.types import Completion, Result, Usage

from ..encode import context_ids


class PeftGenerate:
    """`base`: a BaseModel whose model has the adapter; `model`: the PeftModel; `package`: its contract."""

    def __init__(self, base: Any, model: Any, package: Any) -> None:
        self.base, self._model, self._package = base, model, package

    def call_batch(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, max_tokens: int | None = None, **_: Any
    ) -> list[Result]:
        """In the shape of an engine's; always free, whatever is asked for."""
        return [self._call(dict(inputs), max_tokens) for _, inputs in calls]

    def _call(self, inputs: dict[str, Any], max_tokens: int | None) -> Result:
        spec, renderer = self._package.spec, self.base.renderer
        budget = max_tokens or spec.prompt.max_new_tokens
        tools = read_tools(inputs.get("tools"))
        grammar = call_grammar(self._package, inputs, tools, self.base.vocabulary, budget, narrow=False)
        ids = context_ids(renderer, inputs) + suffix(renderer, spec.prompt, input_messages(inputs), inputs)
        started = time.perf_counter()
        tokens, scores = self._greedy(ids, budget)
        stopped = bool(tokens) and tokens[-1] in renderer.stop_token_ids
        written = tokens[:-1] if stopped else tokens
        text = self.base.tokenizer.decode(written, clean_up_tokenization_spaces=False)
        finish: Any = "stop" if stopped else "length"
        usage = Usage(read=len(ids), generated=len(tokens))
        took = (time.perf_counter() - started) * 1000
        completion = Completion(text, tuple(written), tuple(scores), finish, usage, took)
        output, verdict, error = read_output(completion, grammar, quotes=spec.prompt.quotes)
        return Result(
            self._package.name, output, text, verdict, finish, usage, took, error=error, logprobs=tuple(scores)
        )

    @torch.inference_mode()
    def _greedy(self, ids: list[int], budget: int) -> tuple[list[int], list[float]]:
        prompt = torch.tensor([ids])
        found = self._model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=budget,
            do_sample=False,
            eos_token_id=list(self.base.renderer.stop_token_ids),
            pad_token_id=self.base.renderer.stop_token_ids[0],
            return_dict_in_generate=True,
            output_logits=True,
        )
        tokens = found.sequences[0, len(ids) :].tolist()
        scores = [float(torch.log_softmax(v[0].float(), 0)[t]) for v, t in zip(found.logits, tokens, strict=True)]
        return tokens, scores
