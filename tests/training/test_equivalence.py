"""The split training pass is the plain one: the loss and the gradients of PEFT's aLoRA over whole padded rows, which is
what TRL's trainers compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_fit import INVOCATION, gradients, recipe, rows
from training.encode import Encoded
from training.fit.batches import IGNORE, make_batch
from training.fit.forward import loss, use_packed_passes
from training.fit.trainable import add_adapter, load_frozen
from training.learning.activate import activate


@pytest.fixture
def models(base_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, Any]:
    """Twice the same adapter: activated by segments, and by PEFT's search for the invocation."""
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    made = []
    for _ in range(2):
        model = add_adapter(load_frozen(str(base_dir)), recipe(kind="alora"))
        torch.manual_seed(3)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        made.append(model)
    ours, plain = made
    use_packed_passes(ours)
    activate(plain, INVOCATION)
    plain.get_base_model().set_attn_implementation("sdpa")
    return ours, plain


def whole(model: Any, chosen: list[Encoded]) -> torch.Tensor:
    """PEFT's aLoRA over the padded rows; the mean over all target tokens."""
    width = max(map(len, chosen))
    ids = torch.zeros(len(chosen), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE)
    for i, row in enumerate(chosen):
        tokens = torch.tensor([*row.context, *row.suffix, *row.target])
        ids[i, : len(row)], mask[i, : len(row)] = tokens, 1
        labels[i, len(row) - len(row.target) : len(row)] = torch.tensor(row.target)
    return torch.as_tensor(model(input_ids=ids, attention_mask=mask, labels=labels).loss)


@pytest.mark.parametrize("count", [2, 6])
def test_loss_and_gradients_of_an_activated_adapter_are_pefts(models: tuple[Any, Any], count: int) -> None:
    ours, plain = models
    chosen = rows(count)
    value, _ = loss(ours, make_batch(chosen))
    expected = whole(plain, chosen)
    assert torch.allclose(value, expected, atol=1e-5)
    value.backward()
    expected.backward()
    found, wanted = gradients(ours), gradients(plain)
    assert wanted.abs().max() > 1e-3
    assert torch.allclose(found, wanted, atol=1e-5)


def test_the_comparison_can_fail(models: tuple[Any, Any]) -> None:
    """Without its invocation PEFT's adapter is off, and the two differ."""
    ours, plain = models
    chosen = [Encoded(r.context, (70, *r.suffix[1:]), r.target, r.group) for r in rows(2)]
    value, _ = loss(ours, make_batch(chosen))
    assert abs(value.item() - whole(plain, chosen).item()) > 1e-3
