"""What AdaLoRA does beside gradients: keep A and B orthogonal, and take ranks away from where they matter least.

PEFT does the first inside its own forward, which the packed pass does not go through, and the second when told to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_KEPT = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def penalty(model: Any) -> Tensor:
    """Mean Frobenius distance of AAᵀ and BᵀB from the identity, times PEFT's weight (arXiv 2303.10512, equation 4)."""
    distances = []
    for name, p in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            gram = p @ p.T if "lora_A" in name else p.T @ p
            distances.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
    return torch.as_tensor(model.peft_config["default"].orth_reg_weight * torch.stack(distances).mean())


def allocate(model: Any, step: int) -> None:
    """After the optimizer's step and before the gradients are cleared: PEFT reads both. `step` counts from 1."""
    model.base_model.update_and_allocate(step)


def state(model: Any) -> dict[str, Any]:
    """What a checkpoint must hold beside the weights."""
    allocator = model.base_model.rankallocator
    found: dict[str, Any] = {name: getattr(allocator, name) for name in _KEPT}
    return {**found, "rank_pattern": model.peft_config["default"].rank_pattern}


def restore(model: Any, saved: dict[str, Any]) -> None:
    for name in _KEPT:
        setattr(model.base_model.rankallocator, name, saved[name])
    model.peft_config["default"].rank_pattern = saved["rank_pattern"]
