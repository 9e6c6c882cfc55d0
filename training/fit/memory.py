"""How much memory a fit will take, from shapes alone: weights, adapter, optimizer, activations, logits.

Counts what autograd keeps in the packed forward pass of a decoder with RMSNorm and a gated MLP (Llama, Qwen, SmolLM,
Granite). `benchmarks/training_memory.py` and the probe compare it with the measured peak.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..encode import Encoded
from ..recipe import Fit
from .batches import Batch, is_packed, make_batch
from .lora_product import has_plain_layers
from .precision import precision

FLOAT, HALF = 4, 2
_KEPT_BY_MALLOC = 1.3
"""What a step's tensors take over their bytes: glibc keeps freed blocks that the next tensor does not fit in. Measured
by benchmarks/training_memory.py; handing every block back at once (M_MMAP_THRESHOLD of 1 MiB) costs half as much time
again."""


@dataclass(frozen=True)
class Forecast:
    """Bytes at the peak of a step, by what they are for."""

    runtime: int
    weights: int
    adapter: int
    """Weights, gradients and the optimizer's moments."""
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.runtime + self.weights + self.adapter + self.activations + self.logits

    def report(self) -> dict[str, int]:
        """MiB."""
        parts = {name: round(value / 2**20) for name, value in vars(self).items()}
        return {**parts, "total": round(self.total / 2**20)}


@dataclass(frozen=True)
class _Shape:
    """Sizes of one decoder layer, in numbers per token."""

    layers: int
    hidden: int
    inner: int
    wide: int
    """All heads' queries."""
    shared: int
    """All heads' keys, before they are repeated for the query heads."""
    heads: int
    linear_in: int
    """Inputs of the seven linear layers together."""
    weights: int
    """Of the seven linear layers, in all."""

    @classmethod
    def of(cls, config: Any) -> _Shape:
        hidden, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
        wide = heads * (getattr(config, "head_dim", None) or hidden // heads)
        shared = config.num_key_value_heads * (wide // heads)
        linear_in = 3 * hidden + wide + 2 * hidden + inner
        weights = 2 * hidden * (wide + shared) + 3 * hidden * inner
        return cls(config.num_hidden_layers, hidden, inner, wide, shared, heads, linear_in, weights)


def forecast(model: Any, rows: Sequence[Encoded], fit: Fit, held_now: int) -> Forecast:
    """One step on the batch `rows`. `model` with its adapter on; `held_now`: bytes that the process holds with it
    (`resident()`), of which what is no weight of the model is the libraries'."""
    config = model.config
    trained = [p for p in model.parameters() if p.requires_grad]
    unique = {id(p): p for p in [*model.parameters(), *model.buffers()]}.values()
    held = sum(p.numel() * p.element_size() for p in unique)
    own = sum(p.numel() * p.element_size() for p in trained)
    shape, vocabulary = _Shape.of(config), config.vocab_size
    if not is_packed(fit):
        activations, logits = _padded(rows, fit, shape, vocabulary)
    else:
        batch = make_batch(rows)
        size = HALF if precision(fit, next(model.parameters()).device) == "bfloat16" else FLOAT
        each = _per_token(fit, shape, size) if has_plain_layers(model) else _per_token_of_peft(fit, shape)
        activations = _packed(batch, fit, shape, size, each)
        if size == HALF:  # the layers' weights in the type that is multiplied in, until the backward pass is done
            activations += HALF * shape.layers * shape.weights
        logits = 3 * FLOAT * int((batch.labels >= 0).sum()) * vocabulary
    runtime = max(0, held_now - held)
    kept = round(_KEPT_BY_MALLOC * (activations + logits))
    return Forecast(runtime, held - own, _states(trained, fit) + own, kept - logits, logits)


def _states(trained: Sequence[Any], fit: Fit) -> int:
    """Gradients and AdamW's two moments, or GaLore's in their rank with the basis of each."""
    size = 0
    for p in trained:
        size += p.numel()
        low = fit.galore is not None and p.ndim == 2 and min(p.shape) > fit.galore
        size += (2 * max(p.shape) + min(p.shape)) * (fit.galore or 0) if low else 2 * p.numel()
    return FLOAT * size


def _packed(batch: Batch, fit: Fit, shape: _Shape, size: int, per_token: int) -> int:
    """Bytes; `size` of a number in the type that is multiplied in, `per_token` of what one layer keeps of a token."""
    whole = fit.kind != "alora"
    context = sum(part.ids.numel() for part in batch.context)
    adapted = batch.adapted.ids.numel() + (context if whole else 0)
    kept = adapted * per_token
    for part in (batch.adapted, *(batch.context if whole else ())):
        segments, queries = part.layout.queries.shape
        keys = part.layout.keys.shape[1]
        # Laid out by row: queries and what comes of them, keys and values, and the probabilities of all heads.
        kept += size * segments * (2 * queries * shape.wide + 2 * keys * shape.shared + queries * keys * shape.heads)
    cache = 2 * FLOAT * (context + batch.adapted.ids.numel()) * shape.shared
    passing = FLOAT * context * (4 * shape.inner + 4 * shape.hidden)  # the context's pass, one layer at a time
    return shape.layers * (kept + cache) + passing


def _per_token(fit: Fit, shape: _Shape, size: int) -> int:
    """Bytes that one layer keeps of one token for the backward pass, its LoRA layers being one operation each."""
    # Two norms keep the residual stream; an input is cast anew for each linear layer, or shared where nothing is cast.
    inputs = shape.linear_in if size == HALF else 2 * shape.hidden + shape.wide + shape.inner
    return 2 * FLOAT * shape.hidden + size * (inputs + 3 * shape.inner + 7 * fit.rank)


def _per_token_of_peft(fit: Fit, shape: _Shape) -> int:
    """The same where PEFT's layers compute."""
    # two norms keep input, normalised and scaled input; attention's output; four MLP tensors
    kept = 6 * shape.hidden + shape.wide + 4 * shape.inner
    if fit.method.ranked:
        kept += 7 * fit.rank  # each of the seven pairs its inner vector
    return FLOAT * kept


def _padded(rows: Sequence[Encoded], fit: Fit, shape: _Shape, vocabulary: int) -> tuple[int, int]:
    """The plain pass: every row as long as the longest, and logits at every place."""
    tokens = len(rows) * (max(map(len, rows)) + fit.virtual_tokens)
    kept = _per_token_of_peft(fit, shape) + 4 * FLOAT * shape.wide
    return shape.layers * tokens * kept, 3 * FLOAT * tokens * vocabulary


def heaviest(batches: Sequence[Sequence[Encoded]]) -> Sequence[Encoded]:
    """The batch with the most tokens that keep activations."""
    return max(batches, key=lambda rows: sum(len(r.suffix) + len(r.target) for r in rows) * 4 + sum(map(len, rows)))


def give_back() -> None:
    """Hand freed memory back to the system, which glibc keeps for itself."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident() -> int:
    """Bytes that this process holds now (Linux), else at most held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak()


def reset_peak() -> bool:
    """Count the peak from here on (Linux). False where that cannot be done: `peak` is then of the whole process."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """Bytes that this process held at most, since it started or since `reset_peak`."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
