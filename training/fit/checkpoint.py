"""The state of a run on disk: one file, replaced as a whole, so that a kill at any point leaves the last one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .step import Objective, trained

FILE = "state.pt"


@dataclass
class Progress:
    step: int = 0
    rows: int = 0
    tokens: int = 0
    """Trained ones."""
    seconds: float = 0.0
    scores: list[tuple[int, float]] = field(default_factory=list)
    """(step, share of right answers) of every evaluation so far."""
    stopped: bool = False
    """Early: no better evaluation within the recipe's patience."""

    @property
    def best(self) -> tuple[int, float] | None:
        """The first of the best evaluations."""
        return max(self.scores, key=lambda s: (s[1], -s[0]), default=None)


def save(
    path: Path, key: str, objective: Objective, optimizer: Any, progress: Progress, best: list[Any] | None
) -> None:
    scratch = path.with_suffix(".tmp")
    state = {
        "key": key,
        "weights": weights(objective.model),
        "best": best,
        "optimizer": optimizer.state_dict(),
        "method": objective.extra_state(),
        "progress": vars(progress),
    }
    torch.save(state, scratch)
    os.replace(scratch, path)


def resume(path: Path, key: str, objective: Objective, optimizer: Any) -> tuple[Progress, list[Any] | None]:
    """Where the checkpoint was, and the best weights so far; the beginning if there is none for this `key`."""
    if not path.is_file():
        return Progress(), None
    saved = torch.load(path, weights_only=True)
    if saved.get("key") != key:
        print("the checkpoint is of other data or settings: starting anew", file=sys.stderr)
        return Progress(), None
    put(objective.model, saved["weights"])
    optimizer.load_state_dict(saved["optimizer"])
    objective.restore(saved["method"])
    print(f"resuming after step {saved['progress']['step']}", file=sys.stderr)
    return Progress(**saved["progress"]), saved["best"]


def weights(model: Any) -> list[Any]:
    """Copies of all trained weights, in the model's order."""
    return [p.detach().clone() for p in trained(model)]


def put(model: Any, values: list[Any]) -> None:
    with torch.no_grad():
        for parameter, value in zip(trained(model), values, strict=True):
            parameter.copy_(value)
