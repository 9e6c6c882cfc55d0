"""Lay out a checkpoint for the compiled forward pass: NF4 codes in the order in which it expands them.

Reads the safetensors files alone; transformers is not needed. NF4 with double quantization as bitsandbytes stores it:
value = quant_map[code] * scale, scale = nested_quant_map[absmax] * nested_absmax + nested_offset (QLoRA, arXiv
2305.14314).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NF4, BF16, F32, INT8 = 0, 1, 2, 3
"""How numbers are stored, as in forward.c; INT8 for keys and values alone."""
BLOCK = 64
"""Weights that share a scale."""


@dataclass(frozen=True)
class Linear:
    """One linear layer, or several that read the same input, one below the other."""

    kind: int
    """NF4, BF16 or F32."""
    n: int
    k: int
    codes: Tensor
    scales: Tensor | None
    bias: Tensor | None


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the checkpoint's safetensors files, by name."""
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            found |= {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    return found


def linear(tensors: Mapping[str, Tensor], names: list[str]) -> Linear:
    """The layers `names` (without ".weight") as one. Raises ValueError for a format that forward.c does not read."""
    parts = [_one(tensors, name) for name in names]
    kinds, widths = {p.kind for p in parts}, {p.k for p in parts}
    if len(kinds) != 1 or len(widths) != 1:
        raise ValueError(f"{', '.join(names)} are stored in different ways")
    scales = [p.scales for p in parts if p.scales is not None]
    biases = [p.bias for p in parts if p.bias is not None]
    if len(biases) not in (0, len(parts)):
        raise ValueError(f"only some of {', '.join(names)} have a bias")
    return Linear(
        parts[0].kind,
        sum(p.n for p in parts),
        parts[0].k,
        torch.cat([p.codes for p in parts]),
        torch.cat(scales) if scales else None,
        torch.cat(biases) if biases else None,
    )


def _one(tensors: Mapping[str, Tensor], name: str) -> Linear:
    weight = tensors[f"{name}.weight"]
    bias = tensors[f"{name}.bias"].float().contiguous() if f"{name}.bias" in tensors else None
    if weight.is_floating_point():
        return Linear(kind_of(weight), weight.shape[0], weight.shape[1], as_bytes(weight), None, bias)
    state = quant_state(tensors, name)
    if weight.dtype != torch.uint8 or state.get("quant_type") != "nf4" or state["blocksize"] != BLOCK:
        raise ValueError(f"{name} is neither NF4 in blocks of {BLOCK} nor 16 or 32 bits wide")
    n, k = state["shape"]
    return Linear(NF4, n, k, repack(weight.view(-1)), _scales(tensors, name, state), bias)


def kind_of(weight: Tensor) -> int:
    """Raises ValueError for float16, which forward.c does not read."""
    if weight.dtype not in (torch.bfloat16, torch.float32):
        raise ValueError(f"weights of {weight.dtype}: bfloat16 and float32 are read")
    return BF16 if weight.dtype == torch.bfloat16 else F32


def as_bytes(weight: Tensor) -> Tensor:
    return weight.contiguous().view(torch.uint8).view(-1)


def quant_state(tensors: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """bitsandbytes' description of a quantized weight; {} where there is none."""
    packed = tensors.get(f"{name}.weight.quant_state.bitsandbytes__nf4")
    return {} if packed is None else dict(json.loads(bytes(packed.tolist())))


def _scales(tensors: Mapping[str, Tensor], name: str, state: Mapping[str, Any]) -> Tensor:
    absmax = tensors[f"{name}.weight.absmax"]
    if absmax.dtype != torch.uint8:
        return absmax.float().contiguous()
    nested = tensors[f"{name}.weight.nested_absmax"].repeat_interleave(state["nested_blocksize"])[: absmax.numel()]
    values = tensors[f"{name}.weight.nested_quant_map"][absmax.long()] * nested
    scales: Tensor = values + state["nested_offset"]
    return scales.float().contiguous()


def repack(codes: Tensor) -> Tensor:
    """bitsandbytes: byte i holds elements 2i (high) and 2i + 1 (low). Here, per 64 elements, byte p holds the elements
    `order[p]` (low) and 32 + `order[p]` (high): interleaving works within 128 bits, so vectors of 8 elements must be
    stored as halves that lie 16 bytes apart for `expand32` of forward.c to give them in order."""
    pairs = codes.view(-1, BLOCK // 2)
    elements = torch.stack([pairs >> 4, pairs & 15], 2).view(-1, BLOCK)
    place = torch.arange(32)
    order = 8 * (place % 16 // 4) + place % 4 + 4 * (place // 16)
    packed: Tensor = elements[:, order] | (elements[:, 32 + order] << 4)
    return packed.contiguous().view(-1)
