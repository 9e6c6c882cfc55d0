"""What a fit has made, as something that answers rows: mid-way from the model in memory, or from its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import load_file

from lora_agent.engine.local.base import BaseModel

from .. import packing
from ..compose.arrow import load_arrow
from ..data.rows import Row
from ..fit.saving import save_model, saved
from ..fit.trainable import load_for
from ..run import Run
from ..selection import pick
from .by_peft import PeftGenerate
from .live import LiveEngine
from .run import run_system


def scorer(run: Run, base: BaseModel, model: Any, rows: Sequence[Row], count: int) -> Callable[[], float]:
    """A function that gives the share of right answers on at most `count` of `rows` by the weights of the moment."""
    chosen = pick(rows, count)
    package = packing.in_memory(run, base.renderer, base.identity)

    def score() -> float:
        scored = run_system(_system(run, base, model, package), package.name, chosen, run.recipe.gate.metric)
        return sum(scored.correct) / len(chosen)

    return score


def load(run: Run) -> Any:
    """The trained weights of a method without slots, from the run's folder: like an engine, for this one adapter."""
    base = load_for(run.fitted)
    package = packing.in_memory(run, base.renderer, base.identity)
    return _system(run, base, _with_weights(run, base), package)


def merge(run: Run, folder: Path) -> None:
    """A model of its own in bfloat16: the base's (quantized) values with the adapter in them, or the tuned weights."""
    base = load_for(run.fitted)
    model = _with_weights(run, base)
    save_model(model.merge_and_unload() if run.fit.kind != "full" else model, folder)
    base.tokenizer.save_pretrained(folder)


def _with_weights(run: Run, base: BaseModel) -> Any:
    if run.recipe.compose is not None and run.recipe.compose.method == "arrow":
        return load_arrow(base, run.weights)
    if run.fit.kind != "full":
        return PeftModel.from_pretrained(base.model, str(run.weights)).eval()
    base.model.load_state_dict(load_file(saved(run.weights)), strict=False)  # a tied vocabulary projection is not saved
    return base.model.eval()


def _system(run: Run, base: BaseModel, model: Any, package: Any) -> Any:
    return PeftGenerate(base, model, package) if run.recipe.served == "peft" else LiveEngine(base, package)
