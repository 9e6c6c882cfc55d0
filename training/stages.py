"""The stages of a build, in order: fit → validate → gate → package. Each reads and writes files of one run folder,
so that a later stage can be run again alone.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_agent.errors import BatchLineError, ConfigError
from lora_agent.registry import PromptSpec, sha256_file
from lora_agent.render import ChatRenderer

from .data.rows import Row, open_text, read_rows
from .recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from lora_agent.engine.local.base import BaseModel

    from .encode import TargetSpelling


@dataclass(frozen=True)
class Run:
    """One build: a recipe, where its data files are, and the folder that collects what the stages write."""

    recipe_path: Path
    recipe: Recipe
    data: Path
    folder: Path

    @classmethod
    def open(cls, recipe_path: Path, folder: Path, data: Path | None = None) -> Run:
        recipe = read_recipe(recipe_path)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(recipe_path, recipe, data or recipe_path.parent, folder)

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    def schema(self, which: str) -> dict[str, Any]:
        name = getattr(self.recipe, f"{which}_schema")
        path = self.recipe_path.parent / name
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{which}_schema {str(path)!r}: {error}", hint="Paths are relative to the recipe."
            ) from error

    def rows(self) -> tuple[list[Row], list[Row]]:
        """(train, dev). Without a dev file the last tenth of the groups, in file order, is held out."""
        train = _read(self.data / self.recipe.data.train)
        if self.recipe.data.dev:
            return train, _read(self.data / self.recipe.data.dev)
        groups = list(dict.fromkeys(row.group for row in train))
        held = set(groups[len(groups) - max(1, len(groups) // 10) :])
        return [r for r in train if r.group not in held], [r for r in train if r.group in held]

    def spelling(self, base: BaseModel) -> TargetSpelling:
        """How this adapter's targets are written on `base`."""
        from .encode import TargetSpelling

        budget = self.recipe.prompt.max_new_tokens
        return TargetSpelling(base.renderer, base.vocabulary, self.recipe.output, self.schema("output"), budget)

    def write(self, name: str, report: dict[str, Any]) -> None:
        path = self.folder / name
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(report, indent=1, ensure_ascii=False))
        scratch.replace(path)

    def read(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / name).read_text()))


def _read(path: Path) -> list[Row]:
    """Rows, or conversations `{"messages": [..., {"role": "assistant", "content": "<JSON>"}]}` as rows."""
    if not path.is_file():
        raise ConfigError(
            f"no data file {str(path)!r}", hint="Check `data` in the recipe, or build the data set first."
        )
    with open_text(path) as lines:
        first = lines.readline()
    if '"messages"' not in first or '"input"' in first:
        return read_rows(path)
    with open_text(path) as lines:
        return [_conversation(line, f"{path.name}:{n}") for n, line in enumerate(lines, 1) if line.strip()]


def _conversation(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
        *asked, answer = value["messages"]
        output = json.loads(answer["content"])
    except (ValueError, KeyError, TypeError) as error:
        raise BatchLineError(
            f"{where}: {error!r}", hint="A line ends with an assistant message whose content is the JSON to write."
        ) from error
    inputs = {k: v for k, v in value.items() if k not in ("messages", "group")}
    return Row({"messages": asked, **inputs}, output, "file", str(value.get("group", where)))


def fit(run: Run) -> dict[str, Any]:
    """Train and save PEFT weights to `run.weights`. Resumes after a kill; skipped when they are complete."""
    if (run.folder / "fit.json").is_file():
        return run.read("fit.json")
    from .encode import encode_all
    from .fit.loop import train
    from .fit.trainable import add_adapter, load_frozen, save_adapter

    base = load_frozen(run.recipe.base)
    shape = prompt_spec(run.recipe, base.renderer)
    rows, _ = run.rows()
    encoded, dropped = encode_all(base.renderer, shape, rows, run.spelling(base), run.recipe.fit.max_tokens)
    model = add_adapter(base, run.recipe)
    progress = train(model, encoded, run.recipe.fit, run.folder)
    save_adapter(model, run.weights, run.recipe, base.renderer.tokens(shape.invocation))
    report = {
        "data_sha256": sha256_file(run.data / run.recipe.data.train),
        "rows": len(encoded),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
        "dropped": dict(dropped),
        "trained_rows": progress.rows,
        "steps": progress.step,
        "seconds": round(progress.seconds),
    }
    run.write("fit.json", report)
    return report


def package(run: Run, folder: Path) -> dict[str, Any]:
    """Validate on the development rows, decide the gate, write the package. Needs a finished fit."""
    from .fit.trainable import load_frozen
    from .package import build_package

    if not (run.folder / "fit.json").is_file():
        raise ConfigError(f"{str(run.folder)!r} has no finished fit", hint="Run without --from first.")
    rows, dev = run.rows()
    # float32 copies of the quantized values: in batches several times faster than expanding them at every step
    return build_package(run, load_frozen(run.recipe.base), rows, dev, folder)


def prompt_spec(recipe: Recipe, renderer: ChatRenderer) -> PromptSpec:
    """The package's PromptSpec: the recipe's, with the default invocation filled in for this base."""
    prompt = recipe.prompt
    return PromptSpec(
        invocation=prompt.invocation or renderer.header(recipe.name),
        reread=prompt.reread,
        reread_tokens=prompt.reread_tokens,
        fields=list(prompt.fields),
        max_new_tokens=prompt.max_new_tokens,
    )
