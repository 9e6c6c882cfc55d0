"""`kill -9` in the stages that choose: the resumed run chooses the same and ends with the same weights, bit for bit."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training.data.rows import read_rows

from .test_pipeline import project, train, weights, write_recipe  # noqa: F401

SMALL = {"gate": {"rows": 24, "base_rows": 8}, "prompt": {"max_new_tokens": 24}}


def kill_when(project: Path, ready: Callable[[], bool]) -> None:
    """Run up to the fit into `killed/` as a process of its own, which gets SIGKILL as soon as `ready()`."""
    command = [sys.executable, "-m", "lora_agent.cli.main", "train", str(project / "recipe.yaml"), "--until", "fit"]
    environment = {**os.environ, "LORA_AGENT_SAVE_EVERY": "3"}
    process = subprocess.Popen([*command, "--out", str(project / "killed")], stderr=subprocess.DEVNULL, env=environment)
    limit = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < limit:
        if ready():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert time.monotonic() < limit


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def without_time(report: Any) -> Any:
    if isinstance(report, dict):
        return {k: without_time(v) for k, v in report.items() if k not in ("seconds", "training_seconds")}
    return [without_time(v) for v in report] if isinstance(report, list) else report


def same_weights(project: Path) -> bool:
    straight, killed = weights(project / "straight"), weights(project / "killed")
    return straight.keys() == killed.keys() and all(torch.equal(straight[name], killed[name]) for name in straight)


@pytest.mark.slow
def test_killed_in_the_sweep_it_chooses_the_same_rate(project: Path, base_dir: Path) -> None:
    sweep = {"learning_rate": [0.003, 0.01], "fraction": 0.3, "rows": 8}
    write_recipe(project, base_dir, fit={"epochs": 2}, sweep=sweep, **SMALL)
    assert train(project, "--until", "fit", out="straight") == 0
    first, second = (project / f"killed/sweep/learning_rate-{rate}" for rate in ("0.003", "0.01"))
    kill_when(project, lambda: len(lines(first / "metrics.jsonl")) >= 5)
    assert not (first / "result.json").exists()
    kill_when(project, lambda: len(lines(second / "metrics.jsonl")) >= 5)
    tried_once = (first / "result.json").read_bytes()
    assert not (project / "killed/sweep.json").exists()
    kill_when(project, lambda: len(lines(project / "killed/metrics.jsonl")) >= 5)
    assert (first / "result.json").read_bytes() == tried_once  # a finished setting is not run again
    assert train(project, "--until", "fit", out="killed") == 0
    straight, killed = (json.loads((project / out / "sweep.json").read_text()) for out in ("straight", "killed"))
    assert without_time(straight) == without_time(killed)
    assert same_weights(project)


@pytest.mark.slow
def test_killed_before_an_early_stop_it_stops_at_the_same_step(project: Path, base_dir: Path) -> None:
    fit = {"learning_rate": 0.01, "epochs": 8, "evaluate_every": 5, "evaluate_rows": 16, "patience": 2}
    write_recipe(project, base_dir, fit=fit, **SMALL)
    assert train(project, "--until", "fit", out="straight") == 0
    straight = json.loads((project / "straight/fit.json").read_text())
    assert straight["stopped_early"]
    metrics = project / "killed/metrics.jsonl"
    for step in (
        7,
        straight["steps"] - 3,
        straight["steps"] - 1,
    ):  # after an evaluation, after the best one, before the end
        kill_when(project, lambda step=step: any(line["step"] >= step for line in lines(metrics)))
    assert train(project, "--until", "fit", out="killed") == 0
    killed = json.loads((project / "killed/fit.json").read_text())
    for name in ("steps", "best", "stopped_early", "rows_seen"):
        assert killed[name] == straight[name]
    steps = [(line["step"], line.get("loss"), line.get("validation")) for line in lines(metrics)]
    wanted = lines(project / "straight/metrics.jsonl")
    assert steps == [(line["step"], line.get("loss"), line.get("validation")) for line in wanted]
    assert same_weights(project)


def test_an_old_report_does_not_vouch_for_rows_half_written(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other rows, a kill in the middle of the data stage, the first rows again: nothing of the others is left."""
    path = project / "train.jsonl"
    first = path.read_text()
    assert train(project, "--until", "data") == 0
    wanted = read_rows(project / "run/rows/train.jsonl.gz")
    path.write_text("\n".join(first.splitlines()[:100]))
    data = importlib.import_module("lora_agent.training.stages.data")
    write, written = data.write_rows, []

    def killed(*given: Any) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(given)
        write(*given)

    with monkeypatch.context() as during:
        during.setattr(data, "write_rows", killed)
        assert train(project, "--until", "data") != 0
    assert read_rows(project / "run/rows/train.jsonl.gz") != wanted
    path.write_text(first)
    assert train(project, "--until", "data") == 0
    assert read_rows(project / "run/rows/train.jsonl.gz") == wanted
