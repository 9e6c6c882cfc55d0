"""Train the adapter and save it in PEFT's format. Goes on after a kill where the last checkpoint was written."""

from __future__ import annotations

from typing import Any

from lora_agent.registry import sha256_file
from lora_agent.types import compact_json

from ..encode import read_encoded
from ..fit.loop import epochs, train
from ..fit.memory import peak
from ..fit.trainable import add_adapter, load_frozen, save_adapter
from ..learning import preferences
from ..run import Run


def inputs(run: Run) -> Any:
    data, base = run.report("data"), run.report("plan")["base"]
    found: dict[str, Any] = {
        "rows": data["train"]["sha256"],
        "base": base,
        "fit": run.recipe.fit.model_dump(mode="json"),
    }
    if run.recipe.learning.by_trl:
        found["learning"] = preferences.inputs(run)
    if run.start is not None:
        found["start"] = sha256_file(run.start)
    return found


def intact(run: Run) -> bool:
    return (run.weights / "adapter_model.safetensors").is_file()


def work(run: Run) -> dict[str, Any]:
    if run.recipe.learning.by_trl:
        return preferences.work(run, compact_json(inputs(run)))
    fit = run.recipe.fit
    rows = read_encoded(run.rows_file("tokens"))
    base = load_frozen(run.recipe.base)
    invocation = base.renderer.tokens(run.prompt_spec(base.renderer).invocation)
    model = add_adapter(base, run.recipe, run.start)
    done = train(model, rows, fit, run.folder, key=compact_json(inputs(run)))
    save_adapter(model, run.weights, run.recipe, invocation)
    return {
        "rows": len(rows),
        "start_sha256": inputs(run).get("start"),
        "epochs": epochs(len(rows), fit),
        "rows_seen": done.rows,
        "steps": done.step,
        "training_seconds": round(done.seconds),
        "rows_per_second": round(done.rows / done.seconds, 2) if done.seconds else None,
        "peak_mib": round(peak() / 2**20),
        "weights_sha256": sha256_file(run.weights / "adapter_model.safetensors"),
    }
