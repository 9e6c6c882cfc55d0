"""What a second look listens with: trained as it is served, and resumed as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from lora_agent.engine.local.base import load_base
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.errors import PackageFormatError
from lora_agent.registry import LooseLora, LoraTensors, Registry, write_loose
from training.data.router.intents import Intent
from training.fit.trainable import load_frozen
from training.router import listener

TOLD = ["Weather of a city.", "Jokes.\nFor example:\n- Tell me a joke, please."]
SAID = ["What is the weather in Oslo?", "Tell me a joke, please.", "a ticket about a broken product " * 20]
INTENTS = [
    Intent("t", name, description, tuple(f"{word} {n} {word} please" for n in range(6)))
    for name, description, word in (
        ("weather", "Weather of a city.", "weather"),
        ("joke", "Jokes.", "joke"),
        ("mail", "Reads mail.", "mail"),
        ("ticket", "Files a ticket.", "ticket"),
        ("music", "", "song"),
    )
]
NEAR = [[j for j in range(5) if j != i] for i in range(5)]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "multiplies_bfloat16", lambda device: False)
    for name, value in {"STEPS": 12, "WARMUP": 2, "SAVE_EVERY": 5, "RANK": 4, "RATE": 2e-2}.items():
        monkeypatch.setattr(listener, name, value)


def test_the_gradient_is_that_of_cross_entropy() -> None:
    torch.manual_seed(0)
    output, targets = torch.randn(50, 8), torch.randint(0, 50, (300,))
    found = []
    for ours in (True, False):
        hidden = torch.randn(300, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if ours:
            values = listener.TokenLogProbs.apply(hidden, output, targets)
        else:
            values = -functional.cross_entropy(hidden @ output.T, targets, reduction="none")
        (values * torch.arange(300)).sum().backward()
        found.append((values.detach(), hidden.grad))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kernels", ["auto", "unpacked"])
def test_it_is_served_as_it_was_trained(base_dir: Path, tmp_path: Path, kernels: str) -> None:
    from peft import LoraConfig, get_peft_model

    base = load_frozen(str(base_dir))
    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(base.model, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = (6 * parameter.data).bfloat16().float()  # as it is written
    listener.use_packed_passes(model)
    with torch.no_grad():
        trained, lengths = listener.log_likelihoods(base, model, TOLD, SAID)
    assert lengths.max() == listener.MOST_TOKENS
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    loose = write_loose(tmp_path / "x.safetensors", listener.tensors_of(weights))
    served = load_base(base_dir, kernels=kernels, device="cpu", dtype=torch.float32)
    engine = LocalEngine(served, Registry.discover([], search=False))
    for said, expected in zip(SAID, trained, strict=True):
        for _ in range(2):
            assert engine.log_likelihoods(TOLD, said, loose) == pytest.approx(expected.tolist(), rel=0, abs=1e-2)
        assert engine.log_likelihoods(TOLD, said) != pytest.approx(expected.tolist(), rel=0, abs=1e-1)
    assert not engine.bank.pinned(loose.digest)


def test_it_learns_and_resumed_is_straight(
    base_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(listener, "RATE", 2e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several add gradients in any order
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    straight = listener.fit(load_frozen(str(base_dir)), INTENTS, NEAR, tmp_path / "a.pt")
    assert "listener: 10/12, loss" in capsys.readouterr().err
    calls = 0
    real = listener._draw

    def failing(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(listener, "_draw", failing)
        with pytest.raises(KeyboardInterrupt):
            listener.fit(load_frozen(str(base_dir)), INTENTS, NEAR, tmp_path / "b.pt")
    resumed = listener.fit(load_frozen(str(base_dir)), INTENTS, NEAR, tmp_path / "b.pt")
    for module, update in straight.items():
        assert torch.allclose(update.a, resumed[module].a, atol=3e-4), module
        assert torch.allclose(update.b, resumed[module].b, atol=3e-4), module
    assert any(update.b.abs().max() > 5e-3 for update in straight.values())
    assert not list(tmp_path.glob("*.tmp"))


def test_neighbours_leave_out_what_is_the_same() -> None:
    places = functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.7, 0.7], [0.0, 1.0]]), dim=-1)
    found = listener.neighbours(places)
    assert found[0][:2] == [2, 3]
    assert found[3][0] == 2


def test_a_file_that_holds_no_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "listener.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(PackageFormatError, match="no LoRA weights"):
        LooseLora(path).tensors()
    with pytest.raises(ValueError, match="one scaling"):
        write_loose(path, {n: LoraTensors(torch.ones(1, 2), torch.ones(2, 1), s) for n, s in (("a", 1.0), ("b", 2.0))})
