"""One build: a recipe, where its data files are, and the folder that the stages read from and write to.

The folder of a run:

    plan.json teach.json data.json probe.json sweep.json fit.json validate.json gate.json package.json   reports
    rows/          the rows trained, tuned and validated on, after selection and checks; dropped.jsonl; a
                   teacher's taught.jsonl and rejected.jsonl
    state.pt       the last checkpoint, while a fit is under way
    metrics.jsonl  one line per step            fit.html, sweep.html   the same as plots
    sweep/         one folder per setting tried
    tracking/      what trackers of `fit.report_to` write here, such as tensorboard's events
    weights/       PEFT files                   .draft/        the package before its gate
    variants/      one such folder per further variant of the adapter
    NAME/          the finished package
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_agent.errors import CacheError, ConfigError
from lora_agent.registry import PromptSpec
from lora_agent.render import ChatRenderer

from .data.intake import local_file
from .files import write_whole
from .fit.tracking import check
from .recipe import Fit, Recipe, Sweep, read_recipe

if TYPE_CHECKING:
    from lora_agent.structured import Vocabulary

    from .encode import TargetSpelling


@dataclass(frozen=True)
class Run:
    recipe_path: Path
    recipe: Recipe
    data: Path
    folder: Path
    package: Path
    processes: int = 1
    """That train together, on this machine."""
    beside: bool = False
    """A variant of another run's adapter."""

    @classmethod
    def open(
        cls,
        recipe_path: Path,
        folder: Path,
        *,
        data: Path | None = None,
        package: Path | None = None,
        sweep: bool = False,
        processes: int = 1,
    ) -> Run:
        """Read the recipe and make the folder; `sweep` adds the default sweep to a recipe that has none. Raises
        ConfigError; CacheError if the folder cannot be written."""
        recipe = read_recipe(recipe_path)
        check(recipe.fit.report_to)
        if processes > 1 and (recipe.learning.by_trl or recipe.learning.method == "on_policy"):
            hint = "Leave --processes out."
            raise ConfigError(f"{recipe.learning.method} is not built for several processes here", hint=hint)
        if sweep and recipe.sweep is None:
            if recipe.learning.by_trl:
                raise ConfigError(f"--sweep is for supervised fits, not for {recipe.learning.method}", hint="Drop it.")
            if recipe.fit.max_steps == 0:
                raise ConfigError("--sweep looks for settings, and `fit.max_steps: 0` trains nothing", hint="Drop it.")
            recipe = recipe.model_copy(update={"sweep": Sweep()})
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"cannot write to {str(folder)!r}: {error.strerror}", hint="Give --out another."
            ) from error
        place = package or folder / recipe.name
        return cls(recipe_path, recipe, data or recipe_path.parent, folder, place, processes)

    @property
    def fit(self) -> Fit:
        """How to train: the recipe's settings with what the sweep has chosen, once it is done."""
        chosen = self.report("sweep")["chosen"] if self.recipe.sweep is not None and self.has("sweep") else {}
        if self.recipe.compose is not None and self.has("fit"):
            chosen = {"rank": self.report("fit")["rank"], "alpha": self.report("fit")["rank"]}
        return self.recipe.fit.model_copy(update=chosen)

    @property
    def fitted(self) -> Recipe:
        """The recipe with those settings."""
        return self.recipe.model_copy(update={"fit": self.fit})

    @property
    def risk(self) -> float | None:
        """The share of false positives that the threshold of the score is set from."""
        return self.recipe.score.max_false_positives if self.recipe.score is not None else None

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    @property
    def draft(self) -> Path:
        return self.folder / ".draft"  # hidden: a registry that searches the run folder must not find it

    def rows_file(self, split: str) -> Path:
        return self.folder / "rows" / f"{split}.jsonl.gz"

    def schema(self, which: str) -> dict[str, Any]:
        """The "input" or the "output" schema of the recipe."""
        path = self.recipe_path.parent / getattr(self.recipe, f"{which}_schema")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            hint = "Paths are relative to the recipe."
            raise ConfigError(f"{which}_schema {str(path)!r}: {error}", hint=hint) from error
        if not isinstance(value, dict):
            raise ConfigError(f"{which}_schema {str(path)!r} is no object: {value!r:.60}", hint="Give a JSON Schema.")
        return value

    def prompt_spec(self, renderer: ChatRenderer) -> PromptSpec:
        """The package's PromptSpec: the recipe's, with the default invocation filled in for this base."""
        prompt = self.recipe.prompt
        return PromptSpec(
            invocation=prompt.invocation or renderer.header(self.recipe.name),
            reread=prompt.reread,
            reread_tokens=prompt.reread_tokens,
            evidence_tokens=prompt.evidence_tokens,
            windows=list(prompt.windows),
            fields=list(prompt.fields),
            max_new_tokens=prompt.max_new_tokens,
            quotes=prompt.quotes,
            parts=prompt.parts,
        )

    def spelling(self, renderer: ChatRenderer, vocabulary: Vocabulary) -> TargetSpelling:
        """How this adapter's targets are written on a base."""
        from .encode import TargetSpelling

        recipe, schema = self.recipe, self.schema("output")
        budget, quotes = recipe.prompt.max_new_tokens, recipe.prompt.quotes
        return TargetSpelling(renderer, vocabulary, recipe.output, schema, budget, quotes=quotes)

    @cached_property
    def train_file(self) -> Path:
        """The recipe's rows, fetched if they come from elsewhere. Raises ConfigError."""
        return local_file(self.recipe.data.train, self.data, self.recipe_path.parent)

    @cached_property
    def dev_file(self) -> Path | None:
        dev = self.recipe.data.dev
        return None if dev is None else local_file(dev, self.data, self.recipe_path.parent)

    def data_files(self) -> list[Path]:
        """The recipe's train file and, if it has one, its dev file."""
        return [path for path in (self.train_file, self.dev_file) if path is not None]

    @property
    def taught(self) -> Path:
        """A teacher's answers to the lines without target."""
        return self.folder / "rows" / "taught.jsonl"

    @property
    def start(self) -> Path | None:
        """The weights file that training goes on from. Raises ConfigError if the package is not there."""
        if self.recipe.fit.start is None:
            return None
        path = self.recipe_path.parent / self.recipe.fit.start / "adapter_model.safetensors"
        if not path.is_file():
            hint = "`fit.start` names a package folder, relative to the recipe."
            raise ConfigError(f"no weights at {str(path)!r} to start from", hint=hint)
        return path

    def has(self, stage: str) -> bool:
        return (self.folder / f"{stage}.json").is_file()

    def report(self, stage: str) -> dict[str, Any]:
        """What a finished stage found."""
        return dict(json.loads((self.folder / f"{stage}.json").read_text(encoding="utf-8")))

    def write(self, stage: str, report: dict[str, Any]) -> None:
        write_whole(self.folder / f"{stage}.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")

    def forget(self, stage: str) -> None:
        """An old report does not vouch for files that are about to be written anew."""
        (self.folder / f"{stage}.json").unlink(missing_ok=True)
