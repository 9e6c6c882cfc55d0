"""The optimisation loop: linear decay, checkpoints that survive a kill, early stop, metrics as JSON lines.

Our own rather than TRL's because TRL cannot train on a context read by the bare base and shared between rows
(decision 004 has the measurement). Resumed and straight runs end with the same weights on a CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..encode import Encoded
from ..recipe import Fit
from . import checkpoint, metrics
from .batches import epoch
from .checkpoint import Progress
from .optimizer import make_optimizer
from .step import Objective, trained
from .team import Team
from .tracking import Trackers

SAVE_EVERY = 20
"""Steps between checkpoints: half a minute to a few minutes of work. LORA_AGENT_SAVE_EVERY says otherwise."""
WANTED_ROWS = 800
MOST_EPOCHS = 8


def epochs(rows: int, fit: Fit) -> int:
    """How often the rows are shown: the recipe's number, or enough for WANTED_ROWS."""
    return fit.epochs or max(1, min(MOST_EPOCHS, -(-WANTED_ROWS // rows)))


def plan(rows: Sequence[Encoded], fit: Fit) -> list[list[Encoded]]:
    """Every batch of the whole run, in order: a function of the rows and the recipe alone."""
    batches = [b for e in range(epochs(len(rows), fit)) for b in epoch(rows, fit.batch_rows, fit.seed + e)]
    return batches[: fit.max_steps]


def train(
    model: Any,
    rows: Sequence[Encoded],
    fit: Fit,
    folder: Path,
    *,
    key: str = "",
    save_every: int | None = None,
    on_step: Callable[[Progress], None] | None = None,
    evaluate: Callable[[], float] | None = None,
    team: Team | None = None,
    objective: Objective | None = None,
    trackers: Trackers | None = None,
) -> Progress:
    """Train in place; writes `folder/metrics.jsonl`. Resumes from `folder/state.pt` if that was written under the same
    `key` (what the run depends on), else starts anew. `on_step` is called after each step and may raise to stop.
    `evaluate` gives the score that `fit.evaluate_every` asks for; with it the best weights are left at the end.
    `objective`: what is minimised, if not the rows' own loss. `trackers` are told each line of the metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    team, trackers = team or Team(), trackers or Trackers()
    batches = plan(rows, fit)
    objective = objective or Objective(model, fit)
    optimizer = make_optimizer(model, fit)
    state = folder / checkpoint.FILE
    save_every = save_every or int(os.environ.get("LORA_AGENT_SAVE_EVERY", SAVE_EVERY))
    progress, best = checkpoint.resume(state, key, objective, optimizer)
    if team.rank == 0:
        metrics.forget_after(folder, progress.step)
    total = sum(map(len, batches))
    wrapped = team.wrap(objective)
    objective.prepare()
    for step in range(progress.step, len(batches)):
        if progress.stopped:
            break
        started = time.monotonic()
        line = _step(wrapped, objective, optimizer, batches[step], fit, step, len(batches), team)
        progress.step, progress.rows = step + 1, progress.rows + len(batches[step])
        progress.tokens += line["target_tokens"]
        progress.seconds += time.monotonic() - started
        if team.rank == 0:
            metrics.log(folder, progress, total, line, trackers)
        last = progress.step == len(batches)
        if evaluate is not None and fit.evaluate_every and (progress.step % fit.evaluate_every == 0 or last):
            best = _evaluate(evaluate, objective, progress, best, fit, folder, team, trackers)
        if team.rank == 0 and (progress.step % save_every == 0 or last or progress.stopped):
            checkpoint.save(state, key, objective, optimizer, progress, best)
        if on_step is not None:
            on_step(progress)
    if best is not None:
        checkpoint.put(model, best)
    objective.rest()
    return progress


def _step(
    wrapped: Any,
    objective: Objective,
    optimizer: Any,
    batch: list[Encoded],
    fit: Fit,
    step: int,
    steps: int,
    team: Team,
) -> dict[str, Any]:
    warmup = max(1, int(fit.warmup * steps))
    rate = fit.learning_rate * min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["ratio"]
    own, weight = team.share(batch)
    wrapped(own, weight).backward()
    norm = torch.nn.utils.clip_grad_norm_(trained(objective.model), fit.clip)
    optimizer.step()
    objective.after_step(step + 1)
    optimizer.zero_grad(set_to_none=True)
    value = team.total(objective.loss * weight)
    tokens = round(team.total(float(objective.tokens if weight else 0)) * team.size)
    found = {"loss": round(value, 4), "grad_norm": round(norm.item(), 3)}
    return {**found, "learning_rate": rate, "target_tokens": tokens}


def _evaluate(
    evaluate: Callable[[], float],
    objective: Objective,
    progress: Progress,
    best: list[Any] | None,
    fit: Fit,
    folder: Path,
    team: Team,
    trackers: Trackers,
) -> list[Any] | None:
    """Score the weights as they are; returns the best ones so far. Rank 0 does the work."""
    objective.rest()
    score = team.agree(evaluate() if team.rank == 0 else None)
    objective.prepare()
    progress.scores.append((progress.step, score))
    if team.rank == 0:
        metrics.append(folder, {"step": progress.step, "validation": score}, trackers)
    when = progress.best[0] if progress.best is not None else progress.step
    since = sum(step > when for step, _ in progress.scores)
    progress.stopped = fit.patience is not None and since >= fit.patience
    return checkpoint.weights(objective.model) if when == progress.step else best
