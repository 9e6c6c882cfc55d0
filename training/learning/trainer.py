"""What TRL's trainers share here: settings, float32 adapters, metrics as JSON lines, checkpoints."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ..fit import metrics
from ..fit.loop import epochs
from ..fit.tracking import Trackers, tracked
from ..recipe import Recipe

SAVE_EVERY = 20
_KEPT = ("loss", "learning_rate", "grad_norm", "reward", "kl", "rewards/", "completions/mean_length")


class Quiet:
    """Before a TRL trainer among the bases: nothing is told to anybody."""

    def _send_telemetry(self) -> None: ...


@dataclass
class Done:
    steps: int
    rows: int
    seconds: float
    first: dict[str, float]
    """The objective's own figures (margin, reward ...) at the first logged step and at the last."""
    last: dict[str, float]


def settings(recipe: Recipe, rows: int, folder: Path, *, micro: int, per_step: int, device: str) -> dict[str, Any]:
    """Arguments that every TRL config takes. `micro`: examples in one pass, `per_step`: in one optimizer step."""
    fit, learning = recipe.fit, recipe.learning
    return {
        "output_dir": str(folder / "trainer"),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": max(1, per_step // micro),
        "num_train_epochs": epochs(rows, fit),
        "max_steps": fit.max_steps or -1,
        "learning_rate": learning.rate,
        "warmup_steps": fit.warmup,
        "weight_decay": fit.weight_decay,
        "max_grad_norm": fit.clip,
        "seed": fit.seed,
        "logging_steps": 1,
        "save_steps": SAVE_EVERY,
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": device == "cpu",
        "bf16": False,
        "gradient_checkpointing": False,
    }


def run(make: Callable[[], Any], recipe: Recipe, folder: Path, *, key: str, rows: int, per_step: int) -> Done:
    """Train what `make` returns (a TRL trainer on a PEFT model). Goes on from the last checkpoint if that was written
    under the same `key`, else starts anew; the checkpoints are removed at the end."""
    checkpoints = folder / "trainer"
    named = checkpoints / "key"
    if checkpoints.is_dir() and (not named.is_file() or named.read_text(encoding="utf-8") != key):
        print("the checkpoint is of other data or settings: starting anew", file=sys.stderr)
        shutil.rmtree(checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    named.write_text(key, encoding="utf-8")
    trainer = make()
    _float32(trainer.model)
    last = get_last_checkpoint(str(checkpoints))
    trainer.remove_callback(PrinterCallback)  # it writes to stdout
    with tracked(recipe, folder) as trackers:
        watch = _Watch(folder / metrics.FILE, per_step, rows, trackers)
        trainer.add_callback(watch)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=last)
    seconds = time.monotonic() - started
    if "ref" in trainer.model.peft_config:
        trainer.model.delete_adapter("ref")
    trainer.model.eval()
    shutil.rmtree(checkpoints)
    steps = trainer.state.global_step
    return Done(steps, steps * per_step, seconds, watch.first, watch.last)


def _float32(model: Any) -> None:
    """TRL casts the adapters of a quantized base to bfloat16, without a float32 copy: at its own learning rates three
    quarters of the entries then never change. Called before the optimizer takes the parameters."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Metrics and progress as our own loop writes them."""

    def __init__(self, path: Path, per_step: int, rows: int, trackers: Trackers) -> None:
        self.path, self.per_step, self.rows, self.trackers = path, per_step, rows, trackers
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self._started = time.monotonic()
        self._from = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started, self._from = time.monotonic(), state.global_step
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
        self.path.write_text("".join(line + "\n" for line in kept))
        if kept:
            self.first = json.loads(kept[0])
        if state.global_step:
            print(f"resuming after step {state.global_step}", file=sys.stderr)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        found = {k: round(float(v), 6) for k, v in (logs or {}).items() if k.startswith(_KEPT)}
        if "loss" not in found:
            return  # the summary at the end
        rate = (state.global_step - self._from) * self.per_step / max(1e-6, time.monotonic() - self._started)
        line = {
            "step": state.global_step,
            "rows": state.global_step * self.per_step,
            **found,
            "rows_per_s": round(rate, 2),
        }
        metrics.append(self.path.parent, line, self.trackers)
        self.first = self.first or line
        self.last = line
        if state.global_step % 10 == 0 or state.global_step == state.max_steps:
            left = (state.max_steps - state.global_step) * self.per_step / max(1e-6, rate)
            shown = ", ".join(f"{k} {v:.3f}" for k, v in found.items() if k in ("loss", "reward", "rewards/margins"))
            print(
                f"step {state.global_step}/{state.max_steps}, {shown}, {rate:.2f} rows/s, {left / 60:.1f} min left",
                file=sys.stderr,
                flush=True,
            )
