"""The fit stage of a recipe that composes: no rows, no steps, only arithmetic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lora_agent.registry import AdapterPackage, sha256_file

from ..fit.memory import peak
from ..fit.saving import save_adapter, saved
from ..fit.trainable import load_for
from ..run import Run
from .arrow import write_arrow
from .combine import combined, rank_of, read_parts


def inputs(run: Run) -> Any:
    compose = run.recipe.compose
    parts = read_parts(run.recipe, run.recipe_path.parent)
    settings = None if compose is None else compose.model_dump(mode="json")
    return [settings, [part.digest for part in parts], run.recipe.fit.seed, run.recipe.base]


def work(run: Run) -> dict[str, Any]:
    """Raises ConfigError and the AdapterError family, before the base is loaded where that can be seen before."""
    compose = run.recipe.compose
    parts = read_parts(run.recipe, run.recipe_path.parent)
    if compose is None:
        raise ValueError("not a recipe that composes")
    rank = rank_of(parts, compose)
    started = time.monotonic()
    if compose.method == "arrow":
        return _report(
            compose.method, parts, rank, started, write_arrow(run.weights, parts, compose.top_k, run.fit.seed)
        )
    base = load_for(run.recipe)
    model = combined(base, parts, compose, run.recipe.fit.seed)
    save_adapter(model, run.weights, run.recipe, base.renderer.tokens(run.prompt_spec(base.renderer).invocation))
    return _report(compose.method, parts, rank, started, saved(run.weights))


def _report(method: str, parts: list[AdapterPackage], rank: int, started: float, weights: Path) -> dict[str, Any]:
    return {
        "composed": method,
        "of": [{"name": part.name, "version": part.version, "digest": part.digest} for part in parts],
        "rank": rank,
        "rows_seen": 0,
        "training_seconds": round(time.monotonic() - started),
        "peak_mib": round(peak() / 2**20),
        "weights_sha256": sha256_file(weights),
    }
