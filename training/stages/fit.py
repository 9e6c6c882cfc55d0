"""Train the adapter and save it in PEFT's format. Goes on after a kill where the last checkpoint was written."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

from lora_agent.errors import EngineError
from lora_agent.registry import sha256_file
from lora_agent.types import compact_json

from .. import plot
from ..compose import stage
from ..data.rows import read_rows
from ..encode import emphasise, emphasise_names, read_encoded
from ..evaluate.candidate import scorer
from ..fit import checkpoint
from ..fit.loop import epochs, plan, train
from ..fit.memory import peak
from ..fit.precision import precision
from ..fit.saving import save_adapter, saved
from ..fit.team import Launched, Team
from ..fit.tracking import tracked
from ..fit.trainable import add_adapter, load_for
from ..learning import on_policy, preferences
from ..run import Run

_DONE = "trained.json"


def inputs(run: Run) -> Any:
    if run.recipe.compose is not None:
        return stage.inputs(run)
    data, base = run.report("data"), run.report("plan")["base"]
    found: dict[str, Any] = {"rows": data["train"]["sha256"], "base": base, "fit": run.fit.model_dump(mode="json")}
    if run.recipe.learning.by_trl:
        found["learning"] = preferences.inputs(run)
    elif run.recipe.learning.method == "on_policy":
        found["learning"] = run.recipe.learning.model_dump(mode="json")
    if (score := run.recipe.decisive) is not None:
        found["score"] = score.model_dump(mode="json", include={"pointer", "positive", "weight"})
    if run.start is not None:
        found["start"] = sha256_file(run.start)
    if run.fit.evaluate_every:
        found["tune"] = [data["tune"]["sha256"], run.recipe.gate.metric]
    if run.processes > 1:
        found["processes"] = run.processes
    return found


def intact(run: Run) -> bool:
    return any(
        (run.weights / name).is_file() for name in ("adapter_model.safetensors", "model.safetensors", "arrow.json")
    )


def work(run: Run) -> dict[str, Any]:
    if run.recipe.compose is not None:
        return stage.work(run)
    if run.recipe.learning.by_trl:
        return preferences.work(run, compact_json(inputs(run)))
    if run.processes == 1:
        done = fit_weights(run, Team())
    else:
        done = _launch(run)
    (run.folder / checkpoint.FILE).unlink(missing_ok=True)  # three times the adapter's size, and of no more use
    plot.fit(run.folder, run.folder / "fit.html", title=f"{run.recipe.name}: fit")
    seconds = done["seconds"]
    return {
        **done,
        "start_sha256": inputs(run).get("start"),
        "training_seconds": round(seconds),
        "rows_per_second": round(done["rows_seen"] / seconds, 2) if seconds else None,
        "weights_sha256": sha256_file(saved(run.weights)),
        "plot": "fit.html",
    }


def fit_weights(run: Run, team: Team) -> dict[str, Any]:
    """Train, in this process as one of `team`, and save the weights; what there is to say about it."""
    fit = run.fit
    rows = read_encoded(run.rows_file("tokens"))
    base = load_for(run.fitted, device=team.device if isinstance(team, Launched) else None)
    if (score := run.recipe.decisive) is not None:
        key = score.pointer.rsplit("/", 1)[-1]
        rows = [emphasise(row, key, score.weight, base.vocabulary) for row in rows]
    if fit.name_weight != 1:
        rows = [emphasise_names(row, fit.name_weight, base.vocabulary) for row in rows]
    invocation = base.renderer.tokens(run.prompt_spec(base.renderer).invocation)
    steps = len(plan(rows, fit))
    model = add_adapter(base, run.fitted, run.start, steps=steps)
    evaluate = None
    if fit.evaluate_every:
        evaluate = scorer(run, base, model, read_rows(run.rows_file("tune")), fit.evaluate_rows)
    objective = on_policy.objective(run, base, model, rows, fit)
    with tracked(run.fitted, run.folder) if team.rank == 0 else nullcontext() as trackers:
        done = train(
            model,
            rows,
            fit,
            run.folder,
            key=compact_json(inputs(run)),
            evaluate=evaluate,
            team=team,
            objective=objective,
            trackers=trackers,
        )
    if team.rank == 0:
        save_adapter(model, run.weights, run.fitted, invocation)
    best = done.best
    return {
        "rows": len(rows),
        "epochs": epochs(len(rows), fit),
        "rows_seen": done.rows,
        "steps": done.step,
        "of_steps": steps,
        "seconds": round(done.seconds, 2),
        "best": None if best is None else {"step": best[0], "score": best[1]},
        "stopped_early": done.stopped,
        "peak_mib": round(peak() / 2**20),
        "processes": team.size,
        "precision": precision(fit, next(model.parameters()).device),
    }


def _launch(run: Run) -> dict[str, Any]:
    """The same by several processes of this machine under `accelerate launch`. Raises EngineError if they fail; their
    checkpoint stays."""
    result = run.folder / _DONE
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    # --multi_gpu on a CPU too: it is what goes through torchrun; --cpu starts a single process, whatever N says
    command += ["--multi_gpu", "--num_processes", str(run.processes)]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["-m", f"{__package__.rpartition('.')[0]}.worker", str(run.recipe_path), str(run.folder)]
    command += ["--data", str(run.data), "--processes", str(run.processes)]
    command += ["--sweep"] if run.recipe.sweep is not None else []
    print(f"{run.processes} processes through accelerate launch", file=sys.stderr, flush=True)
    code = subprocess.run(command, check=False).returncode
    if code or not result.is_file():
        raise EngineError(
            f"the {run.processes} training processes ended with exit code {code}",
            hint="Their messages are above. The same command goes on from the last checkpoint.",
        )
    return dict(json.loads(result.read_text(encoding="utf-8")))


def worker(run: Run) -> None:
    """What each of the launched processes does."""
    team = Launched(run.processes)
    done = fit_weights(run, team)
    if team.rank == 0:
        (run.folder / _DONE).write_text(json.dumps(done), encoding="utf-8")
