"""`lora-agent train` on a tiny base: to a package that loads, through kills, on broken data, to an honest refusal."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lora_agent.cli.main import main
from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import GateError, UnsupportedAdapterError
from lora_agent.registry import PromptSpec, Registry, plain_lora, read_package, read_peft_config
from lora_agent.render import suffix
from lora_agent.types import Message

INPUT = {"type": "object", "properties": {"messages": {"type": "array"}}, "required": ["messages"]}
OUTPUT = {
    "type": "object",
    "properties": {"priority": {"enum": ["high", "low"]}},
    "required": ["priority"],
    "additionalProperties": False,
}
WORDS = "weather warranty ticket product document tool city name answer".split()


def conversation(rng: random.Random) -> dict[str, Any]:
    urgent = rng.random() < 0.5
    words = [*rng.sample(WORDS, 3), "safe" if urgent else "joke"]
    rng.shuffle(words)
    answer = json.dumps({"priority": "high" if urgent else "low"})
    asked = f"{' '.join(words)} {rng.randrange(10**6)}"
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}


@pytest.fixture
def project(tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with its files, for the tiny base."""
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)
    rng = random.Random(1)
    lines = [json.dumps(conversation(rng)) for _ in range(260)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    (tmp_path / "input.schema.json").write_text(json.dumps(INPUT))
    (tmp_path / "output.schema.json").write_text(json.dumps(OUTPUT))
    write_recipe(tmp_path, base_dir)
    return tmp_path


def write_recipe(folder: Path, base_dir: Path, **more: Any) -> None:
    recipe = {
        "name": "ticket",
        "description": "Tells the priority of a support message.",
        "base": str(base_dir),
        "data": {"train": "train.jsonl"},
        "input_schema": "input.schema.json",
        "output_schema": "output.schema.json",
        "fit": {"learning_rate": 0.01, "epochs": 4},
        **more,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def train(folder: Path, *more: str, out: str = "run") -> int:
    with pytest.raises(SystemExit) as stop:
        main(["train", str(folder / "recipe.yaml"), "--out", str(folder / out), *more])
    return int(stop.value.code or 0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights/adapter_model.safetensors")


def test_one_command_ends_with_a_package_that_loads_and_works(
    project: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(project, "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["passed"] is True
    assert report["stages"]["data"]["train"]["rows"] == 234
    assert report["stages"]["data"]["dev"]["rows"] == 26
    assert "rows/s" in err
    assert "min left" in err
    package = project / "run/ticket"
    assert report["package"] == str(package)
    engine = LocalEngine.load(base_dir, adapters=[project / "run"], dtype=torch.float32)
    engine.verify("ticket")
    result = engine.call("ticket", {"messages": [{"role": "user", "content": "city safe tool weather 7"}]})
    assert result.output == {"priority": "high"}
    card = (package / "README.md").read_text()
    assert "train.jsonl" in card
    assert "prompted base" in card

    assert train(project) == 0  # nothing to do
    said = capsys.readouterr().err
    assert all(
        f"{name}: up to date" in said for name in ("plan", "data", "probe", "fit", "validate", "gate", "package")
    )
    assert " ..." not in said
    assert train(project, "--from", "gate") == 0
    assert "fit" not in capsys.readouterr().err

    (project / "more.jsonl").write_text((project / "train.jsonl").read_text() + "\n{broken")
    where = ["--data", str(project / "more.jsonl"), "--base", str(base_dir), "--adapter-path", str(project / "run")]
    with pytest.raises(SystemExit) as stop:
        main(["eval", "ticket", *where, "--rows", "40", "--prompted", "--json"])
    assert not stop.value.code
    out, err = capsys.readouterr()
    scored = json.loads(out)
    assert (scored["n"], scored["metric"], scored["skipped_lines"], scored["valid"]) == (40, "exact", 1, 1.0)
    assert scored["correct"] > scored["prompted_base"]["correct"]
    assert "more.jsonl:261: not JSON" in err


@pytest.mark.slow
def test_killed_three_times_the_result_is_the_same(project: Path) -> None:
    assert train(project, "--until", "fit", out="straight") == 0
    command = [sys.executable, "-m", "lora_agent.cli.main", "train", str(project / "recipe.yaml"), "--until", "fit"]
    environment = {**os.environ, "LORA_AGENT_SAVE_EVERY": "5"}
    seen = 0
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "--out", str(project / "killed")], stderr=subprocess.DEVNULL, env=environment
        )
        metrics = project / "killed/metrics.jsonl"
        limit = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < limit:
            steps = len(metrics.read_text().splitlines()) if metrics.exists() else 0
            if steps >= seen + 12:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.02)
        process.wait()
        seen = len(metrics.read_text().splitlines())
        assert process.returncode == -signal.SIGKILL
    assert train(project, "--until", "fit", out="killed") == 0
    straight, killed = weights(project / "straight"), weights(project / "killed")
    assert all(torch.equal(straight[name], killed[name]) for name in straight)
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))


def test_broken_lines_are_dropped_with_their_reasons(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "train.jsonl"
    good = path.read_text().splitlines()
    other = json.loads(good[0])
    other["messages"][-1]["content"] = json.dumps(
        {"priority": "low" if "high" in other["messages"][-1]["content"] else "high"}
    )
    bad = [
        "{broken",
        "[1]",
        '{"text": "no known shape"}',
        '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "high"}]}',
        json.dumps({"prompt": "x", "completion": '{"priority": "mid"}'}),
        good[0],
        json.dumps(other),
    ]
    path.write_text("\n".join([*good, *bad]))
    assert train(project, "--until", "data", "--json") == 0
    report = json.loads(capsys.readouterr().out)["stages"]["data"]
    assert report["train"]["rows"] + report["dev"]["rows"] == len(good)
    assert sum(report["dropped"].values()) == len(bad)
    lines = [json.loads(line) for line in (project / "run/rows/dropped.jsonl").read_text().splitlines()]
    assert [entry["line"] for entry in lines] == list(range(len(good) + 1, len(good) + len(bad) + 1))
    assert "not JSON" in lines[0]["reason"]
    assert "keys text" in lines[2]["reason"]
    assert "the answer is not JSON" in lines[3]["reason"]
    assert "/priority" in lines[4]["reason"]
    assert lines[5]["reason"] == "repeated"
    assert "another output" in lines[6]["reason"]


SHAPES = {
    "prompt and completion": {"prompt": "safe city", "completion": '{"priority":"high"}'},
    "ShareGPT": {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": '{"priority":"high"}'}]},
    "Alpaca": {"instruction": "Sort it", "input": "safe city", "output": '{"priority":"high"}'},
    "row": {"input": {"messages": [{"role": "user", "content": "x"}]}, "output": {"priority": "high"}},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_usual_shapes_of_data_are_read(project: Path, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    with (project / "train.jsonl").open("a") as file:
        file.write("\n" + json.dumps(SHAPES[shape]))
    assert train(project, "--until", "data", "--json") == 0
    report = json.loads(capsys.readouterr().out)["stages"]["data"]
    assert report["dropped"] == {}
    assert report["train"]["rows"] + report["dev"]["rows"] == 261


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nmae": 1}, "nmae"),
        ({"fit": {"learning_rat": 1}}, "learning_rate"),
        ({"data": {"train": "absent.jsonl"}}, "absent.jsonl"),
        ({"output_schema": "absent.json"}, "absent.json"),
        ({"base": "no/such-base"}, "no/such-base"),
    ],
)
def test_a_wrong_recipe_is_exit_code_2_and_names_the_place(
    project: Path, base_dir: Path, change: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(project, base_dir, **change)
    assert train(project) == 2
    assert said in capsys.readouterr().err
    assert not (project / "run/weights").exists()


def test_too_few_rows_and_too_little_memory(
    project: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lora_agent.training.stages.probe.available_memory", lambda: 1000)
    assert train(project) == 3
    assert "Not even one row fits" in capsys.readouterr().err
    (project / "train.jsonl").write_text((project / "train.jsonl").read_text()[:600])
    assert train(project) == 2
    assert "dropped.jsonl" in capsys.readouterr().err


def test_what_does_not_beat_the_base_is_refused(
    project: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (project / "train.jsonl").read_text().splitlines()]
    rng = random.Random(2)
    for line in lines:  # nothing to learn
        line["messages"][-1]["content"] = json.dumps({"priority": rng.choice(["high", "low"])})
    (project / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_recipe(project, base_dir, fit={"learning_rate": 0.01, "epochs": 1})
    assert train(project) == 4
    assert "gate:" in capsys.readouterr().err
    engine = LocalEngine.load(base_dir, adapters=[project / "run/ticket"], dtype=torch.float32)
    with pytest.raises(GateError):
        engine.call("ticket", {"messages": [{"role": "user", "content": "x"}]})


def test_preview_shows_what_is_trained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(project, "--preview", "1") == 0
    shown = capsys.readouterr().out
    assert '«{"priority":' in shown
    assert shown.index("context") < shown.index("suffix") < shown.index("target")
    assert "<|im_end|>»" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "served"),
    [
        ({"kind": "lora", "dora": True}, "merged"),
        ({"kind": "full", "learning_rate": 0.003}, "merged"),
        ({"kind": "prompt", "learning_rate": 0.05}, "peft"),
        ({"kind": "vera", "rank": 32, "learning_rate": 0.1}, "hot-swapped"),
    ],
)
def test_every_way_of_serving_ends_with_what_the_plan_promised(
    project: Path, base_dir: Path, fit: dict[str, Any], served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = {"max_new_tokens": 24}
    write_recipe(project, base_dir, fit={"epochs": 3, **fit}, gate={"base_rows": 8, "rows": 24}, prompt=prompt)
    code = train(project, "--json")
    out, err = capsys.readouterr()
    stages = json.loads(out)["stages"]
    assert code in (0, 4), err  # a tiny random model need not learn the task by virtual tokens
    assert stages["plan"]["method"]["served"] == stages["package"]["served"] == served
    assert ("only" in err) == (served != "hot-swapped")
    assert stages["validate"]["report"]["adapter"]["n"] == 24
    package = project / "run/ticket"
    assert "## Use" in (package / "README.md").read_text()
    if served == "hot-swapped":
        read_package(package)
        return
    with pytest.raises(UnsupportedAdapterError, match="merged" if served == "merged" else "PEFT"):
        read_package(package)
    with pytest.raises(SystemExit) as stop:
        main(["adapters", "add", str(package)])
    assert stop.value.code == 2
    assert (package / "merged").is_dir() == (served == "merged")
    if served == "merged":
        base = load_base(package / "merged", quantization="none", dtype=torch.float32)
        spec = PromptSpec.model_validate_json((package / "prompt.json").read_text())
        message = "city safe tool weather 7"
        ids = base.renderer.context([Message(role="user", content=message)], [])
        ids += suffix(base.renderer, spec, [Message(role="user", content=message)], {})
        with torch.inference_mode():
            made = base.model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, len(ids) :]
        assert base.tokenizer.decode(made).startswith('{"priority":')


def test_a_plain_variant_is_built_gated_and_packed(project: Path, base_dir: Path, tmp_path: Path) -> None:
    write_recipe(project, base_dir, variants=["alora", "lora"], variant={"rank": 8, "max_steps": 30})
    assert train(project) == 0
    package = read_package(project / "run" / "ticket")
    variant = plain_lora(package)
    assert (package.spec.kind, variant.spec.kind) == ("alora", "lora")
    assert variant.digest != package.digest
    assert variant.manifest.gate.passed
    assert "In `variants/lora/`, rank 8" in (package.folder / "README.md").read_text()
    own, other = (load_file(p.weights_folder / "adapter_model.safetensors") for p in (package, variant))
    assert own.keys() == other.keys()
    assert {read_peft_config(p.weights_folder).r for p in (package, variant)} == {16, 8}
    engine = LocalEngine(load_base(base_dir), Registry.discover([package.folder], search=False))
    engine.resident(package)
    engine.resident(variant)  # its own fingerprint holds for its own weights
    started = time.monotonic()
    assert train(project) == 0  # nothing to do
    assert time.monotonic() - started < 20

    kept = {"rank": 8, "max_steps": 0, "start": "run/ticket/variants/lora"}
    write_recipe(
        project,
        base_dir,
        version="0.2.0",
        fit={"start": "run/ticket", "max_steps": 0},
        variants=["alora", "lora"],
        variant=kept,
    )
    assert train(project, out="again") == 0
    again = plain_lora(read_package(project / "again" / "ticket"))
    assert torch.equal(
        *(load_file(p.weights_folder / "adapter_model.safetensors")[next(iter(other))] for p in (again, variant))
    )
    assert again.manifest.gate.passed


def test_a_plain_lora_needs_no_variant(project: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(project, base_dir, variants=["alora", "lora"], fit={"kind": "lora"})
    assert train(project) == 2
    assert "a plain LoRA needs no variant" in capsys.readouterr().err


VARIANTS = {
    "above the adapter's rank": ({"variants": ["alora", "lora"], "variant": {"rank": 17}}, "variant.rank"),
    "not asked for": ({"variant": {"rank": 3}}, "[alora, lora]"),
    "no steps from nothing": ({"fit": {"max_steps": 0}}, "fit.start"),
    "no variant's steps from nothing": (
        {"variants": ["alora", "lora"], "variant": {"max_steps": 0}},
        "variant.start",
    ),
    "a quarter of no steps": (
        {"variants": ["alora", "lora"], "fit": {"max_steps": 0, "start": "x"}},
        "variant.max_steps",
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_that_cannot_be(name: str, project: Path, base_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, said = VARIANTS[name]
    write_recipe(project, base_dir, **keys)
    assert train(project) == 2
    assert said in capsys.readouterr().err
