"""A Llama-shaped base in memory as the compiled forward pass wants it, and the call. Knows tokens, caches and adapters.

Served: Llama, Mistral without a sliding window, Qwen2 and Qwen3, stored as NF4 (bitsandbytes), bfloat16 or float32.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lora_agent.engine.local.native.arena import Arena
from lora_agent.engine.local.native.cache import KvCache, KvCacheDtype, KvShape
from lora_agent.engine.local.native.library import load
from lora_agent.engine.local.native.weights import BLOCK, F32, INT8, Linear, as_bytes, kind_of, linear, read_tensors

PLACES = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""Layers that read the same input are multiplied in one go; the order is that of forward.c."""
PARTS = ("embedding", "norms", "q, k, v", "rotation", "attention", "o", "gate, up", "down", "LoRA A", "head")
"""What the compiled forward pass times; the order is that of forward.c."""
CHUNK, LANES = 16, 8
"""Rows of B stored together, and what ranks are multiples of: as in forward.c."""
_MOST_THREADS = 16
_ARCHITECTURES = frozenset({"llama", "mistral", "qwen2", "qwen3"})


@dataclass(frozen=True)
class Config:
    """What is used of a checkpoint's config.json."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    inter: int
    vocab: int
    max_positions: int
    eps: float
    theta: float
    tied: bool

    @classmethod
    def read(cls, folder: Path) -> Config:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        heads = raw["num_attention_heads"]
        rope = raw.get("rope_parameters") or {}
        return cls(
            hidden=raw["hidden_size"],
            layers=raw["num_hidden_layers"],
            heads=heads,
            kv_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
            inter=raw["intermediate_size"],
            vocab=raw["vocab_size"],
            max_positions=raw["max_position_embeddings"],
            eps=raw["rms_norm_eps"],
            theta=float(rope.get("rope_theta") or raw.get("rope_theta") or 10_000.0),
            tied=bool(raw.get("tie_word_embeddings", False)),
        )


def why_not(folder: Path) -> str | None:
    """Why the base in `folder` is not served by the compiled forward pass; None when it is."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = raw.get("model_type")
    if kind not in _ARCHITECTURES:
        return f"it knows {', '.join(sorted(_ARCHITECTURES))}, not {kind}"
    if raw.get("hidden_act", "silu") != "silu":
        return f"it knows silu, not {raw['hidden_act']}"
    if raw.get("sliding_window") and raw.get("use_sliding_window", kind == "mistral"):
        return "it has no sliding window"
    rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return f"it has no {rope.get('rope_type', rope.get('type'))} position scaling"
    config = Config.read(folder)
    quantized = raw.get("quantization_config") or {}
    if quantized and not (quantized.get("load_in_4bit") and quantized.get("bnb_4bit_quant_type") == "nf4"):
        return "it reads NF4, bfloat16 and float32 weights"
    if not quantized and str(raw.get("dtype", raw.get("torch_dtype"))) not in ("bfloat16", "float32"):
        return "16-bit weights must be bfloat16"
    width = BLOCK if quantized else CHUNK
    if config.head_dim % 16 or any(n % width for n in (config.hidden, config.inter, config.heads * config.head_dim)):
        return f"layers must be multiples of {width} wide and heads of 16"
    return None


@dataclass(frozen=True)
class Update:
    """What an adapter does at one place: y += B (scaling A x), bfloat16 or float32, ranks padded to LANES."""

    a: Tensor
    """(layers at the place, rank, in)"""
    b: Tensor
    """(out / CHUNK, rank, CHUNK)"""
    scaling: Sequence[float]
    """Of each layer at the place."""


@dataclass(frozen=True)
class Feed:
    """What one row of a call reads: tokens onto a cache, with an adapter (a pointer; None for the bare base)."""

    ids: Sequence[int]
    cache: KvCache
    adapter: int | None = None


class NativeModel:
    def __init__(self, folder: Path, threads: int | None = None, *, kv_cache_dtype: KvCacheDtype = "float32") -> None:
        self.config = config = Config.read(folder)
        self.kv = KvShape(config.layers, config.kv_heads, config.head_dim, kv_cache_dtype)
        self.threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or _cores()
        self._library = load()
        tensors = read_tensors(folder)
        self._arena = Arena()
        self._keep: list[Tensor] = []  # what C holds pointers into
        table = tensors["model.embed_tokens.weight"]
        kind = kind_of(table)
        self.table_itemsize = table.element_size()
        """Bytes of a number of the embedding, which mostly is the vocabulary projection too."""
        embedding = self._hold(as_bytes(table))
        head = embedding if config.tied else self._hold(as_bytes(tensors["lm_head.weight"].to(table.dtype)))
        cosine, sine = (self._hold(t) for t in _rotations(config))
        codes = self._hold(next((t for n, t in tensors.items() if n.endswith(".quant_map")), torch.zeros(16)).float())
        sizes = (config.hidden, config.layers, config.heads, config.kv_heads, config.head_dim, config.inter)
        norm = self._hold(tensors["model.norm.weight"].float())
        pointers = [t.data_ptr() for t in (codes, cosine, sine, embedding, head, norm)]
        self._model = self._library.lora_agent_new(
            _ints([*sizes, config.vocab, kind, INT8 if kv_cache_dtype == "int8" else F32]),
            config.eps,
            *pointers,
            self.threads,
        )
        if not self._model:
            raise MemoryError("no memory for the model")
        weakref.finalize(self, self._library.lora_agent_free, self._model)
        for index in range(config.layers):
            self._set_layer(index, tensors)
        self.memory_bytes = self._arena.memory_bytes

    def _hold(self, tensor: Tensor) -> Tensor:
        tensor = self._arena.put(tensor)
        self._keep.append(tensor)
        return tensor

    def _set_layer(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        prefix = f"model.layers.{index}."
        for place, names in enumerate(PLACES):
            made: Linear = linear(tensors, [prefix + name for name in names])
            pointers = [None if t is None else self._hold(t).data_ptr() for t in (made.codes, made.scales, made.bias)]
            self._library.lora_agent_set_linear(self._model, index, place, made.kind, made.n, made.k, *pointers)
        norms = ["input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"]
        held = [tensors.get(f"{prefix}{norm}.weight") for norm in norms]
        floats = [None if t is None else self._hold(t.float()).data_ptr() for t in held]
        self._library.lora_agent_set_norms(self._model, index, *floats)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of every adaptable layer by its path."""
        c = self.config
        q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        sizes = {"q_proj": (q, c.hidden), "k_proj": (kv, c.hidden), "v_proj": (kv, c.hidden), "o_proj": (c.hidden, q)}
        sizes |= {"gate_proj": (c.inter, c.hidden), "up_proj": (c.inter, c.hidden), "down_proj": (c.hidden, c.inter)}
        names = [name for place in PLACES for name in place]
        return {f"model.layers.{i}.{n}": sizes[n.split(".")[1]] for i in range(c.layers) for n in names}

    def new_adapter(self) -> int:
        """An empty adapter: a pointer for `set_adapter` and Feed."""
        return int(self._library.lora_agent_adapter_new(self._model))

    def set_adapter(self, adapter: int, layer: int, place: int, update: Update) -> None:
        """The caller keeps the tensors alive."""
        a, b = update.a, update.b
        scaling = (ctypes.c_float * 3)(*update.scaling)
        self._library.lora_agent_adapter_set(
            adapter, layer, place, kind_of(a), b.shape[1], scaling, a.data_ptr(), b.data_ptr()
        )

    def free_adapter(self, adapter: int) -> None:
        self._library.lora_agent_adapter_free(adapter)

    def forward(
        self,
        feeds: Sequence[Feed],
        *,
        outputs: Sequence[int] = (),
        allowed: Callable[[], Sequence[int] | None] | None = None,
        taps: Sequence[int] = (),
    ) -> tuple[Tensor, Tensor]:
        """Read all feeds in one pass; caches grow by what they read.

        `outputs`: rows (counted over all feeds' tokens) whose logits are wanted; `allowed`: asked once the layers are
        read, the tokens of interest: all others' logits are -inf and cost nothing (None: all tokens); `taps`: layers
        whose input is wanted (the number of layers: the normalised end). Returns logits (outputs, vocabulary) and
        hidden states (taps, tokens, hidden), float32. Raises ValueError for a token or a position that the base does
        not have, and MemoryError.
        """
        ids: list[int] = []
        positions: list[int] = []
        sequence: list[int] = []
        adapters: list[int | None] = []
        for index, feed in enumerate(feeds):
            start, count = feed.cache.get_seq_length(), len(feed.ids)
            feed.cache.reserve(count)
            ids += feed.ids
            positions += range(start, start + count)
            sequence += [index] * count
            adapters += [feed.adapter] * count
        if ids and not 0 <= min(ids) <= max(ids) < self.config.vocab:
            raise ValueError(f"token {max(ids)!r} or {min(ids)!r} is not one of {self.config.vocab}")
        if positions and max(positions) >= self.config.max_positions:
            raise ValueError(f"position {max(positions)} is beyond the {self.config.max_positions} that the base reads")
        hidden = torch.empty(len(taps), len(ids), self.config.hidden)
        failed = self._library.lora_agent_forward(
            self._model,
            len(ids),
            _ints(ids),
            _ints(positions),
            _ints(sequence),
            (ctypes.c_void_p * len(feeds))(*[feed.cache.data.data_ptr() for feed in feeds]),
            (ctypes.c_int64 * len(feeds))(*[feed.cache.capacity for feed in feeds]),
            (ctypes.c_void_p * len(ids))(*adapters),
            len(taps),
            _ints(taps),
            _floats(hidden),
            len(outputs),
            _ints(outputs),
        )
        if failed:
            raise MemoryError(f"no memory to read {len(ids)} tokens at once")
        for feed in feeds:
            feed.cache.grow(len(feed.ids))
        return self._head(len(outputs), allowed() if allowed is not None and outputs else None), hidden

    def seconds(self) -> dict[str, float]:
        """How long each of PARTS took in all passes so far; B x of an adapter is counted where it is added."""
        out = (ctypes.c_double * len(PARTS))()
        self._library.lora_agent_seconds(self._model, out)
        return dict(zip(PARTS, out, strict=True))

    def _head(self, rows: int, tokens: Sequence[int] | None) -> Tensor:
        """Logits (rows, vocabulary) of the outputs that the last pass kept."""
        few = tokens or ()
        logits = torch.empty(rows, len(few) or self.config.vocab)
        if rows:
            self._library.lora_agent_head(self._model, len(few), _ints(few), _floats(logits))
        if not few:
            return logits
        # numpy: rows of this size make torch wake its threads, which then get in the way of the next pass.
        whole = np.full((rows, self.config.vocab), -math.inf, np.float32)
        whole[:, few] = logits.numpy()
        return torch.from_numpy(whole)


def _ints(values: Sequence[int]) -> Any:
    return (ctypes.c_int32 * len(values))(*values)


def _floats(tensor: Tensor) -> Any:
    return ctypes.cast(tensor.data_ptr(), ctypes.POINTER(ctypes.c_float))


def _cores() -> int:
    """Cores that this process may use: by affinity and by the quota of its container, at most 16, beyond which threads
    of a small model mostly wait for each other."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return min(cores, _MOST_THREADS)


def _rotations(config: Config) -> tuple[Tensor, Tensor]:
    """cos and sin (positions, head_dim / 2) of rotary position embedding (arXiv 2104.09864)."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    angles = torch.outer(torch.arange(config.max_positions).float(), 1.0 / config.theta**half)
    return angles.cos(), angles.sin()
