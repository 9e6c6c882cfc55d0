"""In what precision a training pass multiplies: bfloat16 where the machine has arithmetic for it, else float32."""

from __future__ import annotations

import contextlib

import torch

from lora_agent.engine.local.device import cpu_flags

from ..recipe import Fit


def autocast(fit: Fit, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context of a forward pass. Weights that are trained, their gradients, norms and the loss stay float32."""
    if fit.precision == "float32" or (fit.precision == "auto" and not multiplies_bfloat16(device)):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it gains anything there: in software it would cost."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(cpu_flags() & {"amx_bf16", "avx512_bf16"})
