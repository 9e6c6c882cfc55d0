"""Sweep, early stop, going on from a package, several processes, what the gate measures besides: on a tiny base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from lora_agent.engine.local.device import native_missing
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import ConfigError
from training.data.origins import describe
from training.data.rows import Row, read_rows
from training.encode import Encoded
from training.fit.checkpoint import Progress
from training.fit.team import Launched
from training.selection import pick
from training.stages.data import untrained
from training.stages.fit import worker

from .test_pipeline import project, train, weights, write_recipe  # noqa: F401

SMALL = {"gate": {"rows": 24, "base_rows": 8}, "prompt": {"max_new_tokens": 24}}


def report(folder: Path, stage: str, out: str = "run") -> Any:
    return json.loads((folder / out / f"{stage}.json").read_text())


def test_a_sweep_chooses_the_rate_by_the_task_and_says_how(
    project: Path,
    base_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = {"learning_rate": [1e-6, 0.01], "axes": {"rank": [2, 4]}, "fraction": 0.6, "rows": 16}
    write_recipe(project, base_dir, fit={"epochs": 4}, sweep=sweep, **SMALL)
    assert train(project, "--until", "fit") == 0
    found = report(project, "sweep")
    assert found["chosen"]["learning_rate"] == 0.01
    assert [(t["axis"], t["value"]) for t in found["tried"]] == [
        ("learning_rate", 1e-6),
        ("learning_rate", 0.01),
        ("rank", 2),
        ("rank", 4),
    ]
    by_rate = {t["value"]: t for t in found["tried"] if t["axis"] == "learning_rate"}
    assert by_rate[0.01]["correct"] > by_rate[1e-6]["correct"]
    assert (project / "run/sweep.html").read_text().count("<svg") >= 2
    lines = [json.loads(line) for line in (project / "run/metrics.jsonl").read_text().splitlines()]
    assert max(line["learning_rate"] for line in lines) == pytest.approx(0.01)
    config = json.loads((project / "run/weights/adapter_config.json").read_text())
    assert config["r"] == found["chosen"]["rank"]
    # rows that chose are neither trained on nor judged by
    rows = {name: read_rows(project / f"run/rows/{name}.jsonl.gz") for name in ("train", "tune", "dev")}
    chose = {row.group for row in rows["tune"]}
    assert chose
    assert not chose & {row.group for row in rows["train"]}
    assert not chose & {row.group for row in pick(rows["dev"], 24)}

    (project / "run/sweep.json").unlink()  # killed before its end: finished settings are not run again
    capsys.readouterr()
    assert train(project, "--until", "sweep") == 0
    assert "rows/s" not in capsys.readouterr().err
    assert report(project, "sweep")["tried"] == found["tried"]


def test_without_a_sweep_there_is_none(project: Path, base_dir: Path) -> None:
    write_recipe(project, base_dir, fit={"epochs": 1, "max_steps": 2})
    assert train(project, "--until", "fit") == 0
    assert not (project / "run/sweep.json").exists()
    assert report(project, "data")["tune"]["rows"] == 0
    assert report(project, "fit")["steps"] == 2


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"axes": {"rnak": [1, 2]}}, "rank"),
        ({"axes": {"kind": ["lora", "alora"]}}, "no axis"),
        ({"learning_rate": [0]}, "positive"),
        ({"fraktion": 1}, "fraction"),
    ],
)
def test_a_wrong_sweep_is_refused(
    project: Path,
    base_dir: Path,
    sweep: Any,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_recipe(project, base_dir, sweep=sweep)
    assert train(project) == 2
    assert said in capsys.readouterr().err


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(project: Path, base_dir: Path) -> None:
    fit = {"learning_rate": 0.01, "epochs": 8, "evaluate_every": 5, "evaluate_rows": 16, "patience": 2}
    write_recipe(project, base_dir, fit=fit, **SMALL)
    assert train(project, "--until", "fit") == 0
    found = report(project, "fit")
    assert found["stopped_early"]
    assert found["steps"] < found["of_steps"]
    lines = [json.loads(line) for line in (project / "run/metrics.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["validation"] for line in lines if "validation" in line}
    assert found["best"]["score"] == max(scores.values())
    assert found["steps"] == found["best"]["step"] + 10
    assert "share of right answers" in (project / "run/fit.html").read_text()
    assert not (project / "run/state.pt").exists()


def test_the_first_of_the_best_counts() -> None:
    assert Progress(scores=[(5, 0.5), (10, 0.7), (15, 0.7)]).best == (10, 0.7)
    assert Progress().best is None


def test_training_goes_on_from_a_package(
    project: Path,
    base_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_recipe(project, base_dir, fit={"learning_rate": 0.01, "epochs": 3, "rank": 4})
    assert train(project, "--until", "package", out="first") in (0, 4)
    first = weights(project / "first")
    start = {"start": "first/ticket", "learning_rate": 1e-12, "max_steps": 1, "rank": 4, "seed": 1}
    write_recipe(project, base_dir, fit=start)
    assert train(project, "--until", "fit", out="on") == 0
    on = weights(project / "on")
    assert all(torch.equal(first[name], on[name]) for name in first)  # a step of no length changes nothing
    assert report(project, "fit", "on")["start_sha256"]
    write_recipe(project, base_dir, fit={**start, "learning_rate": 0.01, "max_steps": 4})
    assert train(project, "--until", "fit", out="further") == 0
    further = weights(project / "further")
    assert not all(torch.equal(first[name], further[name]) for name in first)
    losses = [json.loads(line)["loss"] for line in (project / "further/metrics.jsonl").read_text().splitlines()]
    begun = [json.loads(line)["loss"] for line in (project / "first/metrics.jsonl").read_text().splitlines()]
    assert losses[0] < begun[0] - 1
    write_recipe(project, base_dir, fit={"start": "first/ticket", "max_steps": 0, "rank": 4})
    assert train(project, out="as_it_is") in (0, 4)
    same = weights(project / "as_it_is")
    assert all(torch.equal(first[name], same[name]) for name in first)
    made_of = yaml.safe_load((project / "as_it_is/ticket/sources.yaml").read_text())
    assert [entry["by"] for entry in made_of] == ["ticket 0.1.0"]
    assert "(ticket 0.1.0)" in (project / "as_it_is/ticket/README.md").read_text()
    capsys.readouterr()
    write_recipe(project, base_dir, fit={**start, "rank": 8})
    assert train(project, "--until", "fit", out="wrong") == 2
    assert "`fit.rank`" in capsys.readouterr().err
    write_recipe(project, base_dir, fit={**start, "start": "nowhere"})
    assert train(project, "--until", "fit", out="none") == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(project: Path, base_dir: Path) -> None:
    # In float32, since what is compared is how rows are shared out: Adam makes a whole step of a gradient that is all
    # rounding, so that in bfloat16 two ways to add the same numbers end apart on some machines.
    fit = {"learning_rate": 0.003, "epochs": 1, "batch_rows": 5, "precision": "float32"}
    write_recipe(project, base_dir, fit=fit)
    assert train(project, "--until", "fit", out="one") == 0
    assert train(project, "--until", "fit", "--processes", "2", out="two") == 0
    assert report(project, "fit", "two")["processes"] == 2
    one, two = weights(project / "one"), weights(project / "two")
    for name in one:
        assert torch.allclose(one[name].float(), two[name].float(), atol=3e-3), name
    losses = [
        [json.loads(line)["loss"] for line in (project / out / "metrics.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_a_world_of_another_size_is_refused(project: Path, base_dir: Path) -> None:
    with pytest.raises(ConfigError, match="3 processes asked for, but the launcher made a world of 1"):
        Launched(3)
    assert worker is not None


def test_the_gate_measures_what_else_matters(project: Path) -> None:
    assert train(project) == 0
    found = report(project, "validate")["report"]
    for system in ("adapter", "prompted_base", "adapter_without_grammar", "on_16_bit_base"):
        row = found[system]
        assert row["n"] >= 20
        for name in ("correct", "valid", "stopped"):
            low, high = row[f"{name}_95"]
            assert 0 <= low <= row[name] <= high <= 1
    assert found["adapter"]["valid"] == 1.0
    assert found["adapter_without_grammar"]["correct"] > 0.5  # it has learnt the form itself
    assert found["latency_ms"]["n"] == 12
    low, high = found["latency_ms"]["mean_95"]
    assert 0 < low <= found["latency_ms"]["mean"] <= high
    assert found["interference"] is None  # no other adapter for this base
    card = (project / "run/ticket/README.md").read_text()
    assert "no grammar" in card
    assert "16-bit" in card


@pytest.mark.skipif(native_missing(None) is not None, reason=str(native_missing(None)))
def test_the_gate_measures_by_the_forward_pass_that_users_run(project: Path, base_dir: Path) -> None:
    """A base whose layers the compiled pass can read in 4 bits; the package then also holds on transformers."""
    wide = project / "wide"
    shutil.copytree(base_dir, wide)
    config = LlamaConfig.from_pretrained(base_dir, intermediate_size=128)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(wide)
    write_recipe(project, wide, fit={"learning_rate": 0.01, "epochs": 4}, **SMALL)
    assert train(project) == 0
    assert report(project, "validate")["engine"]["kernels"] == "native"
    for kernels in ("auto", "unpacked"):
        engine = LocalEngine.load(wide, adapters=[project / "run"], kernels=kernels, dtype=torch.float32)
        engine.verify("ticket")
        found = engine.call("ticket", {"messages": [{"role": "user", "content": "city safe tool weather 7"}]})
        assert found.output == {"priority": "high"}


def test_a_second_adapter_is_looked_at_beside_the_first(
    project: Path,
    base_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = {"examples": ["city safe tool weather 7", "product joke name 9"]}
    write_recipe(project, base_dir, fit={"learning_rate": 0.01, "epochs": 4}, **first)
    assert train(project, "--package", str(project / "adapters/ticket")) == 0
    write_recipe(project, base_dir, name="other", fit={"learning_rate": 0.01, "epochs": 4}, gate={"max_taken": 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_AGENT_ADAPTERS", str(project / "adapters"))
        assert train(project, out="second") == 0
    found = report(project, "validate", "second")["report"]["interference"]
    assert found["others"] == ["ticket"]
    assert found["outputs_changed"] == []
    assert found["examples"] == 2
    assert sum(found["router_before"]["ticket"].values()) == 2
    (project / "second/other").rename(project / "adapters/other")  # installed: built again, it replaces itself
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_AGENT_ADAPTERS", str(project / "adapters"))
        assert train(project, out="third") == 0
    again = report(project, "validate", "third")["report"]["interference"]
    assert again["others"] == ["ticket"]
    assert again["router_before"] == again["router_after"] == found["router_after"]
    assert again["moved"] == []


def test_a_failing_gate_names_rows(
    project: Path,
    base_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_recipe(project, base_dir, fit={"learning_rate": 1e-6, "epochs": 1})
    assert train(project) == 4
    said = capsys.readouterr().err
    assert "gain over the prompted base" in said
    assert "it has learnt next to nothing" in said
    assert "n = " in said
    assert "train.jsonl:" in said
    assert "right is" in said
    card = (project / "run/ticket/README.md").read_text()
    assert "Where it fails" not in card  # a user's rows are not copied into the package


def test_rows_that_teach_nothing_are_named() -> None:
    row = Encoded((1,), (2,), (7, 3), "g")
    assert untrained(row, (3,)) is None
    assert "no trained token" in str(untrained(Encoded((1,), (2,), (3,), "g"), (3,)))
    assert "stop token" in str(untrained(Encoded((1,), (2,), (7, 8), "g"), (3,)))


def test_too_little_memory_says_the_smallest_change(
    project: Path,
    base_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(project, "--dry-run") == 0
    found = report(project, "probe")["forecast_mib"]
    assert found["total"] > 0
    need = []
    from training.stages import probe

    real = probe.forecast

    def note(*given: Any) -> Any:
        answer = real(*given)
        need.append((len(given[1]), answer.total - given[3]))
        return answer

    monkeypatch.setattr("lora_agent.training.stages.probe.forecast", note)
    assert train(project, "--dry-run", out="measured") == 0
    whole = need[0][1]
    monkeypatch.setattr("lora_agent.training.stages.probe.available_memory", lambda: int(whole * 0.999))
    assert train(project, "--dry-run", out="tight") == 3
    assert "batch_rows: 7" in capsys.readouterr().err


def test_the_report_has_a_histogram(project: Path) -> None:
    assert train(project, "--until", "data") == 0
    found = report(project, "data")
    assert sum(found["histogram"].values()) == found["train"]["rows"]
    assert found["trained_tokens"] > 2 * found["train"]["rows"]


def test_recipes_of_the_project_are_sound() -> None:
    from training.recipe import read_recipe

    for path in sorted(Path("training/recipes").glob("*.yaml")):
        assert read_recipe(path).fit.kind == "alora", yaml.safe_load(path.read_text())
    assert Row({}, {}, "s", "g").desirable


def test_a_users_rows_are_not_taken_for_ours(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("{}\n")
    found = describe({"zendesk": 3, "file": 2, "generator/talk": 1}, file=file, licence="CC0-1.0")
    assert {(s["name"], s["licence"], s["rows"]) for s in found} == {
        ("mine.jsonl", "CC0-1.0", 5),
        ("generator", "Apache-2.0", 1),
    }
