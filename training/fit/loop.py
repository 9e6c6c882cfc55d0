"""The optimisation loop: AdamW, linear decay, checkpoints that survive a kill, metrics as JSON lines.

Our own rather than TRL's because TRL cannot train on a context read by the bare base and shared between rows
(decision 004 has the measurement). Resumed and straight runs end with the same weights on a CPU.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..encode import Encoded
from ..recipe import Fit
from .batches import epoch, make_batch
from .forward import loss, use_packed_attention


@dataclass
class Progress:
    step: int = 0
    rows: int = 0
    seconds: float = 0.0


SAVE_EVERY = 20
"""Steps between checkpoints: half a minute to a few minutes of work. LORA_AGENT_SAVE_EVERY says otherwise."""
WANTED_ROWS = 800
MOST_EPOCHS = 8


def epochs(rows: int, fit: Fit) -> int:
    """How often the rows are shown: the recipe's number, or enough for WANTED_ROWS."""
    return fit.epochs or max(1, min(MOST_EPOCHS, -(-WANTED_ROWS // rows)))


def plan(rows: Sequence[Encoded], fit: Fit) -> list[list[Encoded]]:
    """Every batch of the whole run, in order: a function of the rows and the recipe alone."""
    return [b for e in range(epochs(len(rows), fit)) for b in epoch(rows, fit.batch_rows, fit.seed + e)]


def train(
    model: Any,
    rows: Sequence[Encoded],
    fit: Fit,
    folder: Path,
    *,
    key: str = "",
    save_every: int | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train in place; writes `folder/metrics.jsonl`. Resumes from `folder/state.pt` if that was written under the same
    `key` (what the run depends on), else starts anew. `on_step` is called after each step and may raise to stop."""
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=fit.learning_rate, weight_decay=fit.weight_decay, fused=True)
    batches = plan(rows, fit)
    warmup = max(1, int(fit.warmup * len(batches)))
    state = folder / "state.pt"
    save_every = save_every or int(os.environ.get("LORA_AGENT_SAVE_EVERY", SAVE_EVERY))
    progress = _resume(state, key, parameters, optimizer)
    _forget_after(folder / "metrics.jsonl", progress.step)
    total = sum(len(b) for b in batches)
    use_packed_attention(model)
    model.train()
    for step in range(progress.step, len(batches)):
        started = time.monotonic()
        rate = fit.learning_rate * min((step + 1) / warmup, (len(batches) - step) / max(1, len(batches) - warmup))
        for group in optimizer.param_groups:
            group["lr"] = rate
        value, tokens = loss(model, make_batch(batches[step]), adapt_context=fit.kind == "lora")
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, fit.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress = Progress(step + 1, progress.rows + len(batches[step]), progress.seconds + time.monotonic() - started)
        _log(folder, progress, total, value.item(), norm.item(), rate, tokens)
        if progress.step % save_every == 0 or progress.step == len(batches):
            _save(state, key, parameters, optimizer, progress)
        if on_step is not None:
            on_step(progress)
    model.eval()
    return progress


def _log(folder: Path, progress: Progress, total: int, value: float, norm: float, rate: float, tokens: int) -> None:
    per_second = progress.rows / progress.seconds
    line = {"step": progress.step, "rows": progress.rows, "loss": round(value, 4), "grad_norm": round(norm, 3)}
    line |= {"learning_rate": rate, "target_tokens": tokens, "rows_per_s": round(per_second, 2)}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    if progress.step % 10 == 0 or progress.rows == total:
        left = (total - progress.rows) / per_second
        print(
            f"{progress.rows}/{total} rows, loss {value:.3f}, {per_second:.2f} rows/s, {left / 60:.1f} min left",
            file=sys.stderr,
            flush=True,
        )


def _forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps that will be done again."""
    if path.is_file():
        kept = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept))


def _save(path: Path, key: str, parameters: list[Any], optimizer: Any, progress: Progress) -> None:
    """Atomic: a kill in the middle leaves the previous checkpoint."""
    scratch = path.with_suffix(".tmp")
    weights = [p.detach() for p in parameters]
    state = {"key": key, "weights": weights, "optimizer": optimizer.state_dict(), "progress": vars(progress)}
    torch.save(state, scratch)
    os.replace(scratch, path)


def _resume(path: Path, key: str, parameters: list[Any], optimizer: Any) -> Progress:
    if not path.is_file():
        return Progress()
    saved = torch.load(path, weights_only=True)
    if saved.get("key") != key:
        print("the checkpoint is of other data or settings: starting anew", file=sys.stderr)
        return Progress()
    with torch.no_grad():
        for parameter, value in zip(parameters, saved["weights"], strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(saved["optimizer"])
    print(f"resuming after step {saved['progress']['step']}", file=sys.stderr)
    return Progress(**saved["progress"])
