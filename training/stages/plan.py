"""What will be built, on which base, and whether the recipe's files are sound; nothing heavy is loaded."""

from __future__ import annotations

import sys
from typing import Any

from lora_agent.engine.local.checkpoint import ensure_checkpoint
from lora_agent.registry import sha256_file
from lora_agent.structured import explain

from ..run import Run


def inputs(run: Run) -> Any:
    schemas = {which: run.schema(which) for which in ("input", "output")}
    return {"recipe": run.recipe.model_dump(mode="json"), "schemas": schemas}


def work(run: Run) -> dict[str, Any]:
    recipe = run.recipe
    method = recipe.fit.method
    checkpoint = ensure_checkpoint(recipe.base, "none" if recipe.fit.kind == "full" else "nf4")
    print(f"{method.title} is {method.how}", file=sys.stderr)
    found = explain(run.schema("output"))
    return {
        "recipe": str(run.recipe_path),
        "recipe_sha256": sha256_file(run.recipe_path),
        "base": {"id": checkpoint.id, "source_sha256": checkpoint.source_sha256},
        "method": {
            "adapter": recipe.fit.kind,
            "title": method.title,
            "learning": recipe.learning.method,
            "served": method.served,
            "how": method.how,
        },
        "output_schema": {
            "enforced": len(found.enforced),
            "checked_after": [list(note) for note in found.checked],
            "refused": [list(note) for note in found.refused],
        },
    }
