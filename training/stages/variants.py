"""Further variants of the adapter that the recipe asks for: `variants: [alora, lora]` adds a plain LoRA for servers
that apply an adapter to the whole prompt, as vLLM does.

A variant goes on from the adapter's own weights, now with the adapter on the context as well, so that a part of the
steps is enough (decision 046), or from an earlier variant's. It is fitted, validated and gated by the same stages, as a
run of its own in `variants/lora/` on the same rows.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from lora_agent.registry import sha256_file

from ..recipe import Fit, Recipe, Variant
from ..run import Run
from . import fit, gate, validate

FRACTION = 0.25
"""Of the adapter's own steps."""
RATE = 0.3
"""Of its learning rate."""
_SHARED = ("plan", "data", "teach")


def needed(run: Run) -> bool:
    return bool(wanted(run.recipe))


def wanted(recipe: Recipe) -> list[str]:
    """The variants to build beside the adapter itself."""
    return [kind for kind in recipe.variants if kind != recipe.fit.kind]


def inputs(run: Run) -> Any:
    return {
        "weights": run.report("fit")["weights_sha256"],
        "fit": run.report("fit")["inputs"],
        "variants": wanted(run.recipe),
        "gate": run.report("gate")["inputs"],
        "schedule": [FRACTION, RATE, run.recipe.variant.model_dump(mode="json")],
    }


def intact(run: Run) -> bool:
    return all(fit.intact(of(run, kind)) for kind in wanted(run.recipe))


def settings(fit: Fit, chosen: Variant, kind: str, steps: int) -> Fit:
    """How a variant is fitted beside an adapter that was fitted so, in so many steps."""
    return fit.model_copy(
        update={
            "kind": kind,
            "rank": chosen.rank or fit.rank,
            "learning_rate": chosen.learning_rate or fit.learning_rate * RATE,
            "max_steps": max(1, int(FRACTION * steps)) if chosen.max_steps is None else chosen.max_steps,
            "evaluate_every": None,
            "patience": None,
        }
    )


def of(run: Run, kind: str) -> Run:
    """The variant's own run."""
    folder = run.folder / "variants" / kind
    fitted = settings(run.fit, run.recipe.variant, kind, int(run.report("fit")["steps"]))
    given = run.recipe.variant.start
    start = run.weights if given is None else run.recipe_path.parent / given
    fitted = fitted.model_copy(update={"start": str(start.resolve())})
    rules = run.recipe.gate.model_copy(update={"compare_16bit": False})
    recipe = run.recipe.model_copy(update={"fit": fitted, "gate": rules, "sweep": None, "variants": ()})
    place = folder / run.recipe.name
    return dataclasses.replace(run, recipe=recipe, folder=folder, package=place, processes=1, beside=True)


def work(run: Run) -> dict[str, Any]:
    return {"built": {kind: _build(run, of(run, kind)) for kind in wanted(run.recipe)}}


def _build(run: Run, variant: Run) -> dict[str, Any]:
    variant.folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run.folder / "rows", variant.folder / "rows", dirs_exist_ok=True)
    for name in _SHARED:
        if run.has(name):
            variant.write(name, run.report(name))
    reports: dict[str, dict[str, Any]] = {}
    for name, stage in (("fit", fit), ("validate", validate), ("gate", gate)):
        reports[name] = {"inputs": stage.inputs(variant), **stage.work(variant)}
        variant.write(name, reports[name])
    found = reports["validate"]
    return {
        "weights": str(Path("variants") / variant.fit.kind / "weights"),
        "weights_sha256": sha256_file(variant.weights / "adapter_model.safetensors"),
        "steps": reports["fit"]["steps"],
        "seconds": reports["fit"]["training_seconds"],
        "passed": reports["gate"]["passed"],
        "reasons": reports["gate"]["reasons"],
        "report": found["report"],
        "calibration": found["calibration"],
        "fingerprint": found["fingerprint"],
    }
