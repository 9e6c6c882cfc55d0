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
    own = describe(
        run.report("data")["train"]["sources"],
        seed=run.recipe.fit.seed,
        file=run.train_file,
        origin=run.recipe.data.origin,
        licence=run.recipe.data.licence,
        teacher=run.report("teach") if run.recipe.learning.teacher else None,
    )
    before = _before(run)
    if not before:
        return own
    if run.fit.max_steps == 0:  # the adapter itself learnt nothing from these rows
        own = [{**entry, "by": f"{run.recipe.name} {run.recipe.version}, plain variant"} for entry in own]
        return [*before, *(own if run.recipe.variants else ())]
    return [*before, *({**entry, "by": f"{run.recipe.name} {run.recipe.version}"} for entry in own)]


def _before(run: Run) -> list[dict[str, Any]]:
    """The entries of the package that the fit goes on from; none for bare weights."""
    if run.start is None or not (run.start.parent / "sources.yaml").is_file():
        return []
    package = read_package(run.start.parent)
    entries = yaml.safe_load((package.folder / "sources.yaml").read_text(encoding="utf-8"))
    return [{**entry, "by": entry.get("by", f"{package.name} {package.version}")} for entry in entries]


def undigested(entries: list[dict[str, Any]]) -> list[str]:
    """Public sets whose files were not at hand, so that the package could not say which they were."""
    return sorted({entry["name"] for entry in entries if "repository" in entry and not entry.get("files")})


def text(entries: list[dict[str, Any]]) -> str:
    """As the file has it."""
    return yaml.safe_dump(json.loads(json.dumps(entries)), sort_keys=False, width=110)
