"""What will be built, on which base, and whether the recipe's files are sound; nothing heavy is loaded."""

from __future__ import annotations

from typing import Any

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.registry import sha256_file
from lora_agent.structured import explain

from ..run import Run

SERVED = {
    "alora": "hot-swapped on one shared KV cache: a switch costs the invocation's tokens",
    "lora": "hot-swapped with a KV cache of its own: a switch costs reading the context once more",
}


def inputs(run: Run) -> Any:
    schemas = {which: run.schema(which) for which in ("input", "output")}
    return {"recipe": run.recipe.model_dump(mode="json"), "schemas": schemas}


def work(run: Run) -> dict[str, Any]:
    recipe = run.recipe
    checkpoint = ensure_checkpoint(recipe.base, "nf4")
    found = explain(run.schema("output"))
    return {
        "recipe": str(run.recipe_path),
        "recipe_sha256": sha256_file(run.recipe_path),
        "base": {"id": checkpoint.id, "source_sha256": checkpoint.source_sha256},
        "method": {"adapter": recipe.fit.kind, "learning": recipe.learning.method, "served": SERVED[recipe.fit.kind]},
        "output_schema": {
            "enforced": len(found.enforced),
            "checked_after": [list(note) for note in found.checked],
            "refused": [list(note) for note in found.refused],
        },
    }
