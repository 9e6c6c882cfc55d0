"""The fit of an adapter that learns from preferences or rewards: model and examples in, TRL's trainer, weights out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.device import available_memory
from lora_agent.errors import ConfigError, DataError
from lora_agent.registry import sha256_file

from ..data.rows import read_rows
from ..fit.loop import epochs
from ..fit.memory import peak, reset_peak
from ..fit.saving import save_adapter
from ..fit.trainable import add_adapter, load_frozen
from ..recipe import Recipe
from ..run import Run
from ..teachers.questions import schema_for
from .activate import activate
from .examples import Example, examples
from .rewards import load_program
from .trainer import Done

UNFORECAST = (
    "no forecast of memory is made for {}: TRL's trainer holds whole rows, and several of them, in one pass; the probe "
    "measures a step on the heaviest rows"
)
"""What plan and probe say."""


def inputs(run: Run) -> Any:
    """What the result depends on besides rows and `fit`."""
    program = _program_file(run)
    learning = run.recipe.learning.model_dump(mode="json", exclude={"teacher"})
    return [learning, run.recipe.gate.metric, sha256_file(program) if program is not None else None]


def work(run: Run, key: str) -> dict[str, Any]:
    """The report of the fit stage. Raises ConfigError if TRL is not installed or the reward program is not there."""
    recipe = run.recipe
    ready = _ready(run)
    found = ready.examples
    done = ready.train(found, recipe, run.folder, key)
    save_adapter(ready.model, run.weights, recipe, ready.invocation)
    return {
        "learning": recipe.learning.method,
        "rows": len(found),
        "start_sha256": sha256_file(run.start) if run.start is not None else None,
        "epochs": epochs(len(found), recipe.fit),
        "rows_seen": done.rows,
        "steps": done.steps,
        "first": done.first,
        "last": done.last,
        "training_seconds": round(done.seconds),
        "rows_per_second": round(done.rows / done.seconds, 2) if done.seconds else None,
        "peak_mib": round(peak() / 2**20),
        "weights_sha256": sha256_file(run.weights / "adapter_model.safetensors"),
    }


def probe(run: Run) -> dict[str, Any]:
    """One step on the heaviest rows, through TRL's trainer like the run itself: the report of the probe stage. Raises
    as `work` does."""
    recipe, method = run.recipe, run.recipe.learning.method
    ready = _ready(run)
    found = ready.examples
    chosen = _heaviest(found, max(4, recipe.fit.batch_rows), method)
    once = {"max_steps": 1, "epochs": 1, "batch_rows": len(chosen), "report_to": ()}
    folder = run.folder / "probe"
    room = available_memory()
    reset_peak()
    short = recipe.model_copy(update={"fit": recipe.fit.model_copy(update=once)})
    done = ready.train(chosen, short, folder, key="probe")
    shutil.rmtree(folder)
    shown = epochs(len(found), recipe.fit)
    tokens, total = sum(map(_size, chosen)), shown * sum(map(_size, found))
    steps = min(shown * -(-len(found) // recipe.fit.batch_rows), recipe.fit.max_steps or 10**9)
    share = steps / (shown * -(-len(found) // recipe.fit.batch_rows))
    return {
        "forecast_mib": None,
        "forecast": UNFORECAST.format(method),
        "measured_peak_mib": round(peak() / 2**20),
        "available_mib": round(room / 2**20),
        "steps": steps,
        "rows": round(share * shown * len(found)),
        "heaviest_batch": {"rows": len(chosen), "tokens": tokens, "seconds": round(done.seconds, 2)},
        "minutes_expected": round(share * done.seconds * total / tokens / 60, 1),
    }


@dataclass(frozen=True)
class _Ready:
    """All that a trainer takes."""

    trainer: Any
    base: BaseModel
    model: Any
    examples: list[Example]
    invocation: list[int]
    run: Run

    def train(self, found: Sequence[Example], recipe: Recipe, folder: Path, key: str) -> Done:
        more: dict[str, Any] = {}
        if recipe.learning.method == "grpo":
            program = recipe.learning.program
            more = {
                "schemas": [schema_for(recipe, self.run.schema("output"), e.row) for e in found],
                "stops": self.base.renderer.stop_token_ids,
                "program": load_program(program, self.run.recipe_path.parent) if program is not None else None,
            }
        done: Done = self.trainer.fit(self.model, self.base.tokenizer, found, recipe, folder, key, **more)
        return done


def _ready(run: Run) -> _Ready:
    recipe = run.recipe
    trainer = _trainer(recipe.learning.method)
    base = load_frozen(recipe.base)
    shape = run.prompt_spec(base.renderer)
    rows = read_rows(run.rows_file("train"))
    found = examples(rows, base.renderer, shape, run.spelling(base.renderer, base.vocabulary))
    if recipe.learning.method == "kto":
        _both_sides(found)
    invocation = base.renderer.tokens(shape.invocation)
    model = add_adapter(base, recipe, run.start)
    if recipe.fit.kind == "alora":
        activate(model, invocation)
    return _Ready(trainer, base, model, found, invocation, run)


def _both_sides(found: Sequence[Example]) -> None:
    for what, there in (("good", [e.target for e in found]), ("bad", [e.rejected for e in found])):
        if all(answer is None for answer in there):
            raise DataError(
                f"kto learns from good and bad answers, and there is no {what} one in {len(found)} rows",
                hint="Give rows with `label: true` and rows with `label: false`, or pairs.",
            )


def _size(example: Example) -> int:
    """Tokens of the row with its longer answer."""
    return len(example.prompt) + max(len(example.target or ()), len(example.rejected or ()))


def _heaviest(found: Sequence[Example], count: int, method: str) -> list[Example]:
    """The `count` longest examples; for kto at least one of each label."""
    ordered = sorted(found, key=_size, reverse=True)
    chosen = ordered[:count]
    if method == "kto":
        for side in ("target", "rejected"):
            if all(getattr(e, side) is None for e in chosen):
                chosen[-1] = next(e for e in ordered if getattr(e, side) is not None)
    return chosen


def _trainer(method: str) -> Any:
    try:
        match method:
            case "dpo":
                from . import dpo as module
            case "kto":
                from . import kto as module
            case _:
                from . import grpo as module
    except ImportError as error:
        hint = "Install it with `pip install lora-agent[train]`."
        raise ConfigError(f"learning by {method} needs TRL: {error}", hint=hint) from error
    return module


def _program_file(run: Run) -> Path | None:
    program = run.recipe.learning.program
    path = run.recipe_path.parent / program.partition(":")[0] if program is not None else None
    return path if path is not None and path.is_file() else None
