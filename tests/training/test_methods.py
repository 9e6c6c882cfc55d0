"""Every adapter method: it learns, what it saves is what PEFT loads, and the recipe says what cannot be combined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError

from lora_agent.registry import read_peft_config
from training.encode import Encoded
from training.fit import adalora
from training.fit.batches import IGNORE
from training.fit.loop import plan, train
from training.fit.optimizer import GaLore, make_optimizer
from training.fit.saving import save_adapter, saved
from training.fit.step import Objective, row_loss
from training.fit.trainable import add_adapter, load_for
from training.methods import METHODS, method
from training.recipe import Fit, Recipe

from .test_fit import INVOCATION, rows

SETTINGS: dict[str, dict[str, Any]] = {
    "aLoRA": {"kind": "alora", "rank": 4},
    "LoRA": {"kind": "lora", "rank": 4},
    "rsLoRA": {"kind": "lora", "rank": 4, "rslora": True},
    "DoRA": {"kind": "lora", "rank": 4, "dora": True},
    "LoRA+": {"kind": "lora", "rank": 4, "lora_plus": 8},
    "AdaLoRA": {"kind": "adalora", "rank": 4, "learning_rate": 2e-2},
    "VeRA": {"kind": "vera", "rank": 16, "learning_rate": 5e-2},
    "IA3": {"kind": "ia3", "learning_rate": 5e-2},
    "prefix tuning": {"kind": "prefix", "virtual_tokens": 4},
    "prompt tuning": {"kind": "prompt", "virtual_tokens": 4},
    "full fine-tuning": {"kind": "full"},
    "full with GaLore": {"kind": "full", "galore": 8, "learning_rate": 1e-2},
}


def recipe(base: str | None = None, **fit: Any) -> Recipe:
    value = {"name": "ticket", "description": "d", "data": {"train": "t"}, "input_schema": "i", "output_schema": "o"}
    # In float32: what four steps of some of these change is less than what bfloat16 rounds away.
    fit = {"batch_rows": 4, "epochs": 2, "precision": "float32", **fit}
    return Recipe.model_validate({**value, "base": base, "fit": fit})


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")  # the tiny base is quantized once


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, one_home: Path, request: pytest.FixtureRequest) -> None:
    if "slow" not in request.keywords:  # the embedded base is made once, in the user's own cache
        monkeypatch.setenv("LORA_AGENT_HOME", str(one_home))


def whole(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of the last token by the model's (or PEFT's) own forward pass."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0, -1].float()


def of_row(model: Any, row: Encoded) -> torch.Tensor:
    """(1,) loss of the target by the model's (or PEFT's) own forward pass."""
    ids = torch.tensor([[*row.context, *row.suffix, *row.target]])
    labels = ids.clone()
    labels[:, : len(row.context) + len(row.suffix)] = IGNORE
    with torch.no_grad():
        return torch.stack([model(input_ids=ids, labels=labels).loss])


def trained_and_loaded(made: Recipe, folder: Path, steps: int, bare: Any = None) -> tuple[list[float], Any, Any, Any]:
    """Losses, and what is read of: the bare base, the model just trained, the files in a base without adapter. Read are
    the logits after some tokens; for aLoRA a row's loss, of the split pass and of PEFT's own activation."""
    examples = rows(12)
    alora = made.fit.kind == "alora"
    ids = [*range(60, 80), *INVOCATION, 70, 71]

    def read(model: Any) -> torch.Tensor:
        return of_row(model, examples[0]) if alora else whole(model, ids)

    bare = bare or load_for(made)
    before = read(bare.model)
    count = len(plan(examples, made.fit)[:steps])
    model = add_adapter(bare, made, steps=count)
    losses: list[float] = []
    fit = made.fit.model_copy(update={"max_steps": steps})
    fixed = examples[:4]
    with torch.no_grad():
        objective = Objective(model, made.fit)
        objective.prepare()
        losses.append(float(row_loss(model, fixed, made.fit)[0]))
    train(model, examples, fit, folder / "run")
    objective.prepare()
    with torch.no_grad():
        losses.append(float(row_loss(model, fixed, made.fit)[0]))
        now = row_loss(model, examples[:1], made.fit)[0][None]
    objective.rest()
    if made.fit.kind == "full":  # a whole model is written in 16 bits: what is read back is exactly that
        for p in model.parameters():
            p.data = p.data.bfloat16().float()
    now = now if alora else read(model)
    save_adapter(model, folder / "weights", made, list(INVOCATION))
    if made.fit.kind == "full":
        from transformers import AutoModelForCausalLM

        loaded: Any = AutoModelForCausalLM.from_pretrained(folder / "weights", dtype=torch.float32)
        return losses, before, now, read(loaded.eval())
    empty = model.unload() if made.fit.method.served != "peft" else bare.model
    assert torch.equal(read(empty), before)
    loaded = PeftModel.from_pretrained(empty, str(folder / "weights")).eval()
    found = read(loaded)
    if made.fit.method.served != "peft":
        loaded.unload()
    return losses, before, now, found


def check(losses: list[float], before: Any, now: Any, loaded: Any) -> None:
    assert losses[1] < losses[0] - 1e-3, losses
    moved, off = float((now - before).abs().max()), float((loaded - now).abs().max())
    assert moved > 1e-3
    assert off < 0.06 * moved, f"PEFT's model differs by {off}, training moved it by {moved}"  # bfloat16 on disk


@pytest.mark.parametrize("name", SETTINGS)
def test_it_learns_and_what_it_saves_peft_loads(name: str, base_dir: Path, tmp_path: Path) -> None:
    check(*trained_and_loaded(recipe(str(base_dir), **SETTINGS[name]), tmp_path, 12))


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load_for(recipe(None, kind="lora"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_on_the_embedded_base(name: str, embedded: Any, tmp_path: Path) -> None:
    kind = SETTINGS[name]
    made = recipe(None, **{k: v for k, v in kind.items() if k != "learning_rate"})
    if kind["kind"] == "full":
        check(*trained_and_loaded(made, tmp_path, 4))
    else:
        check(*trained_and_loaded(made, tmp_path, 4, embedded))


def test_ranks_that_adalora_took_away_are_not_saved(base_dir: Path, tmp_path: Path) -> None:
    made = recipe(str(base_dir), kind="adalora", rank=4, learning_rate=2e-2, epochs=8)
    examples = rows(12)
    model = add_adapter(load_for(made), made, steps=len(plan(examples, made.fit)))
    train(model, examples, made.fit, tmp_path / "run")
    save_adapter(model, tmp_path / "weights", made, [])
    config = read_peft_config(tmp_path / "weights")
    config.refuse_unserved(tmp_path)
    assert config.rank_pattern, "all layers have the same rank: nothing was allocated"
    total = sum(config.rank(name) for name in config.target_modules or ())
    assert 4 * 21 <= total <= 4 * 21 + 21  # 3 layers of 7; a layer keeps one rank even if it got none


def test_adalora_resumes_as_it_went(base_dir: Path, tmp_path: Path) -> None:
    made, examples = recipe(str(base_dir), kind="adalora", rank=2, epochs=4), rows(12)
    steps = len(plan(examples, made.fit))

    def run(folder: Path, stop: int | None) -> list[Any]:
        for until in (stop, None):
            model = add_adapter(load_for(made), made, steps=steps)

            def check_step(progress: Any, until: int | None = until) -> None:
                if progress.step == until:
                    raise KeyboardInterrupt

            try:
                train(model, examples, made.fit, folder, save_every=3, on_step=check_step)
            except KeyboardInterrupt:
                continue
            return [p.detach() for p in model.parameters() if p.requires_grad]
        raise AssertionError

    straight, resumed = run(tmp_path / "a", None), run(tmp_path / "b", 7)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_the_penalty_is_pefts(base_dir: Path) -> None:
    made = recipe(str(base_dir), kind="adalora", rank=2)
    model = add_adapter(load_for(made), made, steps=20)
    ids = torch.tensor([[60, 61, 62, 63]])
    with torch.no_grad():
        with_penalty = model(input_ids=ids, labels=ids).loss
        plain = model.get_base_model()(input_ids=ids, labels=ids).loss
        assert torch.allclose(with_penalty - plain, adalora.penalty(model), atol=1e-5)


def test_lora_plus_has_two_rates(base_dir: Path) -> None:
    made = recipe(str(base_dir), kind="lora", rank=2, lora_plus=16)
    optimizer = make_optimizer(add_adapter(load_for(made), made), made.fit)
    assert sorted(group["ratio"] for group in optimizer.param_groups) == [1.0, 16.0]


def test_galore_keeps_its_state_in_the_rank_and_equals_adamw_at_full_rank() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 4)
    target = torch.randn(6, 4)

    def run(make: Any) -> torch.Tensor:
        p = torch.nn.Parameter(weight.clone())
        optimizer = make([p])
        for _ in range(5):
            ((p - target) ** 2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        return p.detach()

    same = run(lambda p: GaLore(p, lr=0.01, rank=4))
    plain = run(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0))
    assert torch.allclose(same, plain, atol=1e-6)
    p = torch.nn.Parameter(weight.clone())
    optimizer = GaLore([p], lr=0.01, rank=2)
    p.sum().backward()
    optimizer.step()
    assert optimizer.state[p]["m"].shape == (6, 2)
    assert torch.linalg.matrix_rank(p.detach() - weight, tol=1e-4) == 1  # the gradient of a sum is one number


WRONG = {
    "aLoRA and DoRA": ({"kind": "alora", "dora": True}, "cannot be activated"),
    "rsLoRA of IA3": ({"kind": "ia3", "rslora": True}, "no A and B"),
    "LoRA+ of full": ({"kind": "full", "lora_plus": 4}, "lora_plus"),
    "GaLore of LoRA": ({"kind": "lora", "galore": 8}, "kind: full"),
    "rank of IA3": ({"kind": "ia3", "rank": 8}, "no rank"),
    "alpha of VeRA": ({"kind": "vera", "alpha": 8}, "alpha"),
    "virtual tokens of LoRA": ({"kind": "lora", "virtual_tokens": 8}, "prefix and prompt"),
    "start of VeRA": ({"kind": "vera", "start": "x"}, "begins anew"),
    "patience alone": ({"patience": 2}, "evaluate_every"),
    "unknown": ({"kind": "lokr"}, "alora"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_combined_is_refused_with_the_reason(name: str) -> None:
    fit, said = WRONG[name]
    with pytest.raises(ValidationError, match=said):
        Fit.model_validate(fit)


def test_every_kind_says_how_it_can_be_served() -> None:
    assert {kind: m.served for kind, m in METHODS.items()} == {
        "alora": "hot-swapped",
        "lora": "hot-swapped",
        "adalora": "hot-swapped",
        "vera": "hot-swapped",
        "ia3": "merged",
        "prefix": "peft",
        "prompt": "peft",
        "full": "merged",
    }
    assert method("lora", dora=True).served == "merged"
    assert Fit.model_validate({}).learning_rate == METHODS["alora"].learning_rate
    assert Fit.model_validate({"kind": "full"}).learning_rate == 1e-4


def test_the_saved_file_is_found(base_dir: Path, tmp_path: Path) -> None:
    made = recipe(str(base_dir), kind="full")
    save_adapter(add_adapter(load_for(made), made), tmp_path, made, [])
    assert saved(tmp_path).name == "model.safetensors"
