"""In what precision a training pass multiplies: bfloat16 where the machine has arithmetic for it, else float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from lora_agent.engine.local.device import cpu_flags

from ..recipe import Fit
from .batches import is_packed


def autocast(fit: Fit, model: Any) -> AbstractContextManager[object]:
    """The context of a forward pass. Weights that are trained, their gradients and the loss stay float32."""
    device = next(model.parameters()).device
    return torch.autocast(device.type, torch.bfloat16) if precision(fit, device) == "bfloat16" else nullcontext()


def precision(fit: Fit, device: torch.device) -> str:
    """What `auto` means on this machine. Always float32 for the padded pass, since its projection to the vocabulary is
    the model's own."""
    if not is_packed(fit):
        return "float32"
    if fit.precision != "auto":
        return fit.precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it gains anything there: in software it would cost."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(cpu_flags() & {"amx_bf16", "avx512_bf16"})
