"""One optimisation step of any method: its loss, and what the method does besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..encode import Encoded
from ..recipe import Fit
from . import adalora
from .batches import is_packed, make_batch
from .forward import loss, use_own_passes, use_packed_passes
from .padded import padded_loss
from .precision import autocast


def row_loss(model: Any, rows: Sequence[Encoded], fit: Fit) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the rows' target tokens (a scalar with gradient) and their number."""
    with autocast(fit, model):
        if not is_packed(fit):
            return padded_loss(model, rows)
        return loss(model, make_batch(rows), adapt_context=fit.kind != "alora")


class Objective(nn.Module):
    """What is minimised, as a module, so that DDP can wrap it: forward(rows, weight) → weight · (loss + penalty).

    The plain loss and the number of tokens of the last call stay in `loss` and `tokens`."""

    def __init__(self, model: Any, fit: Fit) -> None:
        super().__init__()
        self.model = model
        self.fit = fit
        self.loss, self.tokens = 0.0, 0

    def forward(self, rows: Sequence[Encoded], weight: float = 1.0) -> Tensor:
        value, self.tokens = row_loss(self.model, rows, self.fit)
        self.loss = float(value.detach())
        total = weight * value
        return total + adalora.penalty(self.model) if self.fit.kind == "adalora" else total

    def prepare(self) -> None:
        """Ready for training; `rest` for anything else."""
        if is_packed(self.fit):
            use_packed_passes(self.model)
        self.model.train()

    def rest(self) -> None:
        use_own_passes(self.model)
        self.model.eval()

    def after_step(self, step: int) -> None:
        if self.fit.kind == "adalora":
            adalora.allocate(self.model, step)

    def extra_state(self) -> dict[str, Any]:
        return adalora.state(self.model) if self.fit.kind == "adalora" else {}

    def restore(self, saved: dict[str, Any]) -> None:
        if self.fit.kind == "adalora":
            adalora.restore(self.model, saved)


def trained(model: Any) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]
