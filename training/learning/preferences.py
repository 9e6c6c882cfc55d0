"""The fit of an adapter that learns from preferences or rewards: model and examples in, TRL's trainer, weights out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_agent.errors import ConfigError
from lora_agent.registry import sha256_file

from ..data.rows import read_rows
from ..fit.loop import epochs
from ..fit.memory import peak
from ..fit.saving import save_adapter
from ..fit.trainable import add_adapter, load_frozen
from ..run import Run
from ..teachers.questions import schema_for
from .activate import activate
from .examples import examples
from .rewards import load_program


def inputs(run: Run) -> Any:
    """What the result depends on besides rows and `fit`."""
    program = _program_file(run)
    learning = run.recipe.learning.model_dump(mode="json", exclude={"teacher"})
    return [learning, run.recipe.gate.metric, sha256_file(program) if program is not None else None]


def work(run: Run, key: str) -> dict[str, Any]:
    """The report of the fit stage. Raises ConfigError if TRL is not installed or the reward program is not there."""
    recipe = run.recipe
    trainer = _trainer(recipe.learning.method)
    base = load_frozen(recipe.base)
    shape = run.prompt_spec(base.renderer)
    rows = read_rows(run.rows_file("train"))
    found = examples(rows, base.renderer, shape, run.spelling(base.renderer, base.vocabulary))
    invocation = base.renderer.tokens(shape.invocation)
    model = add_adapter(base, recipe, run.start)
    if recipe.fit.kind == "alora":
        activate(model, invocation)
    more: dict[str, Any] = {}
    if recipe.learning.method == "grpo":
        program = recipe.learning.program
        more = {
            "schemas": [schema_for(recipe, run.schema("output"), row) for row in rows],
            "stops": base.renderer.stop_token_ids,
            "program": load_program(program, run.recipe_path.parent) if program is not None else None,
        }
    done = trainer.fit(model, base.tokenizer, found, recipe, run.folder, key, **more)
    save_adapter(model, run.weights, recipe, invocation)
    return {
        "learning": recipe.learning.method,
        "rows": len(rows),
        "start_sha256": sha256_file(run.start) if run.start is not None else None,
        "epochs": epochs(len(rows), recipe.fit),
        "rows_seen": done.rows,
        "steps": done.steps,
        "first": done.first,
        "last": done.last,
        "training_seconds": round(done.seconds),
        "rows_per_second": round(done.rows / done.seconds, 2) if done.seconds else None,
        "peak_mib": round(peak() / 2**20),
        "weights_sha256": sha256_file(run.weights / "adapter_model.safetensors"),
    }


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
