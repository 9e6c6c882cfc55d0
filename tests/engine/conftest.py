"""Engines on the tiny base with real PEFT adapters of several kinds, packaged as shipped ones are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.engine.local.device import native_missing
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.registry import (
    AdapterSpec,
    BaseRecord,
    Fingerprint,
    GateRecord,
    Manifest,
    PromptSpec,
    Registry,
    VariantRecord,
    read_tensors,
    write_package,
)

MESSAGES = {"type": "array", "minItems": 1, "items": {"type": "object"}}
INPUT = {"type": "object", "properties": {"messages": MESSAGES}, "required": ["messages"]}
OUTPUT = {
    "type": "object",
    "properties": {"product": {"type": "string", "maxLength": 12}, "priority": {"enum": ["high", "low"]}},
    "required": ["product", "priority"],
    "additionalProperties": False,
}
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"r": 4, "lora_alpha": 8},
    "rslora": {"r": 9, "lora_alpha": 6, "use_rslora": True},
    "alora": {"r": 5, "lora_alpha": 10, "alora": True},
    "alora2": {"r": 3, "lora_alpha": 12, "alora": True},
}


def load_tiny(base_dir: Path, kernels: str = "auto") -> BaseModel:
    return load_base(base_dir, quantization="none", device="cpu", dtype=torch.float32, kernels=kernels)


def peft_model(base_dir: Path, base: BaseModel, name: str) -> Any:
    """PEFT's own model of adapter `name`: seeded by its name, B not zero."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    settings = dict(KINDS[name])
    if settings.pop("alora", False):
        settings["alora_invocation_tokens"] = base.renderer.tokens(base.renderer.header(name))
    model = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **settings)
    torch.manual_seed(sorted(KINDS).index(name))  # before PEFT draws A
    peft = get_peft_model(model, config)
    for key, parameter in peft.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.2)
    return peft.eval()


def package_adapter(
    base_dir: Path,
    base: BaseModel,
    name: str,
    folder: Path,
    *,
    output: dict[str, Any] = OUTPUT,
    variant: bool = False,
    **spec: Any,
) -> Path:
    """Save PEFT's adapter and wrap it as a package with its true fingerprint. `variant`: an activated LoRA comes with
    the same weights as a plain one."""
    peft_model(base_dir, base, name).save_pretrained(folder / "weights")
    variants = {"lora": _as_plain(folder / "weights", folder / "plain")} if variant else {}
    is_alora = name.startswith("alora")
    card = AdapterSpec(
        name=name,
        version="1.0.0",
        description=f"Adapter {name} of the tests.",
        kind="alora" if is_alora else "lora",
        prompt=PromptSpec(invocation=base.renderer.header(name), reread="last", reread_tokens=16, max_new_tokens=48),
        licence="Apache-2.0",
        **spec,
    )

    def write(fingerprint: Fingerprint) -> Any:
        manifest = Manifest(
            base=BaseRecord(**vars(base.identity)),
            gate=GateRecord(passed=True),
            fingerprint=fingerprint,
            variants={"lora": VariantRecord(gate=GateRecord(passed=True), fingerprint=fingerprint)} if variant else {},
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return write_package(
            folder / name,
            card,
            manifest,
            weights=folder / "weights",
            input_schema=INPUT,
            output_schema=output,
            readme="",
            sources="[]",
            variants=variants,
            overwrite=True,
        )

    # Targets need not stand in the canary, but those of `lora-agent train` do.
    canary: dict[str, Any] = {"canary": [1, 40, 41, 42, 43], "positions": [2, 3]}
    canary["targets"] = [50, 60] if variant else [42, 43]
    draft = write(Fingerprint(**canary, base=[-9.0, -9.0], adapted=[0.0, 0.0], tolerance=0.01))
    engine = LocalEngine(load_tiny(base_dir), Registry.discover([folder / name], search=False))
    slot = engine.bank.put("x", read_tensors(draft, engine.bank.shapes))
    plain = engine.runner.logprobs(canary["canary"], canary["positions"], canary["targets"])
    adapted = engine.runner.logprobs(canary["canary"], canary["positions"], canary["targets"], slot)
    write(Fingerprint(**canary, base=plain, adapted=adapted, tolerance=0.01))
    return folder / name


def _as_plain(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    config = json.loads((target / "adapter_config.json").read_text())
    config["alora_invocation_tokens"] = None
    (target / "adapter_config.json").write_text(json.dumps(config))
    return target


@pytest.fixture(scope="session")
def packages(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = load_tiny(base_dir)
    return [package_adapter(base_dir, base, name, tmp_path_factory.mktemp(name)) for name in KINDS]


@pytest.fixture(scope="module", params=["native", "unpacked"])
def kernels(request: pytest.FixtureRequest) -> str:
    """Both ways to compute a forward pass: ours in C, and transformers."""
    missing = native_missing(None)
    if request.param == "native" and missing is not None:
        pytest.skip(missing)
    return str(request.param)


@pytest.fixture
def make_engine(base_dir: Path, packages: list[Path], kernels: str) -> Callable[..., LocalEngine]:
    def make(**options: Any) -> LocalEngine:
        return LocalEngine(load_tiny(base_dir, kernels), Registry.discover(packages, search=False), **options)

    return make


@pytest.fixture(scope="module")
def engine(base_dir: Path, packages: list[Path], kernels: str) -> LocalEngine:
    return LocalEngine(load_tiny(base_dir, kernels), Registry.discover(packages, search=False))
