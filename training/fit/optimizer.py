"""The optimizer of a recipe: AdamW, with LoRA+'s faster B or GaLore's projected moments where asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from peft.optimizers import create_loraplus_optimizer
from torch import Tensor

from ..recipe import Fit


def make_optimizer(model: Any, fit: Fit) -> Any:
    """Each parameter group keeps, in "ratio", its rate over the recipe's: the schedule multiplies it back in."""
    if fit.galore is not None:
        optimizer: Any = GaLore(_trained(model), lr=fit.learning_rate, rank=fit.galore, weight_decay=fit.weight_decay)
    elif fit.lora_plus is not None:
        optimizer = create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=fit.learning_rate,
            loraplus_lr_ratio=fit.lora_plus,
            loraplus_weight_decay=fit.weight_decay,
            fused=True,
        )
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    else:
        optimizer = torch.optim.AdamW(_trained(model), lr=fit.learning_rate, weight_decay=fit.weight_decay, fused=True)
    for group in optimizer.param_groups:
        group["ratio"] = group["lr"] / fit.learning_rate
    return optimizer


def _trained(model: Any) -> list[Any]:
    return [p for p in model.parameters() if p.requires_grad]


class GaLore(torch.optim.Optimizer):
    """AdamW whose moments of a matrix live in the `rank` leading singular directions of its gradient, found anew every
    `gap` steps (arXiv 2403.03507, algorithm 2). Vectors, and matrices no larger than the rank, get plain AdamW.

    Own because the paper's package has not been released since 2024 and asks for bitsandbytes' 8-bit optimizers."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        rank: int,
        gap: int = 200,
        scale: float = 0.25,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.rank, self.gap, self.scale, self.betas, self.eps = rank, gap, scale, betas, eps

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(self._update(p, self.state[p]), alpha=group["lr"])

    def _update(self, p: Tensor, state: dict[str, Any]) -> Tensor:
        grad = p.grad if p.grad is not None else torch.zeros_like(p)
        step = state["step"] = state.get("step", 0) + 1
        low = p.ndim == 2 and min(p.shape) > self.rank
        tall = p.shape[0] >= p.shape[-1]
        if low:
            if (step - 1) % self.gap == 0:
                state["basis"] = _leading(grad if tall else grad.T, self.rank)
            basis = state["basis"]  # (smaller side, rank)
            grad = grad @ basis if tall else basis.T @ grad
        if "m" not in state:
            state["m"], state["v"] = torch.zeros_like(grad), torch.zeros_like(grad)
        first, second = self.betas
        state["m"].lerp_(grad, 1 - first)
        state["v"].mul_(second).addcmul_(grad, grad, value=1 - second)
        found: Tensor = (state["m"] / (1 - first**step)) / ((state["v"] / (1 - second**step)).sqrt() + self.eps)
        if not low:
            return found
        return self.scale * (found @ basis.T if tall else basis @ found)


def _leading(matrix: Tensor, rank: int) -> Tensor:
    """The `rank` leading right singular vectors of a tall matrix (n, m), as (m, rank)."""
    _, vectors = torch.linalg.eigh(matrix.T @ matrix)  # ascending; m x m is the small side
    return vectors[:, -rank:].contiguous()
