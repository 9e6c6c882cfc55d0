"""Short runs with different settings; the best by the task metric on development rows is what the fit will use.

Learning rate first, then each further axis at the best so far. A finished setting is not run again after a kill, and
one under way goes on from its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_agent.types import compact_json

from .. import plot
from ..data.rows import Row, read_rows
from ..encode import Encoded, read_encoded
from ..evaluate.calibrate import wilson
from ..evaluate.candidate import scorer
from ..files import write_whole
from ..fit import metrics
from ..fit.loop import plan, train
from ..fit.trainable import add_adapter, load_for
from ..learning import on_policy
from ..recipe import Fit, Sweep
from ..run import Run

_FACTORS = (1 / 3, 1.0, 3.0)


def needed(run: Run) -> bool:
    return run.recipe.sweep is not None


def inputs(run: Run) -> Any:
    return {
        "sweep": (run.recipe.sweep or Sweep()).model_dump(mode="json"),
        "fit": run.recipe.fit.model_dump(mode="json"),
        "data": run.report("data")["inputs"],
        "metric": run.recipe.gate.metric,
        "learning": run.recipe.learning.model_dump(mode="json"),
    }


def work(run: Run) -> dict[str, Any]:
    sweep = run.recipe.sweep or Sweep()
    rows, tune = read_encoded(run.rows_file("tokens")), read_rows(run.rows_file("tune"))
    fit = run.recipe.fit
    rates = sweep.learning_rate or tuple(float(f"{fit.learning_rate * factor:.3g}") for factor in _FACTORS)
    chosen: dict[str, Any] = {}
    tried: list[dict[str, Any]] = []
    for axis, values in {"learning_rate": rates, **sweep.axes}.items():
        results = [_try(run, fit.model_copy(update={**chosen, axis: v}), axis, v, rows, tune) for v in values]
        tried += results
        best = max(results, key=lambda r: (r["correct"], -r["loss"]))
        chosen[axis] = best["value"]
    _draw(run, tried)
    return {
        "chosen": chosen,
        "metric": run.recipe.gate.metric,
        "tried": tried,
        "rule": "most right answers; among equals the lower loss over the last fifth of the steps",
        "plot": "sweep.html",
    }


def _try(run: Run, fit: Fit, axis: str, value: Any, rows: Sequence[Encoded], tune: Sequence[Row]) -> dict[str, Any]:
    sweep = run.recipe.sweep or Sweep()
    steps = max(8, round(sweep.fraction * len(plan(rows, fit))))
    short = fit.model_copy(update={"max_steps": steps, "evaluate_every": None, "patience": None})
    key = compact_json([inputs(run), axis, value, short.model_dump(mode="json")])
    folder = run.folder / "sweep" / f"{axis}-{value}".replace("/", "_")
    result = folder / "result.json"
    if result.is_file():
        found = json.loads(result.read_text(encoding="utf-8"))
        if found.pop("key") == key:
            return dict(found)
    base = load_for(run.recipe)
    recipe = run.recipe.model_copy(update={"fit": short})
    model = add_adapter(base, recipe, run.start, steps=steps)
    objective = on_policy.objective(run, base, model, rows, short)
    done = train(model, rows, short, folder, key=key, objective=objective)
    share = scorer(run, base, model, tune, sweep.rows)()
    n = min(sweep.rows, len(tune))
    low, high = wilson(round(share * n), n)
    found = {
        "axis": axis,
        "value": value,
        "steps": done.step,
        "n": n,
        "correct": round(share, 4),
        "correct_95": [round(low, 4), round(high, 4)],
        "loss": _last_loss(folder),
        "seconds": round(done.seconds, 1),
    }
    write_whole(result, json.dumps({"key": key, **found}))
    (folder / "state.pt").unlink(missing_ok=True)
    return found


def _last_loss(folder: Path) -> float:
    losses = [line["loss"] for line in metrics.read(folder) if "loss" in line]
    last = losses[-max(1, len(losses) // 5) :]
    return float(round(sum(last) / len(last), 4))


def _draw(run: Run, tried: Sequence[dict[str, Any]]) -> None:
    parts = []
    for axis in dict.fromkeys(t["axis"] for t in tried):
        of = [t for t in tried if t["axis"] == axis]
        parts.append(plot.table([{k: v for k, v in t.items() if k != "axis"} for t in of]))
        curves = {}
        for t in of:
            lines = metrics.read(run.folder / "sweep" / f"{axis}-{t['value']}".replace("/", "_"))
            curves[f"{axis} {t['value']}"] = plot.smooth(
                [(line["step"], line["loss"]) for line in lines if "loss" in line]
            )
        parts.append(plot.panel(f"{axis}: loss, mean of 20 steps", curves))
        if all(isinstance(t["value"], (int, float)) for t in of):
            parts.append(
                plot.panel(f"{axis}: share of right answers", {"correct": [(t["value"], t["correct"]) for t in of]})
            )
    plot.write(run.folder / "sweep.html", f"{run.recipe.name}: sweep", parts)
