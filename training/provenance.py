"""What an adapter was made of, as its `sources.yaml` and its card say."""

from __future__ import annotations

import json
from typing import Any

import yaml

from lora_agent.registry import read_package

from .compose.combine import read_parts
from .data.origins import describe
from .run import Run


def sources(run: Run) -> list[dict[str, Any]]:
    """One entry per data set trained on, or per package composed. Where a fit goes on from a package, that package's
    entries come first, and each has `by`: the package or variant that was trained on it."""
    if run.recipe.compose is not None:
        parts = read_parts(run.recipe, run.recipe_path.parent)
        return [
            {"name": p.name, "origin": f"adapter package, version {p.version}", "licence": p.spec.licence}
            | {"files": {"package": p.digest}, "rows": sum(record.rows for record in p.manifest.data)}
            for p in parts
        ]
    before, name = _before(run), f"{run.recipe.name} {run.recipe.version}"
    if run.fit.max_steps == 0:  # the adapter itself learnt nothing from these rows
        learnt = bool(run.recipe.variants) and run.recipe.variant.max_steps != 0
        return [*before, *({**entry, "by": f"{name}, plain variant"} for entry in _own(run) if learnt)]
    return [*before, *({**entry, "by": name} for entry in _own(run))] if before else _own(run)


def undigested(run: Run) -> list[str]:
    """Public sets of this run whose files were not at hand, so that the package cannot say which they were."""
    if run.recipe.compose is not None:
        return []
    return [entry["name"] for entry in _own(run) if "repository" in entry and not entry.get("files")]


def _own(run: Run) -> list[dict[str, Any]]:
    return describe(
        run.report("data")["train"]["sources"],
        seed=run.recipe.fit.seed,
        file=run.train_file,
        origin=run.recipe.data.origin,
        licence=run.recipe.data.licence,
        teacher=run.report("teach") if run.recipe.learning.teacher else None,
    )


def _before(run: Run) -> list[dict[str, Any]]:
    """The entries of the package that the fit goes on from; none for bare weights."""
    if run.start is None or not (run.start.parent / "sources.yaml").is_file():
        return []
    package = read_package(run.start.parent)
    entries = yaml.safe_load((package.folder / "sources.yaml").read_text(encoding="utf-8"))
    return [{**entry, "by": entry.get("by", f"{package.name} {package.version}")} for entry in entries]


def text(entries: list[dict[str, Any]]) -> str:
    """As the file has it."""
    return yaml.safe_dump(json.loads(json.dumps(entries)), sort_keys=False, width=110)
