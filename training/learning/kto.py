"""Kahneman-Tversky optimisation (arXiv 2402.01306) by TRL: single answers, each labelled good or bad."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from ..recipe import Recipe
from .examples import Example
from .trainer import Done, Quiet, run, settings

_MICRO = 4
"""Answers in one pass. The divergence is estimated from answers of the same pass, put under each other's prompts."""


class _OwnTokens(Quiet, KTOTrainer):  # type: ignore[misc]
    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """The rows are tokens already, ours, with the mismatched answers beside them."""
        return dataset


def fit(model: Any, tokenizer: Any, found: Sequence[Example], recipe: Recipe, folder: Path, key: str) -> Done:
    """A pair counts as one good and one bad answer; the rarer side is weighted up, as the paper's equation 8 asks."""
    answers = [(e.prompt, e.target, True) for e in found if e.target is not None]
    answers += [(e.prompt, e.rejected, False) for e in found if e.rejected is not None]
    Random(recipe.fit.seed).shuffle(answers)
    rows = []
    for start in range(0, len(answers), _MICRO):
        part = answers[start : start + _MICRO]
        for (prompt, answer, good), (_, other, _) in zip(part, [part[-1], *part[:-1]], strict=True):
            rows.append({"prompt_ids": prompt, "completion_ids": answer, "KL_completion_ids": other, "label": good})
    good = sum(row["label"] is True for row in rows)
    bad = len(rows) - good
    weights = {"desirable_weight": max(1.0, bad / good), "undesirable_weight": max(1.0, good / bad)}
    per_step = min(recipe.fit.batch_rows, len(rows))
    shared = settings(recipe, len(rows), folder, micro=_MICRO, per_step=per_step, device=model.device.type)

    def make() -> Any:
        args = KTOConfig(**shared, **weights, beta=recipe.learning.strength, max_length=None)
        return _OwnTokens(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)

    return run(make, recipe, folder, key=key, rows=len(rows), per_step=per_step)
