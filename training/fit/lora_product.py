"""A linear layer and its LoRA as one operation with its own gradient.

PEFT's forward (`result + lora_B(lora_A(x)) * scaling`) makes three tensors of the layer's output size and as many in
the backward pass, which cost as much as the products themselves where those are in bfloat16. Here the scaling goes into
the small matrix and both products add to what is there (decision 077).
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn import functional

_ADAPTER = "default"


class LoraProduct(torch.autograd.Function):
    """x (..., I), weight (O, I) and bias (O,), a (R, I), b (O, R) → x weightᵀ + bias + scaling · x aᵀ bᵀ: (..., O).

    x and weight are of the type that is multiplied in; a and b may be float32, and so are their gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        down, up = a.to(x.dtype), (b * scaling).to(x.dtype)
        inner = flat @ down.T
        out = functional.linear(flat, weight, bias).addmm_(inner, up.T)
        ctx.save_for_backward(flat, inner, weight, down, up)
        ctx.scaling, ctx.shape, ctx.types = scaling, x.shape, (a.dtype, b.dtype)
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        flat, inner, weight, down, up = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        back = grad @ up
        of_x = (grad @ weight).addmm_(back, down).view(ctx.shape) if ctx.needs_input_grad[0] else None
        of_a = (back.T @ flat).to(ctx.types[0])
        of_b = (grad.T @ inner).to(ctx.types[1]) * ctx.scaling
        return of_x, None, None, of_a, of_b, None


def multiplied_in(x: Tensor, otherwise: torch.dtype) -> torch.dtype:
    """What autocast says for the device of `x`, where it is on."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else otherwise


def use_lora_product(model: Any) -> None:
    """Make every plain LoRA layer of a PEFT model compute so; DoRA's and those with dropout stay PEFT's."""
    for layer in _plain_layers(model):
        layer.forward = types.MethodType(_forward, layer)


def has_plain_layers(model: Any) -> bool:
    """Whether `use_lora_product` changes anything."""
    return any(True for _ in _plain_layers(model))


def use_own_product(model: Any) -> None:
    """Back to PEFT's forward."""
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.__dict__.pop("forward", None)


def _plain_layers(model: Any) -> Iterator[Linear]:
    return (layer for layer in model.modules() if isinstance(layer, Linear) and _is_plain(layer))


def _is_plain(layer: Linear) -> bool:
    return (
        list(layer.lora_A) == [_ADAPTER]
        and _ADAPTER not in layer.lora_variant
        and isinstance(layer.lora_dropout[_ADAPTER], nn.Identity)
        and layer.lora_B[_ADAPTER].bias is None
        and type(layer.base_layer) is nn.Linear
        and not layer.base_layer.weight.requires_grad
    )


def _forward(layer: Any, x: Tensor) -> Tensor:
    base = layer.base_layer
    if layer.disable_adapters:
        return torch.as_tensor(base(x))
    kind = multiplied_in(x, base.weight.dtype)
    a, b = layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight
    bias = None if base.bias is None else base.bias.to(kind)
    return torch.as_tensor(LoraProduct.apply(x.to(kind), base.weight.to(kind), bias, a, b, layer.scaling[_ADAPTER]))
