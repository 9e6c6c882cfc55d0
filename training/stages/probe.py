"""One step on the heaviest batch before the real run: does it fit, how long will it all take.

The peak is counted from the step on (on Linux; elsewhere it is that of the whole process so far).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from lora_agent.engine.local.device import available_memory
from lora_agent.errors import MemoryForecastError

from ..encode import Encoded, read_encoded
from ..fit.loop import plan
from ..fit.memory import Forecast, forecast, heaviest, peak, reset_peak, resident
from ..fit.step import Objective
from ..fit.trainable import add_adapter, load_for
from ..learning import on_policy, preferences
from ..recipe import Fit, Recipe
from ..run import Run
from . import variants


def needed(run: Run) -> bool:
    recipe = run.recipe
    trained = run.fit.max_steps != 0 or (bool(recipe.variants) and recipe.variant.max_steps != 0)
    return recipe.compose is None and trained


def inputs(run: Run) -> Any:
    found = {"data": run.report("data")["inputs"], "fit": _largest(run.recipe).model_dump(mode="json")}
    if run.recipe.variants:
        found["variant"] = run.recipe.variant.model_dump(mode="json")
    learning = run.recipe.learning
    if learning.by_trl or learning.method == "on_policy":
        found["learning"] = preferences.inputs(run)
    return found


def work(run: Run) -> dict[str, Any]:
    """Raises MemoryForecastError, with the largest batch that would fit, before the step is tried. A run through TRL's
    trainers is measured, not forecast; of `on_policy` the forecast leaves out the teacher's pass."""
    if run.recipe.learning.by_trl:
        return preferences.probe(run)
    rows = read_encoded(run.rows_file("tokens"))
    fit, *others = _fits(run.recipe, rows)
    batches = plan(rows, fit)
    base = load_for(run.recipe)
    model = add_adapter(base, run.recipe.model_copy(update={"fit": fit}), steps=len(batches))
    objective = on_policy.objective(run, base, model, rows, fit) or Objective(model, fit)
    chosen = heaviest(batches)
    held, room = resident(), available_memory()
    expected = forecast(model, chosen, fit, held)
    for one in (fit, *others):
        needs = forecast(model, chosen, one, held)
        if needs.total - held > room:
            _refuse(model, batches, one, held, room, needs)
    objective.prepare()
    reset_peak()
    started = time.monotonic()
    objective(chosen).backward()
    seconds = time.monotonic() - started
    tokens = sum(map(len, chosen))
    total = sum(len(row) for b in batches for row in b)
    return {
        "forecast_mib": expected.report(),
        "measured_peak_mib": round(peak() / 2**20),
        "available_mib": round(room / 2**20),
        "steps": len(batches),
        "rows": sum(map(len, batches)),
        "heaviest_batch": {"rows": len(chosen), "tokens": tokens, "seconds": round(seconds, 2)},
        "minutes_expected": round(seconds * total / tokens / 60, 1),
        "loss_before": round(objective.loss, 4),
        "threads": torch.get_num_threads(),
    }


def _fits(recipe: Recipe, rows: Sequence[Encoded]) -> list[Fit]:
    """What is fitted: the adapter, unless it is to stay as it is, and its variants, whose gradients go through the
    context as well. The first is the one to try a step of."""
    own = _largest(recipe)
    steps = len(plan(rows, own))
    beside = [variants.settings(own, recipe.variant, kind, steps) for kind in variants.wanted(recipe)]
    return [fit for fit in (own, *beside) if fit.max_steps != 0]


def _largest(recipe: Recipe) -> Fit:
    """The heaviest of the settings that a sweep will try."""
    axes = recipe.sweep.axes if recipe.sweep is not None else {}
    heavy = {k: max(v) for k, v in axes.items() if k in ("rank", "batch_rows", "virtual_tokens")}
    return recipe.fit.model_copy(update=heavy)


def _refuse(
    model: Any, batches: Sequence[Sequence[Encoded]], fit: Fit, held: int, room: int, expected: Forecast
) -> NoReturn:
    """Raises MemoryForecastError with the smallest change that would fit."""
    chosen = heaviest(batches)

    def fits(rows: Sequence[Encoded]) -> bool:
        return forecast(model, rows, fit, held).total - held <= room

    most = next((n for n in range(len(chosen) - 1, 0, -1) if fits(chosen[:n])), 0)
    if most:
        change = f"Set `fit: {{batch_rows: {most}}}`."
    else:
        lengths = sorted({len(row) for batch in batches for row in batch}, reverse=True)
        alone = {len(row): row for batch in batches for row in batch}
        length = next((n for n in lengths if fits([alone[n]])), None)
        change = (
            f"Set `fit: {{batch_rows: 1, max_tokens: {length}}}`: longer rows are then dropped and counted."
            if length is not None
            else "Not even one row fits: free memory, or train a smaller base."
        )
    parts = ", ".join(f"{name} {value} MiB" for name, value in expected.report().items() if name != "total")
    raise MemoryForecastError(
        f"a step on {len(chosen)} rows takes about {expected.total / 2**30:.1f} GiB ({parts}), but "
        f"{room / 2**30:.1f} GiB are free",
        hint=change,
    )
