"""Attention over packed rows (`batches.Layout`), with a gradient that keeps the probabilities.

Torch's fused attention on CPUs takes seven times as long backward as forward. The products here are batched matrix
products, with the query heads of one key head laid side by side, so that keys are not repeated (decision 077).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from .batches import Layout
from .lora_product import multiplied_in
from .trainable import decoder_of

_NAME = "packed_rows"


class GroupedAttention(torch.autograd.Function):
    """query (S, G, R·Q, D), key and value (S, G, L, D), mask (S, 1, Q, L) true where a query sees a key → as query.

    R query heads share each of the G key heads."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
        scores = torch.matmul(query, key.transpose(-1, -2)).float().mul_(scaling)
        by_head = scores.view(*scores.shape[:2], -1, *mask.shape[2:])
        by_head.masked_fill_(~mask.unsqueeze(2), float("-inf"))
        seen = torch.softmax(by_head, -1).to(query.dtype).view_as(scores)
        out = torch.matmul(seen, value)
        ctx.save_for_backward(query, key, value, seen, out)
        ctx.scaling = scaling
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, seen, out = ctx.saved_tensors
        grad = grads[0]
        of_value = torch.matmul(seen.transpose(-1, -2), grad)
        # Of a softmax: p · (dp - Σ dp p), and Σ dp p is what the output and its gradient have in common
        # (FlashAttention, arXiv 2205.14135, appendix B.2).
        common = (grad.float() * out.float()).sum(-1, keepdim=True).to(grad.dtype)
        of_scores = torch.matmul(grad, value.transpose(-1, -2)).sub_(common).mul_(seen).mul_(ctx.scaling)
        of_query = torch.matmul(of_scores, key)
        of_key = torch.matmul(of_scores.transpose(-1, -2), query)
        return of_query, of_key, of_value, None, None


def packed_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, *, layout: Layout, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """query (1, H, N, D), key and value (1, G, K, D) of all passes so far → (1, N, H, D)."""
    segments, longest = layout.queries.shape
    heads, groups, depth = query.shape[1], key.shape[1], query.shape[3]
    kind = multiplied_in(query, value.dtype)
    rows = torch.zeros(segments, longest, heads, depth, dtype=kind, device=query.device)
    rows[layout.queries] = query[0].transpose(0, 1).to(kind)

    def by_row(packed: Tensor) -> Tensor:  # (1, G, K, D) → (S, G, L, D)
        return packed[0].transpose(0, 1)[layout.keys].transpose(1, 2).to(kind)

    keys, values = by_row(key), by_row(value)
    if torch.is_grad_enabled():
        shared = rows.view(segments, longest, groups, -1, depth).permute(0, 2, 3, 1, 4)
        out = GroupedAttention.apply(shared.flatten(2, 3), keys, values, mask, scaling)
        found = out.view(segments, groups, -1, longest, depth).permute(0, 3, 1, 2, 4).flatten(2, 3)
    else:
        repeat = heads // groups
        many = (keys.repeat_interleave(repeat, 1), values.repeat_interleave(repeat, 1))
        out = functional.scaled_dot_product_attention(rows.transpose(1, 2), *many, attn_mask=mask, scale=scaling)
        found = out.transpose(1, 2)
    return found[layout.queries].unsqueeze(0), None


AttentionInterface.register(_NAME, packed_attention)


def use_packed_attention(model: Any) -> None:
    """Make a PEFT model's decoder read packed passes."""
    decoder_of(model).set_attn_implementation(_NAME)


def use_own_attention(model: Any) -> None:
    """Back to the attention that decoding uses."""
    decoder_of(model).set_attn_implementation("sdpa")
