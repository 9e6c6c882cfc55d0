"""llama.cpp at work, in a process of its own: requests as JSON lines on stdin, answers on stdout.

The first line names the files; each further one is a method and its arguments. An answer holds the seconds that the
work took here. Knows llama-cpp-python and nothing of this project.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp as api
import numpy as np

CONTEXT = 4096


class Worker:
    """The low-level API is used where llama-cpp-python's own loop costs time: the adapter is set after the context was
    read, so the base's keys and values stay, and the greedy token is checked against the grammar before all others are,
    as llama.cpp's server does it."""

    def __init__(self, model: str, adapters: Mapping[str, str], threads: int) -> None:
        self._llama: Any = api.Llama(
            model_path=model, n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._vocab = api.llama_model_get_vocab(self._llama.model)
        self._adapters = {name: self._load(path) for name, path in adapters.items()}
        self._samplers: dict[str, Any] = {}
        self._candidates = np.zeros(self._llama.n_vocab(), dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])

    def build(self) -> str:
        """Version and the instruction sets that it was compiled for."""
        return f"llama-cpp-python {api.__version__}, {api.llama_print_system_info().decode().strip()}"

    def prefill(self, ids: list[int]) -> None:
        self._read(ids)

    def decode(self, ids: list[int], tokens: int) -> None:
        self._read(ids)
        for _ in range(tokens):
            self._llama.eval([int(self._logits().argmax())])

    def call(self, adapter: str, context: list[int], tail: list[int], schema: Any, tokens: int) -> str:
        self._read(context)
        self._set(adapter)
        self._llama.eval(tail)
        return self._write(schema, tokens)

    def keep(self, context: list[int]) -> None:
        """The base's keys and values of a context, for `after`."""
        self._read(context)

    def after(self, adapter: str, context_tokens: int, tail: list[int]) -> int:
        """The adapter's first token on the context that was kept."""
        self._llama.n_tokens = context_tokens  # the next `eval` drops what lies behind it
        self._set(adapter)
        self._llama.eval(tail)
        return int(self._logits().argmax())

    def _load(self, path: str) -> Any:
        adapter = api.llama_adapter_lora_init(self._llama.model, path.encode())
        if not adapter:
            raise RuntimeError(f"llama.cpp did not take the adapter {path!r}")
        return adapter

    def _read(self, ids: list[int]) -> None:
        """The base, from nothing."""
        self._set(None)
        self._llama.reset()
        self._llama.eval(ids)

    def _set(self, adapter: str | None) -> None:
        chosen = [] if adapter is None else [self._adapters[adapter]]
        pointers = (api.llama_adapter_lora_p_ctypes * len(chosen))(*chosen)
        scales = (ctypes.c_float * len(chosen))(*[1.0] * len(chosen))
        if api.llama_set_adapters_lora(self._llama.ctx, pointers, len(chosen), scales):
            raise RuntimeError(f"llama.cpp did not set the adapter {adapter!r}")

    def _logits(self) -> Any:
        """Of the last token; valid until the next `eval`."""
        found = api.llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(found, shape=(self._llama.n_vocab(),))

    def _write(self, schema: Any, tokens: int) -> str:
        sampler = self._sampler(json.dumps(schema))
        written: list[int] = []
        while len(written) < tokens:
            token = self._choose(sampler)
            if api.llama_vocab_is_eog(self._vocab, token):
                break
            api.llama_sampler_accept(sampler, token)
            written.append(token)
            self._llama.eval([token])
        return bytes(self._llama.detokenize(written)).decode(errors="replace")

    def _choose(self, sampler: Any) -> int:
        logits = self._logits()
        best = int(logits.argmax())
        one = np.array([(best, logits[best], 0.0)], dtype=self._candidates.dtype)
        if np.isfinite(_allowed(sampler, one)["logit"][0]):
            return best
        self._candidates["id"] = np.arange(len(logits))
        self._candidates["logit"] = logits
        found = _allowed(sampler, self._candidates)
        return int(found["id"][found["logit"].argmax()])

    def _sampler(self, schema: str) -> Any:
        """The grammar at its start. Kept, as compiled grammars are in every system here."""
        if schema not in self._samplers:
            # Its converter allows a blank between values; the adapters were trained to write none.
            text = api.llama_grammar.json_schema_to_gbnf(schema).replace('space ::= " "?', 'space ::= ""')
            self._samplers[schema] = api.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
        api.llama_sampler_reset(self._samplers[schema])
        return self._samplers[schema]


def _allowed(sampler: Any, candidates: Any) -> Any:
    """The candidates, those that the grammar forbids with a logit of minus infinity."""
    data = candidates.ctypes.data_as(api.llama_token_data_p)
    array = api.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
    api.llama_sampler_apply(sampler, ctypes.byref(array))
    return candidates


def main() -> None:
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(**json.loads(sys.stdin.readline()))
    print(json.dumps({"value": worker.build()}), file=answers, flush=True)
    for line in sys.stdin:
        method, arguments = _request(json.loads(line))
        started = time.perf_counter()
        value = getattr(worker, method)(*arguments)
        seconds = time.perf_counter() - started
        print(json.dumps({"value": value, "seconds": seconds}), file=answers, flush=True)


def _request(found: Sequence[Any]) -> tuple[str, list[Any]]:
    method, *arguments = found
    return str(method), arguments


if __name__ == "__main__":
    main()
