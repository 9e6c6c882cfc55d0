"""Preferences and rewards: TRL's trainers on our tokens, with plain and activated LoRA, to a package or by parts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lora_agent.cli.main import main
from lora_agent.errors import ConfigError
from training.data.formats import LineProblem, read_lines
from training.data.rows import Row, read_rows, write_rows
from training.evaluate.metrics import METRICS
from training.learning.rewards import load_program, program_reward, schema_reward, task_reward

INPUT = {"type": "object", "properties": {"messages": {"type": "array"}}, "required": ["messages"]}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"priority": {"enum": ["high", "low"]}},
    "required": ["priority"],
    "additionalProperties": False,
}
HIGH, LOW = '{"priority":"high"}', '{"priority":"low"}'
WORDS = "weather warranty ticket product document tool city name answer".split()


def project(folder: Path, base: str | None, line: Any, rows: int = 32, **recipe: Any) -> Path:
    """A recipe whose lines are line(rng, urgent, text)."""
    rng = random.Random(3)
    lines = []
    for n in range(rows):
        urgent = rng.random() < 0.5
        lines.append(json.dumps(line(urgent, f"{' '.join(rng.sample(WORDS, 3))} {'safe' if urgent else 'joke'} {n}")))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("\n".join(lines))
    (folder / "input.schema.json").write_text(json.dumps(INPUT))
    (folder / "output.schema.json").write_text(json.dumps(OUTPUT))
    made = {
        "name": "ticket",
        "description": "Tells the priority of a support message.",
        "base": base,
        "data": {"train": "train.jsonl"},
        "input_schema": "input.schema.json",
        "output_schema": "output.schema.json",
        **recipe,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(made))
    return folder


def train(folder: Path, *more: str, out: str = "run") -> int:
    with pytest.raises(SystemExit) as stop:
        main(["train", str(folder / "recipe.yaml"), "--out", str(folder / out), *more])
    return int(stop.value.code or 0)


def pair(urgent: bool, text: str) -> dict[str, Any]:
    return {"prompt": text, "chosen": HIGH if urgent else LOW, "rejected": LOW if urgent else HIGH}


def labelled(urgent: bool, text: str) -> dict[str, Any]:
    return {"prompt": text, "completion": HIGH, "label": urgent}


def target(urgent: bool, text: str) -> dict[str, Any]:
    return {"prompt": text, "completion": HIGH if urgent else LOW}


def metrics(folder: Path, out: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / out / "metrics.jsonl").read_text().splitlines()]


LINES: list[tuple[dict[str, Any], Row]] = [
    (
        {"prompt": "x", "chosen": HIGH, "rejected": "no idea"},
        Row({"messages": [{"role": "user", "content": "x"}]}, {"priority": "high"}, "file", "g", rejected="no idea"),
    ),
    (
        {
            "messages": [{"role": "user", "content": "x"}],
            "chosen": [{"role": "assistant", "content": HIGH}],
            "rejected": [{"role": "assistant", "content": LOW}],
        },
        Row({"messages": [{"role": "user", "content": "x"}]}, {"priority": "high"}, "file", "g", rejected=LOW),
    ),
    (
        {"input": {"messages": []}, "output": {"priority": "high"}, "rejected": {"priority": "low"}},
        Row({"messages": []}, {"priority": "high"}, "file", "g", rejected=LOW),
    ),
    (
        {"prompt": "x", "completion": "mid", "label": False},
        Row({"messages": [{"role": "user", "content": "x"}]}, {}, "file", "g", rejected="mid", desirable=False),
    ),
    (
        {"prompt": "x", "completion": HIGH, "label": True},
        Row({"messages": [{"role": "user", "content": "x"}]}, {"priority": "high"}, "file", "g"),
    ),
]


@pytest.mark.parametrize(("line", "row"), LINES)
def test_preferences_are_read_and_kept(line: dict[str, Any], row: Row, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps({**line, "group": "g"}))
    assert [found for _, found in read_lines(tmp_path / "f.jsonl")] == [row]
    write_rows(tmp_path / "rows.jsonl", [row])
    assert read_rows(tmp_path / "rows.jsonl") == [row]


def test_a_chosen_answer_that_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text(json.dumps({"prompt": "x", "chosen": "high", "rejected": LOW}))
    ((_, found),) = read_lines(tmp_path / "f.jsonl")
    assert isinstance(found, LineProblem)


def test_rewards() -> None:
    row = Row({"messages": []}, {"priority": "high"}, "file", "g")
    assert schema_reward(HIGH, OUTPUT) == (1.0, {"priority": "high"})
    assert schema_reward('{"priority":"mid"}', OUTPUT) == (0.25, None)
    assert schema_reward('{"priority":"hi', OUTPUT) == (0.0, None)
    assert schema_reward(None, OUTPUT) == (0.0, None)
    assert task_reward({"priority": "high"}, row, METRICS["exact"]) == 1.0
    assert task_reward({"priority": "low"}, row, METRICS["exact"]) == 0.0
    assert task_reward(None, row, METRICS["exact"]) == 0.0
    assert program_reward({"priority": "high"}, row, lambda given, output: 7.0) == 1.0
    assert program_reward({"priority": "high"}, row, lambda given, output: output["absent"]) == 0.0
    assert program_reward(None, row, lambda given, output: 1.0) == 0.0


def test_a_reward_program_is_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def score(given, output):\n    return 0.5\n")
    assert load_program("score.py:score", tmp_path)({}, {}) == 0.5
    for wrong in ("score.py", "score.py:scores", "absent.py:score"):
        with pytest.raises(ConfigError):
            load_program(wrong, tmp_path)


@pytest.mark.parametrize(
    ("learning", "said"),
    [
        ({"method": "dpo", "generations": 4}, "means nothing to `dpo`"),
        ({"method": "sft", "beta": 0.1}, "means nothing to `sft`"),
        ({"method": "dpo", "teacher": {"kind": "base"}}, None),
    ],
)
def test_keys_of_other_methods_are_refused(
    tmp_path: Path, learning: dict[str, Any], said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, "absent", pair, learning=learning)
    assert train(tmp_path, "--until", "plan") == 2
    err = capsys.readouterr().err
    assert (said or "absent") in err


@pytest.mark.parametrize("method", ["dpo", "kto", "grpo"])
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sweep": {}}, "`sweep` is for supervised fits"),
        ({"fit": {"evaluate_every": 5}}, "`fit.evaluate_every` is for supervised fits"),
        ({"fit": {"kind": "vera"}}, "not kind 'vera'"),
    ],
)
def test_what_trl_does_not_run_is_refused_by_its_key(
    tmp_path: Path, method: str, more: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, "absent", pair, learning={"method": method}, **more)
    assert train(tmp_path, "--until", "plan") == 2
    assert said in capsys.readouterr().err


def test_kto_wants_both_good_and_bad(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    folder = project(tmp_path / "p", str(base_dir), target, learning={"method": "kto"})
    assert train(folder, "--dry-run") == 2
    assert "there is no bad one" in capsys.readouterr().err


FIT = {"rank": 4, "alpha": 8, "batch_rows": 4, "epochs": 3}


@pytest.mark.parametrize(("method", "line"), [("kto", labelled), ("grpo", target)])
def test_a_dry_run_tries_the_heaviest_rows_and_leaves_nothing(
    tmp_path: Path,
    base_dir: Path,
    method: str,
    line: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    learning = {"method": method, **({"generations": 2} if method == "grpo" else {})}
    data = {"train": "train.jsonl", "dev": "dev.jsonl"}
    recipe = {"data": data, "fit": FIT, "learning": learning, "prompt": {"max_new_tokens": 8}}
    folder = project(tmp_path / "p", str(base_dir), line, rows=24, **recipe)
    rows = (folder / "train.jsonl").read_text().splitlines()
    longest = {**json.loads(rows[0]), "prompt": "weather " * 90 + "joke 99"}  # at a place that a first batch would miss
    (folder / "train.jsonl").write_text("\n".join([*rows[:15], json.dumps(longest), *rows[15:]]))
    (folder / "dev.jsonl").write_text("\n".join(map(json.dumps, DEV)))
    assert train(folder, "--dry-run") == 0
    assert "(no forecast)" in capsys.readouterr().out
    found = json.loads((folder / "run/probe.json").read_text())
    assert found["heaviest_batch"]["rows"] == 4
    assert found["heaviest_batch"]["tokens"] > 4 * 90 / 2
    assert found["measured_peak_mib"] > 50
    assert not (folder / "run/probe").exists()
    assert not (folder / "run/metrics.jsonl").exists()


DEV = [{"prompt": "city safe 98", "completion": HIGH, "label": True}, {"prompt": "a joke 97", "completion": LOW}]


@pytest.mark.parametrize("kind", ["alora", pytest.param("lora", marks=pytest.mark.slow)])
def test_dpo_widens_its_margin_and_goes_on_after_a_kill(
    tmp_path: Path, base_dir: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    learning = {"method": "dpo", "learning_rate": 0.003}
    folder = project(tmp_path / "p", str(base_dir), pair, fit={**FIT, "kind": kind}, learning=learning)
    assert train(folder, "--until", "fit", "--json") == 0
    out, err = capsys.readouterr()
    stages = json.loads(out)["stages"]
    assert "no forecast of memory is made for dpo" in stages["plan"]["memory"]
    assert "no forecast of memory is made for dpo" in err
    probed = stages["probe"]
    assert probed["forecast_mib"] is None
    assert probed["measured_peak_mib"] > 50
    assert probed["heaviest_batch"]["rows"] == 4
    assert not (folder / "run/probe").exists()
    report = stages["fit"]
    assert probed["steps"] == report["steps"]
    assert report["last"]["rewards/margins"] > report["first"]["rewards/margins"] + 0.05
    assert report["last"]["loss"] < 0.69
    weights = load_file(folder / "run/weights/adapter_model.safetensors")
    assert not any("ref" in name for name in weights)
    assert not (folder / "run/trainer").exists()

    from training.learning import trainer as watched

    monkeypatch.setattr("lora_agent.training.learning.trainer.SAVE_EVERY", 4)
    log = watched._Watch.on_log
    module = __import__("lora_agent.training.learning.trainer", fromlist=["_Watch"])

    def killed(self: Any, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        log(self, args, state, control, logs, **more)
        if state.global_step == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(module._Watch, "on_log", killed)
        assert train(folder, "--until", "fit", out="killed") != 0
    assert (folder / "killed/trainer/checkpoint-8").is_dir()
    assert train(folder, "--until", "fit", out="killed") == 0
    assert "resuming after step 8" in capsys.readouterr().err
    again = load_file(folder / "killed/weights/adapter_model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert [line["step"] for line in metrics(folder, "killed")] == list(range(1, report["steps"] + 1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alora"])
def test_kto_parts_good_from_bad(
    tmp_path: Path, base_dir: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    learning = {"method": "kto", "learning_rate": 0.003}
    fit = {**FIT, "kind": kind, "batch_rows": 8, "epochs": 8}
    folder = project(tmp_path / "p", str(base_dir), labelled, rows=48, fit=fit, learning=learning)
    assert train(folder, "--until", "fit", "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert stages["data"]["dropped"] == {}
    lines = metrics(folder)
    assert sum(line["loss"] for line in lines[-6:]) < sum(line["loss"] for line in lines[:6]) - 0.05
    rewarded = [
        line["rewards/chosen"] - line["rewards/rejected"]
        for line in lines
        if {*line} > {"rewards/chosen", "rewards/rejected"}
    ]
    assert rewarded[-1] > rewarded[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alora", "lora"])
def test_grpo_climbs_its_reward(
    tmp_path: Path, base_dir: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an adapter that has learned the form and guesses the answer. Cold, because the logits of a random base of
    width 64 are nearly flat whatever it learns."""
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    fit = {**FIT, "kind": kind, "learning_rate": 0.01, "epochs": 6}

    def guessed(urgent: bool, text: str) -> dict[str, Any]:
        return {"prompt": text, "completion": HIGH if len(text) % 2 else LOW}

    first = project(tmp_path / "first", str(base_dir), guessed, rows=64, fit=fit)
    assert train(first) in (0, 4)
    capsys.readouterr()
    (tmp_path / "second").mkdir()
    (tmp_path / "second/score.py").write_text("def score(given, output):\n    return output['priority'] == 'low'\n")
    learning = {"method": "grpo", "learning_rate": 0.004, "generations": 4, "temperature": 0.1}
    learning["program"] = "score.py:score"
    fit = {**FIT, "kind": kind, "start": "../first/run/ticket", "batch_rows": 4, "epochs": 3}
    prompt = {"max_new_tokens": 24}

    def always_low(urgent: bool, text: str) -> dict[str, Any]:
        return {"prompt": text, "completion": LOW}

    second = project(tmp_path / "second", str(base_dir), always_low, rows=24, fit=fit, learning=learning, prompt=prompt)
    assert train(second, "--until", "fit", "--json") == 0
    lines = metrics(second)
    early, late = lines[:5], lines[-5:]

    def mean(part: list[dict[str, Any]], name: str) -> float:
        return sum(float(line[name]) for line in part) / len(part)

    assert mean(late, "reward") > mean(early, "reward") + 0.3
    assert mean(late, "rewards/execution/mean") > mean(early, "rewards/execution/mean") + 0.2
    assert any(line["grad_norm"] > 0 for line in lines)


@pytest.mark.slow
def test_each_of_them_trains_the_embedded_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Targets first, so that GRPO's answers have a form; then three steps of each from those weights."""
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    prompt = {"max_new_tokens": 12, "reread": "none"}
    first = project(tmp_path / "sft", None, target, fit={"batch_rows": 8, "epochs": 4}, prompt=prompt)
    assert train(first, "--until", "fit") == 0
    before = load_file(first / "run/weights/adapter_model.safetensors")
    report: dict[str, dict[str, Any]] = {}
    for method, line in (("dpo", pair), ("kto", pair), ("grpo", target)):
        learning = {"method": method} | ({"generations": 4} if method == "grpo" else {})
        fit = {"batch_rows": 4, "epochs": 1, "max_steps": 3, "start": "../sft/run/weights"}
        folder = project(tmp_path / method, None, line, rows=16, fit=fit, prompt=prompt, learning=learning)
        capsys.readouterr()
        assert train(folder, "--until", "fit", "--json") == 0
        report[method] = json.loads(capsys.readouterr().out)["stages"]["fit"]
        assert report[method]["steps"] == 3
        assert any(line["grad_norm"] > 0 for line in metrics(folder))
        after = load_file(folder / "run/weights/adapter_model.safetensors")
        assert any(not torch.equal(before[name], after[name]) for name in before)
    assert report["dpo"]["last"]["rewards/margins"] > report["dpo"]["first"]["rewards/margins"]
    assert report["grpo"]["last"]["rewards/schema/mean"] > 0.5
