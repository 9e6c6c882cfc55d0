"""What will be built, on which base, and whether the recipe's files are sound; nothing heavy is loaded."""

from __future__ import annotations

import sys
from typing import Any

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.registry import AdapterPackage, read_peft_config, sha256_file
from lora_agent.structured import explain

from ..compose.combine import rank_of, read_parts
from ..learning.on_policy import WITHOUT_TEACHER
from ..learning.preferences import UNFORECAST
from ..recipe import Compose, Learning
from ..run import Run


def inputs(run: Run) -> Any:
    schemas = {which: run.schema(which) for which in ("input", "output")}
    return {"recipe": run.recipe.model_dump(mode="json"), "schemas": schemas}


def work(run: Run) -> dict[str, Any]:
    recipe = run.recipe
    method = recipe.fit.method
    checkpoint = ensure_checkpoint(recipe.base, "nf4" if recipe.quantized else "none")
    title, how = method.title, method.how
    if recipe.compose is not None:
        parts = read_parts(recipe, run.recipe_path.parent)
        title, how = _composed(recipe.compose, parts, how)
    print(f"{title} is {how}", file=sys.stderr)
    caveat = None if recipe.compose is not None else _caveat(recipe.learning)
    if caveat is not None:
        print(caveat, file=sys.stderr)
    found = explain(run.schema("output"))
    return {
        "recipe": str(run.recipe_path),
        "recipe_sha256": sha256_file(run.recipe_path),
        "base": {"id": checkpoint.id, "source_sha256": checkpoint.source_sha256},
        "method": {
            "adapter": recipe.fit.kind,
            "title": title,
            "learning": recipe.learning.method if recipe.compose is None else None,
            "served": recipe.served,
            "how": how,
        },
        "memory": caveat or "forecast before the probe's step",
        "output_schema": {
            "enforced": len(found.enforced),
            "checked_after": [list(note) for note in found.checked],
            "refused": [list(note) for note in found.refused],
        },
    }


def _caveat(learning: Learning) -> str | None:
    """What the forecast of memory does not cover; None where it covers all."""
    if learning.by_trl:
        return UNFORECAST.format(learning.method)
    return WITHOUT_TEACHER if learning.method == "on_policy" else None


def _composed(compose: Compose, parts: list[AdapterPackage], how: str) -> tuple[str, str]:
    """(what it is, how it can be served), with what it costs the engine. Raises ConfigError for parts that cannot be
    composed this way."""
    rank = rank_of(parts, compose)
    title = f"{compose.method} of {', '.join(f'{part.name} {part.version}' for part in parts)}"
    if compose.method == "merge":
        return title, (
            "a model of its own (bfloat16) beside the base: it shares neither memory nor keys and values with it, and "
            "the router cannot switch to it"
        )
    cost = f"; rank {rank} costs {rank * len(parts) / _sum(parts):.1f} times one part's multiplications"
    if compose.method == "arrow":
        return title, (
            "only for PEFT: every layer chooses between the parts for every token, so that it shares no keys and "
            "values, runs without the grammar, and costs all parts' multiplications"
        )
    return title, f"one adapter of rank {rank}, {how}{cost}"


def _sum(parts: list[AdapterPackage]) -> int:
    return sum(read_peft_config(part.weights_folder).r for part in parts)
