"""Adapters made of adapters: exact where they claim to be, gated like any other, refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel

from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import read_package
from tests.training.test_learning import project, target, train

QUICK = {"compare_16bit": False}
ASKED = {"messages": [{"role": "user", "content": "city safe tool weather 7"}]}


@pytest.fixture(scope="module")
def parts(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good adapter, a poor one, and one that is activated."""
    folder = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_AGENT_HOME", str(folder / "home"))
        patch.delenv("LORA_AGENT_DATA", raising=False)
        for name, kind, epochs in (("one", "lora", 8), ("two", "lora", 1), ("active", "alora", 1)):
            fit = {"rank": 4, "alpha": 8, "learning_rate": 0.01, "epochs": epochs, "kind": kind}
            made = project(folder / name, str(base_dir), target, rows=160, fit=fit, gate=QUICK)
            assert train(made) in ((0,) if epochs > 1 else (0, 4))
    return folder


def compose(parts: Path, base_dir: Path, tmp_path: Path, method: str, kind: str = "lora", **more: Any) -> Path:
    names = {"lora": ("one", "one"), "alora": ("active", "active")}[kind]  # of itself an adapter is itself
    adapters = [str(parts / name / "run/ticket") for name in names]
    given = {"compose": {"method": method, "adapters": adapters} | more, "fit": {"kind": kind}, "gate": QUICK}
    return project(tmp_path / "p", str(base_dir), target, rows=160, **given)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_DATA", raising=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method"), [("lora", "cat"), ("lora", "ties"), ("alora", "svd")])
def test_a_combination_is_gated_and_served_like_any_adapter(
    parts: Path, base_dir: Path, tmp_path: Path, kind: str, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compose(parts, base_dir, tmp_path, method, kind)
    code = train(folder, "--json")
    out, err = capsys.readouterr()
    stages = json.loads(out)["stages"]
    assert code == (0 if stages["gate"]["passed"] else 4)
    assert method != "cat" or stages["gate"]["passed"]
    assert "probe" not in stages
    assert stages["fit"]["rank"] == (8 if method == "cat" else 4)
    assert f"one adapter of rank {stages['fit']['rank']}" in err
    package = read_package(folder / "run/ticket")
    assert package.spec.kind == kind
    sources = yaml.safe_load((folder / "run/ticket/sources.yaml").read_text())
    assert [s["files"]["package"] for s in sources] == [part["digest"] for part in stages["fit"]["of"]]
    answers = []
    for path in (folder / "run/ticket", parts / {"lora": "one", "alora": "active"}[kind] / "run/ticket"):
        engine = LocalEngine.load(base_dir, adapters=[path], dtype=torch.float32, allow_ungated=True)
        engine.verify("ticket")
        answers.append(engine.call("ticket", ASKED))
    if method != "ties":  # which drops half of the entries
        assert answers[0].output == answers[1].output
        assert answers[0].logprobs == pytest.approx(answers[1].logprobs, abs=0.05)  # bfloat16
    assert train(folder) == code
    assert "fit: up to date" in capsys.readouterr().err


@pytest.mark.slow
def test_cat_is_the_weighted_sum(parts: Path, base_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    adapters = [str(parts / name / "run/ticket") for name in ("one", "two")]
    folder = compose(parts, base_dir, tmp_path, "cat", weights=[0.75, 0.25], adapters=adapters)
    assert train(folder, "--until", "fit") == 0

    def delta(path: Path, scale: float) -> dict[str, torch.Tensor]:
        state = {n: t.float() for n, t in load_file(path / "adapter_model.safetensors").items()}
        stems = [n.removesuffix(".lora_A.weight") for n in state if n.endswith("lora_A.weight")]
        return {s: scale * state[f"{s}.lora_B.weight"] @ state[f"{s}.lora_A.weight"] for s in stems}

    one, two = (delta(parts / name / "run/ticket", 2.0) for name in ("one", "two"))
    both = delta(folder / "run/weights", 1.0)
    for name, found in both.items():
        wanted = 0.75 * one[name] + 0.25 * two[name]
        assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()  # bfloat16


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.slow
def test_linear_is_what_peft_makes_of_the_parts(parts: Path, base_dir: Path, tmp_path: Path) -> None:
    adapters = [parts / name / "run/ticket" for name in ("one", "two")]
    given = {"weights": [0.75, 0.25], "adapters": list(map(str, adapters))}
    folder = compose(parts, base_dir, tmp_path, "linear", **given)
    assert train(folder, "--until", "fit") == 0
    made = tensors(folder / "run/weights")

    model = PeftModel.from_pretrained(load_plain(base_dir), str(adapters[0]), adapter_name="one")
    model.load_adapter(str(adapters[1]), "two")
    model.add_weighted_adapter(["one", "two"], [0.75, 0.25], "both", combination_type="linear")
    peft = {n.replace(".both.", "."): t.to(torch.bfloat16) for n, t in model.state_dict().items() if ".both." in n}
    assert made.keys() == peft.keys()
    assert all(torch.equal(made[name], peft[name]) for name in made)

    one, two = (tensors(adapter) for adapter in adapters)  # both of alpha 8 and rank 4: twice B @ A
    for name, found in made.items():
        wanted = (2 * 0.75) ** 0.5 * one[name].float() + (2 * 0.25) ** 0.5 * two[name].float()
        assert (found.float() - wanted).abs().max() <= 0.005 * wanted.abs().max()  # bfloat16


def load_plain(base_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_drops_by_its_seed_and_its_package_loads(
    parts: Path, base_dir: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compose(parts, base_dir, tmp_path, method, density=0.6)
    code = train(folder, "--json")
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert code == (0 if stages["gate"]["passed"] else 4)
    package = read_package(folder / "run/ticket")
    engine = LocalEngine.load(base_dir, adapters=[package.folder], dtype=torch.float32, allow_ungated=True)
    engine.verify("ticket")

    assert train(folder, "--until", "fit", out="again") == 0
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["fit"]["seed"] = 1
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert train(folder, "--until", "fit", out="other") == 0
    first, again, other = (tensors(folder / out / "weights") for out in ("run", "again", "other"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    if method == "dare_linear":  # of an adapter with itself: what both copies dropped is gone, some 0.4 * 0.4
        gone = [float((first[name] == 0).float().mean()) for name in first]
        assert 0.08 < sum(gone) / len(gone) < 0.24


@pytest.mark.slow
def test_merged_into_the_16_bit_base_it_is_a_model_of_its_own(
    parts: Path, base_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compose(parts, base_dir, tmp_path, "merge", adapters=[str(parts / "one/run/ticket")])
    code = train(folder, "--json")
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "a model of its own" in err
    assert json.loads(out)["stages"]["package"]["served"] == "merged"
    from transformers import AutoModelForCausalLM

    merged = AutoModelForCausalLM.from_pretrained(folder / "run/ticket/merged", dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    ids = torch.tensor([[60, 61, 62, 63]])
    with torch.no_grad():
        apart = PeftModel.from_pretrained(base, str(parts / "one/run/ticket"))(input_ids=ids).logits
        assert torch.allclose(merged(input_ids=ids).logits, apart, atol=0.02)  # bfloat16
        assert not torch.allclose(merged(input_ids=ids).logits, base_logits(base_dir, ids), atol=0.05)


def base_logits(base_dir: Path, ids: torch.Tensor) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    return torch.as_tensor(AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)(input_ids=ids).logits)


@pytest.mark.slow
def test_arrow_routes_between_its_parts_and_says_that_only_peft_runs_it(
    parts: Path, base_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lora_agent.errors import UnsupportedAdapterError
    from training.compose.arrow import load_arrow
    from training.fit.trainable import load_frozen

    adapters = [str(parts / name / "run/ticket") for name in ("one", "two")]
    folder = compose(parts, base_dir, tmp_path, "arrow", adapters=adapters)
    code = train(folder, "--json")
    out, err = capsys.readouterr()
    assert code in (0, 4), err
    assert "only for PEFT" in err
    assert json.loads(out)["stages"]["validate"]["report"]["adapter"]["n"] == 16
    with pytest.raises(UnsupportedAdapterError):
        read_package(folder / "run/ticket")
    ids = torch.tensor([[60, 61, 62, 63]])
    with torch.no_grad():
        routed = load_arrow(load_frozen(str(base_dir)), folder / "run/ticket")(input_ids=ids).logits
        alone = PeftModel.from_pretrained(load_frozen(str(base_dir)).model, str(parts / "one/run/ticket"))
        assert not torch.allclose(routed, base_logits(base_dir, ids), atol=1e-3)
        assert not torch.allclose(routed, alone(input_ids=ids).logits, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"compose": {"method": "merge"}, "fit": {"kind": "alora"}}, "must not touch"),
        ({"compose": {"method": "cat"}}, "absent"),
        ({"compose": {"method": "cat", "density": 0.2}}, "means nothing"),
        ({"compose": {"method": "cat", "weights": [1.0]}}, "1 weights for 2"),
        ({"compose": {"method": "cat"}, "learning": {"method": "sft"}}, "trains nothing"),
        ({"compose": {"method": "ctas"}}, "compose.method"),
        ({"compose": {"method": "arrow"}, "fit": {"kind": "alora"}}, "no invocation"),
        ({"compose": {"method": "arrow", "top_k": 5}}, "top_k"),
        ({"compose": {"metod": "cat"}}, "Did you mean `method`?"),
    ],
)
def test_what_cannot_be_composed_is_said_before_anything_is_loaded(
    base_dir: Path, tmp_path: Path, given: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    adapters = ["../absent/one", "../absent/two"]
    given = {"fit": {"kind": "lora"}, **given, "compose": {"adapters": adapters, **given["compose"]}}
    folder = project(tmp_path / "p", str(base_dir), target, **given)
    assert train(folder, "--until", "plan") == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_adapters_of_different_kinds_do_not_go_together(
    parts: Path, base_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapters = [str(parts / name / "run/ticket") for name in ("one", "active")]
    folder = compose(parts, base_dir, tmp_path, "cat", adapters=adapters)
    assert train(folder, "--until", "plan") == 2
    assert "is of kind 'alora'" in capsys.readouterr().err
