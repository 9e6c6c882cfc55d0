"""Real packages on real PEFT adapters of a tiny random Llama (hidden 32, 2 layers)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lora_agent.registry import (
    AdapterPackage,
    AdapterSpec,
    BaseIdentity,
    BaseRecord,
    DataRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    PromptSpec,
    sha256_text,
    write_package,
)

INPUT_SCHEMA = {"type": "object", "properties": {"messages": {"type": "array"}, "target": {"type": "string"}}}
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["safe", "unsafe"]}},
    "required": ["verdict"],
}
INVOCATION = [5, 6, 7]

BASE = BaseIdentity(
    id="tiny/llama",
    source_sha256=sha256_text("weights"),
    quantization="nf4",
    tokenizer_sha256=sha256_text("tokenizer"),
    chat_template_sha256=sha256_text("template"),
)


@dataclass(frozen=True)
class Trained:
    """What PEFT saved, and what it says that the adapter does."""

    folder: Path
    deltas: dict[str, Any]
    """PEFT's own weight update by module path."""


@pytest.fixture(scope="session")
def linear_shapes() -> dict[str, tuple[int, ...]]:
    import torch

    return {
        name: tuple(module.weight.shape)
        for name, module in tiny_llama().named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def tiny_llama() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """Save a PEFT adapter with the given LoraConfig settings; B is random unless `zero`."""
    done: dict[str, Trained] = {}

    def build(*, zero: bool = False, **settings: Any) -> Trained:
        key = json.dumps([zero, settings], sort_keys=True)
        if key not in done:
            done[key] = _save(tmp_path_factory.mktemp("peft"), zero, settings)
        return done[key]

    return build


def _save(folder: Path, zero: bool, settings: dict[str, Any]) -> Trained:
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    defaults = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    model = get_peft_model(tiny_llama(), LoraConfig(**(defaults | settings)))
    torch.manual_seed(1)
    if not zero:
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    deltas = {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").detach()
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    model.save_pretrained(folder)
    return Trained(folder, deltas)


def make_spec(**changes: Any) -> AdapterSpec:
    values: dict[str, Any] = {
        "name": "ticket",
        "version": "1.0.0",
        "description": "Sorts support messages: use it when a customer reports a fault.",
        "examples": ["My router is broken", "Größe passt nicht"],
        "kind": "alora",
        "prompt": PromptSpec(invocation="<ticket>", fields=["target"]),
        "licence": "Apache-2.0",
    }
    return AdapterSpec(**(values | changes))


def make_manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "base": BaseRecord(**vars(BASE)),
        "data": [DataRecord(name="tickets", sha256=sha256_text("rows"), licence="CC0-1.0", rows=12)],
        "libraries": {"peft": "0.21.2"},
        "gate": GateRecord(passed=True, report={"dev": 0.9}),
        "fingerprint": Fingerprint(
            canary=[1, 2, 3, 4],
            positions=[2, 3],
            targets=[4, 9],
            base=[-3.0, -4.0],
            adapted=[-0.5, -0.25],
            tolerance=0.1,
        ),
        "created": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return Manifest(**(values | changes))


@pytest.fixture
def build(tmp_path: Path, train: Callable[..., Trained]) -> Callable[..., AdapterPackage]:
    """Write a package: `peft` are LoraConfig settings, `manifest` and the rest change the defaults above."""
    count = iter(range(1000))

    def make(
        folder: Path | None = None,
        *,
        peft: dict[str, Any] | None = None,
        manifest: dict[str, Any] | None = None,
        output_schema: dict[str, Any] = OUTPUT_SCHEMA,
        **spec: Any,
    ) -> AdapterPackage:
        settings = dict(peft or {})
        if spec.get("kind", "alora") == "alora":
            settings.setdefault("alora_invocation_tokens", INVOCATION)
        return write_package(
            folder or tmp_path / f"package{next(count)}",
            make_spec(**spec),
            make_manifest(**(manifest or {})),
            weights=train(**settings).folder,
            input_schema=INPUT_SCHEMA,
            output_schema=output_schema,
            readme="# ticket\n",
            sources="[]\n",
        )

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of lora-agent, and no other place to search."""
    monkeypatch.setenv("LORA_AGENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORA_AGENT_ADAPTERS", raising=False)
    return tmp_path / "home"


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def reseal(folder: Path) -> None:
    """Write the digests of the files as they are now into the manifest: a forger can do that too."""
    from lora_agent.registry.digest import sha256_file

    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    files = {name: sha256_file(folder / name) for name in sorted(names) if name != "manifest.json"}
    edit_json(folder / "manifest.json", files=files)
