"""The training forward pass of an activated LoRA: the base reads the context once without gradients, the adapter
is trained on what comes after its invocation.

Exact, and about four times cheaper than a full pass when the context dominates: the context's keys and values are
the frozen base's in aLoRA (arXiv 2504.12397), so no gradient flows into them. A plain LoRA trains with
`adapt_context=True`, which runs the whole row through the adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.nn import functional

from .batches import IGNORE, Batch


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


def read_context(model: Any, batch: Batch) -> tuple[Any, Tensor]:
    """KV cache of every row's context and its mask (B, P+R). Uses the model as it is: call under `base_only`."""
    from transformers import DynamicCache

    decoder = model.get_base_model().model
    cache = DynamicCache()
    decoder(
        input_ids=batch.prefix_ids,
        attention_mask=batch.prefix_mask.long(),
        position_ids=_positions(batch.prefix_mask),
        past_key_values=cache,
    )
    mask = batch.prefix_mask[batch.owner]
    if not torch.equal(batch.owner, torch.arange(len(batch.prefix_ids))):
        cache.batch_select_indices(batch.owner)
    if batch.rest_ids.shape[1]:
        start = mask.sum(1, keepdim=True)
        mask = torch.cat([mask, batch.rest_mask], 1)
        decoder(
            input_ids=batch.rest_ids,
            attention_mask=mask.long(),
            position_ids=_positions(batch.rest_mask) + start,
            past_key_values=cache,
        )
    return cache, mask


def loss(model: Any, batch: Batch, *, adapt_context: bool = False) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the target tokens (a scalar with gradient) and their number."""
    if adapt_context:
        cache, mask = read_context(model, batch)
    else:
        with torch.no_grad(), base_only(model):
            cache, mask = read_context(model, batch)
    start = mask.sum(1, keepdim=True)
    hidden = (
        model.get_base_model()
        .model(
            input_ids=batch.adapted_ids,
            attention_mask=torch.cat([mask, batch.adapted_mask], 1).long(),
            position_ids=_positions(batch.adapted_mask) + start,
            past_key_values=cache,
        )
        .last_hidden_state
    )
    trained = batch.labels != IGNORE
    # Only the target's positions go through the vocabulary projection: 49k columns cost more than a layer.
    logits = model.get_base_model().lm_head(hidden[trained]).float()
    return functional.cross_entropy(logits, batch.labels[trained]), int(trained.sum())


def _positions(mask: Tensor) -> Tensor:
    return (mask.long().cumsum(1) - 1).clamp(min=0)
