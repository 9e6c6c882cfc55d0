"""The split training pass against PEFT's whole one, resumed against straight, and the saved files."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_agent.errors import ConfigError
from lora_agent.registry import read_peft_config
from training.encode import Encoded
from training.fit import precision
from training.fit.batches import IGNORE, epoch, make_batch
from training.fit.forward import loss, target_logits, use_own_passes, use_packed_passes
from training.fit.loop import epochs, train
from training.fit.saving import save_adapter
from training.fit.step import Objective, trained
from training.fit.trainable import add_adapter, load_frozen
from training.recipe import Fit, Recipe

INVOCATION = (1, 50, 51)


def recipe(**fit: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "ticket",
            "description": "d",
            "data": {"train": "t"},
            "input_schema": "i",
            "output_schema": "o",
            "fit": {"rank": 4, "alpha": 8, "batch_rows": 4, **fit},
        }
    )


def rows(n: int, seed: int = 0) -> list[Encoded]:
    """Groups of two that share a long beginning, with parts of different lengths."""
    rng = random.Random(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(60, 400) for _ in range(count))

    made = []
    for group in range(n // 2):
        shared = ids(rng.randrange(24, 40))
        for _ in range(2):
            made.append(
                Encoded(shared + ids(rng.randrange(3, 9)), INVOCATION + ids(4), ids(rng.randrange(2, 6)), str(group))
            )
    return made


@pytest.fixture
def model(base_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    made = add_adapter(load_frozen(str(base_dir)), recipe())
    torch.manual_seed(3)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    use_packed_passes(made)
    return made


def products(model: Any) -> dict[str, torch.Tensor]:
    """What each layer of the adapter adds to its weight, by PEFT's own arithmetic."""
    layers = model.named_modules()
    return {n: m.get_delta_weight("default").detach() for n, m in layers if hasattr(m, "get_delta_weight")}


def test_weights_of_a_higher_rank_are_cut_to_the_nearest(model: Any, base_dir: Path, tmp_path: Path) -> None:
    save_adapter(model, tmp_path, recipe(), list(INVOCATION))
    saved = products(model)
    fit = {"kind": "lora", "rank": 2, "alpha": 3, "rslora": True}  # scaled otherwise: what is added must not change
    cut = add_adapter(load_frozen(str(base_dir)), recipe(**fit), tmp_path / "adapter_model.safetensors")
    for name, found in products(cut).items():
        u, s, vh = torch.linalg.svd(saved[name])
        nearest = (u[:, :2] * s[:2]) @ vh[:2]
        assert torch.allclose(found, nearest, atol=0.01 * float(s[0])), name  # the file is in bfloat16
    with pytest.raises(ConfigError, match="a lower rank"):
        add_adapter(load_frozen(str(base_dir)), recipe(rank=8), tmp_path / "adapter_model.safetensors")


def whole_pass(model: Any, row: Encoded, *, alora: bool) -> torch.Tensor:
    """PEFT's own aLoRA (or LoRA) over the row in one piece."""
    ids = torch.tensor([[*row.context, *row.suffix, *row.target]])
    labels = ids.clone()
    labels[:, : len(row.context) + len(row.suffix)] = IGNORE
    config = model.peft_config["default"]
    config.alora_invocation_tokens = list(INVOCATION) if alora else None
    use_own_passes(model)
    offsets = [ids.shape[1] - len(row.context)] if alora else None
    extra = {"alora_offsets": offsets} if alora else {}
    out = model(input_ids=ids, labels=labels, **extra)
    use_packed_passes(model)
    return torch.as_tensor(out.loss)


def gradients(model: Any) -> torch.Tensor:
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return found


def test_the_plain_pass_equals_peft(model: Any) -> None:
    row = rows(2)[0]
    value, tokens = loss(model, make_batch([row]), adapt_context=True)
    value.backward()
    ours = gradients(model)
    expected = whole_pass(model, row, alora=False)
    expected.backward()
    assert tokens == len(row.target)
    assert torch.allclose(value, expected, atol=1e-5)
    assert torch.allclose(ours, gradients(model), atol=1e-5)


def test_a_batch_with_shared_prefixes_equals_its_rows_alone(model: Any) -> None:
    chosen = rows(6)
    batch = make_batch(chosen)
    assert len(batch.context) == 2
    assert len(batch.context[0].layout.queries) == 3
    assert batch.context[0].ids.numel() + batch.context[1].ids.numel() < sum(len(row.context) for row in chosen)
    together, tokens = loss(model, batch)
    alone = [loss(model, make_batch([row])) for row in chosen]
    mean = sum(v.item() * n for v, n in alone) / tokens
    assert abs(together.item() - mean) < 1e-5


def test_a_decisive_token_counts_as_often_as_its_weight_says(model: Any) -> None:
    row = rows(2)[0]
    logits, targets = target_logits(model, make_batch([row]))
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    repeated = torch.cat([each, each[1:2], each[1:2]])
    value, tokens = loss(model, make_batch([replace(row, decisive=(1,), weight=3.0)]))
    assert tokens == len(row.target)
    assert torch.allclose(value, repeated.mean(), atol=1e-5)


def test_bfloat16_changes_the_loss_by_roundings_only(model: Any) -> None:
    batch = rows(8)
    losses, gradients = [], []
    for each in ("float32", "bfloat16"):
        objective = Objective(model, Fit(precision=each, learning_rate=1e-3))
        objective.prepare()
        value = objective(batch)
        value.backward()
        losses.append(value.item())
        gradients.append(torch.cat([p.grad.flatten() for p in trained(model) if p.grad is not None]))
        assert all(p.dtype == torch.float32 for p in trained(model))
        model.zero_grad()
    assert losses[0] != losses[1]  # else nothing was multiplied in bfloat16
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(2, 2)
    for flags, fast in ((frozenset({"avx2"}), False), (frozenset({"avx2", "amx_bf16"}), True)):
        monkeypatch.setattr(precision, "cpu_flags", lambda flags=flags: flags)
        assert precision.precision(Fit(learning_rate=1e-3), torch.device("cpu")) == ("bfloat16" if fast else "float32")
        with precision.autocast(Fit(learning_rate=1e-3), model):
            assert torch.is_autocast_enabled("cpu") is fast
        with precision.autocast(Fit(precision="float32", learning_rate=1e-3), model):
            assert not torch.is_autocast_enabled("cpu")
        assert precision.precision(Fit(kind="prefix", precision="bfloat16"), torch.device("cpu")) == "float32"


def test_logits_are_float32_whatever_is_multiplied(model: Any) -> None:
    use_packed_passes(model)
    seen = []
    head = model.get_base_model().get_output_embeddings()
    handle = head.register_forward_hook(lambda module, given, found: seen.append((given[0], found)))
    with torch.autocast("cpu", torch.bfloat16):
        target_logits(model, make_batch(rows(4)))
    handle.remove()
    ((hidden, logits),) = seen
    assert logits.dtype == torch.float32
    assert torch.equal(logits, hidden @ head.weight.T)


def test_the_context_is_the_bare_bases(model: Any) -> None:
    """Activated LoRA: the same row with the adapter switched off in the context only."""
    row = rows(2)[0]
    split, _ = loss(model, make_batch([row]))
    adapted, _ = loss(model, make_batch([row]), adapt_context=True)
    assert abs(split.item() - adapted.item()) > 1e-4


def test_every_row_is_seen_once_and_groups_stay_together() -> None:
    made = rows(40)
    batches = list(epoch(made, 4, seed=1))
    seen = [row for batch in batches for row in batch]
    assert sorted(map(hash, seen)) == sorted(map(hash, made))
    assert all(len(batch) <= 4 for batch in batches)
    for batch in batches:
        for row in batch:
            assert sum(r.group == row.group for r in batch) == 2
    assert list(epoch(made, 4, seed=1)) == batches
    assert all(len(batch) <= 4 for batch in epoch([replace(row, group="all") for row in made], 4, seed=1))
    assert list(epoch(made, 4, seed=2)) != batches


def test_resumed_equals_straight(base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    made, settings = rows(24), Fit(rank=4, alpha=8, batch_rows=4)

    def run(folder: Path, stop_after: int | None) -> Any:
        model = add_adapter(load_frozen(str(base_dir)), recipe())
        if stop_after is not None:
            with pytest.raises(KeyboardInterrupt):
                train(model, made, settings, folder, save_every=2, on_step=_stop_at(stop_after))
            model = add_adapter(load_frozen(str(base_dir)), recipe())
        done = train(model, made, settings, folder, save_every=2)
        assert done.tokens == epochs(len(made), settings) * sum(len(row.target) for row in made)
        return [p.detach() for p in model.parameters() if p.requires_grad]

    straight = run(tmp_path / "straight", None)
    resumed = run(tmp_path / "resumed", 3)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def _stop_at(step: int) -> Any:
    def check(progress: Any) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return check


def test_saved_files_are_pefts(model: Any, tmp_path: Path) -> None:
    save_adapter(model, tmp_path / "weights", recipe(), list(INVOCATION))
    config = read_peft_config(tmp_path / "weights")
    assert config.alora_invocation_tokens == list(INVOCATION)
    assert sorted(p.name for p in (tmp_path / "weights").iterdir() if p.suffix != ".md") == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
