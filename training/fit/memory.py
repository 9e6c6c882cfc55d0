"""How much memory a fit will take, from shapes alone: weights, adapter, optimizer, activations, logits.

Counts what autograd keeps in the packed forward pass of a decoder with RMSNorm and a gated MLP (Llama, Qwen, SmolLM,
Granite), all in float32. `tests/training/test_memory.py` and the probe compare it with the measured peak.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..encode import Encoded
from ..recipe import Fit
from .batches import Batch

FLOAT = 4


@dataclass(frozen=True)
class Forecast:
    """Bytes at the peak of a step, by what they are for."""

    runtime: int
    weights: int
    adapter: int
    """Weights, gradients and both AdamW moments."""
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.runtime + self.weights + self.adapter + self.activations + self.logits

    def report(self) -> dict[str, int]:
        """MiB."""
        parts = {name: round(value / 2**20) for name, value in vars(self).items()}
        return {**parts, "total": round(self.total / 2**20)}


def forecast(model: Any, batch: Batch, fit: Fit, runtime: int) -> Forecast:
    """`model` with its adapter on, `runtime`: bytes that the process held before the model was loaded."""
    config = model.config
    trained = [p for p in model.parameters() if p.requires_grad]
    frozen = sum(p.numel() * p.element_size() for p in {id(p): p for p in model.parameters()}.values())
    own = sum(p.numel() * p.element_size() for p in trained)
    layers, hidden, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads
    wide = heads * getattr(config, "head_dim", hidden // heads)
    shared = config.num_key_value_heads * (wide // heads)
    context = sum(part.ids.numel() for part in batch.context)
    adapted = batch.adapted.ids.numel() + (context if fit.kind == "lora" else 0)
    # per token and layer: two norms keep input, normalised and scaled input; attention's output; four MLP tensors;
    # each of the seven LoRA pairs its inner vector
    kept = adapted * (6 * hidden + wide + 4 * inner + 7 * fit.rank)
    for part in (batch.adapted, *(batch.context if fit.kind == "lora" else ())):
        segments, queries = part.layout.queries.shape
        kept += 2 * segments * (queries + part.layout.keys.shape[1]) * wide  # laid out by row, heads repeated
    cache = 2 * (context + batch.adapted.ids.numel()) * shared
    passing = context * (4 * inner + 4 * hidden)  # the context's pass, one layer at a time
    activations = FLOAT * (layers * (kept + cache) + passing)
    targets = int((batch.labels >= 0).sum())
    return Forecast(runtime, frozen - own, 4 * own, activations, 3 * FLOAT * targets * config.vocab_size)


def heaviest(batches: Sequence[Sequence[Encoded]]) -> Sequence[Encoded]:
    """The batch with the most tokens that keep activations."""
    return max(batches, key=lambda rows: sum(len(r.suffix) + len(r.target) for r in rows) * 4 + sum(map(len, rows)))


def available() -> int:
    """Bytes that this process may still take, from the kernel's count (Linux) or physical memory elsewhere."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def resident() -> int:
    """Bytes that this process holds now (Linux), else at most held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak()


def peak() -> int:
    """Bytes that this process held at most so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
