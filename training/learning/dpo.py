"""Direct preference optimisation (arXiv 2305.18290) by TRL: the accepted answer above the rejected one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from ..recipe import Recipe
from .examples import Example
from .trainer import Done, Quiet, run, settings

_MICRO = 2
"""Pairs in one pass: each is two whole rows with gradients."""


class _OwnTokens(Quiet, DPOTrainer):  # type: ignore[misc]
    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """The rows are tokens already, ours: TRL would apply a chat template of its own."""
        return dataset


def fit(model: Any, tokenizer: Any, found: Sequence[Example], recipe: Recipe, folder: Path, key: str) -> Done:
    """Reference: the adapter as it was at the start (the base itself, unless `fit.start`)."""
    pairs = [
        {"prompt_ids": e.prompt, "chosen_ids": e.target, "rejected_ids": e.rejected}
        for e in found
        if e.target is not None and e.rejected is not None
    ]
    per_step = min(recipe.fit.batch_rows, len(pairs))
    shared = settings(recipe, len(pairs), folder, micro=_MICRO, per_step=per_step, device=model.device.type)

    def make() -> Any:
        args = DPOConfig(**shared, beta=recipe.learning.strength, max_length=None)
        return _OwnTokens(model=model, args=args, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer)

    return run(make, recipe, folder, key=key, rows=len(pairs), per_step=per_step)
