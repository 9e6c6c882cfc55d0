"""The training forward pass of an activated LoRA: the base reads the context once without gradients, the adapter
is trained on what comes after its invocation.

Exact, and about four times cheaper than a full pass when the context dominates: the context's keys and values are
the frozen base's in aLoRA (arXiv 2504.12397), so no gradient flows into them. A plain LoRA trains with
`adapt_context=True`, which runs the whole row through the adapter. Rows are packed, not padded: linear layers, nine
tenths of the work, see each token once, and only attention lays them out by row (decision 004).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.nn import functional

from .attention import use_own_attention, use_packed_attention
from .batches import IGNORE, Batch, Pass
from .lora_product import use_lora_product, use_own_product
from .trainable import decoder_of


def use_packed_passes(model: Any) -> None:
    """Make a PEFT model read packed passes; nothing else can be read with it until `use_own_passes`."""
    use_packed_attention(model)
    use_lora_product(model)


def use_own_passes(model: Any) -> None:
    """Back to what decoding, and PEFT's own activated LoRA, use."""
    use_own_attention(model)
    use_own_product(model)


@contextmanager
def base_only(model: Any) -> Iterator[None]:
    """Switch the adapters off without touching requires_grad, which `disable_adapter()` does at 168 ms a time."""
    layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


def loss(model: Any, batch: Batch, *, adapt_context: bool = False) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the target tokens by their weights (a scalar with gradient) and their number."""
    logits, targets = target_logits(model, batch, adapt_context=adapt_context)
    weights = batch.weights[batch.labels != IGNORE]
    each = functional.cross_entropy(logits, targets, reduction="none")
    return (each * weights).sum() / weights.sum(), len(targets)


def target_logits(model: Any, batch: Batch, *, adapt_context: bool = False) -> tuple[Tensor, Tensor]:
    """float32 logits (T, vocabulary) at the places where the T target tokens (second value) are decided, row by row."""
    from transformers import DynamicCache

    cache = DynamicCache()
    if adapt_context:
        for part in batch.context:
            read_pass(model, part, cache)
    else:
        with torch.no_grad(), base_only(model):
            for part in batch.context:
                read_pass(model, part, cache)
    hidden = read_pass(model, batch.adapted, cache)[0]
    trained = batch.labels != IGNORE
    # Only the target's positions go through the vocabulary projection: 49k columns cost more than a layer. In float32,
    # since a loss of 0.01 is less than a bfloat16 logit is off by.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = decoder_of(model).get_output_embeddings()(hidden[trained].float())
    return logits, batch.labels[trained]


def read_pass(model: Any, part: Pass, cache: Any) -> Tensor:
    """Hidden states (1, N, hidden); the cache grows by the pass's keys and values."""
    found = decoder_of(model).get_decoder()(
        input_ids=part.ids,
        attention_mask=part.layout.mask,
        position_ids=part.positions,
        past_key_values=cache,
        layout=part.layout,
    )
    return torch.as_tensor(found.last_hidden_state)
