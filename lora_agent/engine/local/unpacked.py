"""4-bit weights expanded once to bfloat16, multiplied with float32 activations.

For CPUs on which bitsandbytes has no fast 4-bit kernel. bfloat16 halves the bytes that a decode step must read;
its products are only fast for a few rows there, so larger inputs go through float32 (measured in
docs/decisions/002-cpu-kernels.md). The values are those of the NF4 checkpoint, rounded to bfloat16 as QLoRA does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW_ROWS = 4
"""Up to this many rows a bfloat16 matrix-vector product per row is faster than expanding the weight."""


class UnpackedLinear(nn.Module):
    """`y = x W^T (+ b)` with W (out, in) in bfloat16 and x (..., in) in float32 or bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)
        self.out_features, self.in_features = weight.shape

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == self.weight.dtype:
            return functional.linear(x, self.weight, None if self.bias is None else self.bias.to(x.dtype))
        rows = x.numel() // x.shape[-1]
        if rows <= FEW_ROWS and not torch.is_grad_enabled():
            flat = x.reshape(rows, -1).to(self.weight.dtype)
            y = torch.stack([torch.mv(self.weight, row) for row in flat]).to(x.dtype)
            y = y.view(*x.shape[:-1], -1)
            return y if self.bias is None else y + self.bias
        return functional.linear(x, self.weight.to(x.dtype), self.bias)


class UnpackedEmbedding(nn.Module):
    """Embedding table kept in bfloat16 (only a few rows are read), looked up in `dtype`."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.weight).to(self.dtype)


def unpack(model: Any, dtype: torch.dtype) -> None:
    """Replace every bitsandbytes 4-bit layer, the embedding and the vocabulary projection, in place; activations
    are of `dtype` from the embedding on."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn.modules import Linear4bit

    for name, module in list(model.named_modules()):
        if isinstance(module, Linear4bit):
            weight = dequantize_4bit(module.weight.data, _quant_state(module)).to(torch.bfloat16)
            bias = None if module.bias is None else module.bias.data
            model.set_submodule(name, UnpackedLinear(weight, bias))
    embedding = model.get_input_embeddings()
    head = model.get_output_embeddings()
    tied = head is not None and head.weight.data_ptr() == embedding.weight.data_ptr()
    model.set_input_embeddings(UnpackedEmbedding(embedding.weight.data.to(torch.bfloat16), dtype))
    if head is not None:
        # In float32: bfloat16 logits near 20 come in steps of 0.125, too coarse for probabilities and close calls.
        weight = (embedding if tied else head).weight.data.to(torch.bfloat16).to(dtype)
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=head.bias is not None)
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if head.bias is not None:
            linear.bias = nn.Parameter(head.bias.data.to(dtype), requires_grad=False)
        model.set_output_embeddings(linear)


def _quant_state(module: Any) -> Any:
    """bitsandbytes keeps the absmax values and the code book beside the packed weight."""
    return module.weight.quant_state
