"""On-policy distillation: the divergence, and the adapter drawing near to a teacher, with kills and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lora_agent.cli.main import main
from tests.training.test_learning import metrics, project, target, train
from training.learning.on_policy import divergence


def test_the_divergences_are_what_they_are_called() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    s, t = student.softmax(-1), teacher.softmax(-1)
    kl = torch.nn.functional.kl_div
    assert torch.allclose(divergence(student, teacher, 0.0), kl(s.log(), t, reduction="batchmean"), atol=1e-6)
    assert torch.allclose(divergence(student, teacher, 1.0), kl(t.log(), s, reduction="batchmean"), atol=1e-6)
    m = 0.5 * (s + t)
    half = 0.5 * (kl(m.log(), t, reduction="batchmean") + kl(m.log(), s, reduction="batchmean"))
    assert torch.allclose(divergence(student, teacher, 0.5), half, atol=1e-6)
    assert divergence(student, student, 0.5).abs() < 1e-6
    padded = torch.cat([teacher, torch.full((5, 3), 9.0)], dim=1)  # entries beyond the shared vocabulary
    assert torch.allclose(divergence(student, padded, 1.0), divergence(student, teacher, 1.0))


FIT = {"rank": 4, "alpha": 8, "batch_rows": 4, "epochs": 3, "learning_rate": 0.01}


@pytest.mark.parametrize("kind", ["alora", pytest.param("lora", marks=pytest.mark.slow)])
def test_the_adapter_draws_near_to_the_prompted_base(
    kind: str, tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    monkeypatch.setenv("LORA_AGENT_SAVE_EVERY", "4")
    learning = {"method": "on_policy", "teacher": {"kind": "base", "examples": 2}, "temperature": 0.7}
    prompt = {"max_new_tokens": 16}
    fit = {**FIT, "kind": kind}
    folder = project(tmp_path / "p", str(base_dir), target, rows=20, fit=fit, learning=learning, prompt=prompt)
    assert train(folder, "--until", "fit") == 0
    losses = [line["loss"] for line in metrics(folder)]
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    if kind == "lora":
        return

    import lora_agent.training.fit.metrics as installed

    log = installed.log

    def killed(where: Path, progress: Any, *rest: Any) -> None:
        log(where, progress, *rest)
        if progress.step == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(installed, "log", killed)
        assert train(folder, "--until", "fit", out="killed") != 0
    assert train(folder, "--until", "fit", out="killed") == 0
    assert "resuming after step 4" in capsys.readouterr().err
    straight, resumed = (load_file(folder / out / "weights/adapter_model.safetensors") for out in ("run", "killed"))
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


@pytest.mark.slow
def test_a_sweep_tries_the_rates_by_the_divergence(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short runs minimise what the run itself does: their first loss is its first loss, not that of the targets."""
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    learning = {"method": "on_policy", "teacher": {"kind": "base", "examples": 2}, "temperature": 0.7}
    sweep = {"learning_rate": [1e-3], "fraction": 0.3, "rows": 8}
    recipe = {"fit": {**FIT, "learning_rate": 1e-3}, "learning": learning, "prompt": {"max_new_tokens": 16}}
    folder = project(tmp_path / "p", str(base_dir), target, rows=40, sweep=sweep, **recipe)
    assert train(folder, "--until", "fit") == 0
    short = [
        json.loads(line) for line in (folder / "run/sweep/learning_rate-0.001/metrics.jsonl").read_text().splitlines()
    ]
    probe = json.loads((folder / "run/probe.json").read_text())
    assert short[0]["loss"] == pytest.approx(metrics(folder)[0]["loss"], rel=1e-3)
    assert probe["loss_before"] != 0


def test_a_teacher_with_another_vocabulary_is_refused(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    other = tmp_path / "other"
    other.mkdir()
    for file in base_dir.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    state = json.loads((other / "tokenizer.json").read_text())
    word = next(w for w in state["model"]["vocab"] if w == "weather" or w.endswith("high"))
    vocabulary = state["model"]["vocab"]
    vocabulary["!!renamed!!"] = vocabulary.pop(word)
    state["model"]["merges"] = [m for m in state["model"]["merges"] if "".join(m) != word and word not in m]
    (other / "tokenizer.json").write_text(json.dumps(state))
    learning = {"method": "on_policy", "teacher": {"kind": "local", "model": str(other)}}
    folder = project(tmp_path / "p", str(base_dir), target, rows=20, fit=FIT, learning=learning)
    assert train(folder, "--until", "fit") == 2
    assert "another vocabulary" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["on_policy", "sft"])
def test_the_plan_says_what_the_forecast_leaves_out(
    method: str, tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    learning = {"method": method, **({"teacher": {"kind": "base"}} if method == "on_policy" else {})}
    folder = project(tmp_path / "p", str(base_dir), target, learning=learning)
    assert train(folder, "--until", "plan") == 0
    said = "leaves out the teacher's pass"
    plan = json.loads((folder / "run/plan.json").read_text())
    assert (said in plan["memory"], said in capsys.readouterr().err) == (method == "on_policy",) * 2


def test_an_endpoint_gives_no_probabilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = {"kind": "endpoint", "url": "http://127.0.0.1:9/v1", "model": "m"}
    folder = project(tmp_path, "absent", target, learning={"method": "on_policy", "teacher": teacher})
    with pytest.raises(SystemExit) as stop:
        main(["train", str(folder / "recipe.yaml"), "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    assert "probabilities" in capsys.readouterr().err
