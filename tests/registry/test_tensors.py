"""Tensors equal PEFT's own update of the weights; every tensor is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_agent.errors import (
    AdapterError,
    ExtraTensorError,
    FingerprintError,
    MissingTensorError,
    PackageDigestError,
    PackageFormatError,
    UnsupportedAdapterError,
)
from lora_agent.registry import AdapterPackage, PeftConfig, read_package, read_tensors

from .conftest import INVOCATION, Trained, edit_json, reseal

Build = Callable[..., AdapterPackage]
Shapes = dict[str, tuple[int, ...]]
Q0 = "model.layers.0.self_attn.q_proj"


def change(package: AdapterPackage, edit: Callable[[dict[str, Any]], None], **config: Any) -> AdapterPackage:
    """The package with other tensors and settings, its manifest made to fit."""
    from safetensors.torch import load_file, save_file

    path = package.folder / "adapter_model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    edit_json(package.folder / "adapter_config.json", **config)
    reseal(package.folder)
    return read_package(package.folder)


def keep(tensors: dict[str, Any]) -> None:
    """Leave the tensors as they are."""


@pytest.mark.parametrize(
    "peft",
    [
        {},
        {"use_rslora": True},
        {"alora_invocation_tokens": INVOCATION},
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.1\.mlp\.(up|gate)_proj"},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6}, "alpha_pattern": {"q_proj": 16}},
        {"rank_pattern": {"^model.layers.0.self_attn.q_proj": 3}, "use_rslora": True},
        {"layers_to_transform": [1]},
        {"layers_to_transform": 0, "layers_pattern": "layers"},
        {"target_modules": "all-linear", "exclude_modules": ["q_proj", "model.layers.0.mlp.up_proj"]},
        {"init_lora_weights": "orthogonal"},
    ],
    ids=lambda peft: json.dumps(peft),
)
def test_equal_to_peft(
    build: Build, train: Callable[..., Trained], linear_shapes: Shapes, peft: dict[str, Any]
) -> None:
    import torch

    kind = "alora" if "alora_invocation_tokens" in peft else "lora"
    deltas = train(**peft).deltas
    tensors = read_tensors(build(kind=kind, peft=peft), linear_shapes)
    assert set(tensors) == set(deltas)
    for module, (a, b, scaling) in tensors.items():
        torch.testing.assert_close(scaling * (b @ a), deltas[module], rtol=1e-6, atol=1e-7)


def test_rslora_scales_by_the_root_of_the_rank() -> None:
    settings = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": ["q_proj"]}
    assert PeftConfig(**settings).scaling(Q0) == 2.0
    assert PeftConfig(**settings, use_rslora=True).scaling(Q0) == 8.0


@pytest.mark.parametrize("matrix", ["lora_A", "lora_B"])
def test_a_missing_tensor(build: Build, linear_shapes: Shapes, matrix: str) -> None:
    package = change(build(), lambda t: t.pop(f"base_model.model.{Q0}.{matrix}.weight"))
    with pytest.raises(MissingTensorError, match=f"no {matrix} for '{Q0}'"):
        read_tensors(package, linear_shapes)


def test_a_module_without_tensors(build: Build, linear_shapes: Shapes) -> None:
    package = change(build(), keep, target_modules=["q_proj", "down_proj", "v_proj"])
    with pytest.raises(MissingTensorError, match=r"no lora_A for 'model\.layers\.0\.self_attn\.v_proj'"):
        read_tensors(package, linear_shapes)


def test_targets_that_match_nothing(build: Build, linear_shapes: Shapes) -> None:
    package = change(build(), keep, target_modules=["query_key_value"])
    with pytest.raises(MissingTensorError, match="match no module"):
        read_tensors(package, linear_shapes)


def add(name: str) -> Callable[[dict[str, Any]], None]:
    import torch

    return lambda tensors: tensors.update({name: torch.ones(4, 32)})


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", "the base does not have"),
        ("base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", "target_modules do not name"),
        (f"base_model.model.{Q0}.lora_magnitude_vector", "neither A nor B"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "neither A nor B"),
    ],
)
def test_an_extra_tensor(build: Build, linear_shapes: Shapes, name: str, match: str) -> None:
    with pytest.raises(ExtraTensorError, match=match):
        read_tensors(change(build(), add(name)), linear_shapes)


def test_a_base_of_another_size(build: Build, linear_shapes: Shapes) -> None:
    wider = {module: (size_out, 2 * size_in) for module, (size_out, size_in) in linear_shapes.items()}
    with pytest.raises(ExtraTensorError, match=r"shape \(4, 48\), expected \(4, 96\)"):
        read_tensors(build(), wider)


def test_a_rank_that_is_not_the_configs(build: Build, linear_shapes: Shapes) -> None:
    package = change(build(), keep, r=8)  # would halve the scaling without a word
    with pytest.raises(ExtraTensorError, match="rank 8"):
        read_tensors(package, linear_shapes)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("lora_bias", True),
        ("modules_to_save", ["lm_head"]),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("trainable_token_indices", [1, 2]),
        ("layer_replication", [[0, 1], [0, 2]]),
        ("target_parameters", ["experts.gate_up_proj"]),
        ("use_qalora", True),
        ("use_some_future_variant", True),
    ],
)
def test_variants_that_are_not_served(build: Build, linear_shapes: Shapes, setting: str, value: object) -> None:
    package = change(build(), keep, **{setting: value})
    with pytest.raises(UnsupportedAdapterError, match=f"sets {setting} = "):
        read_tensors(package, linear_shapes)


def test_an_adapter_without_effect(build: Build, linear_shapes: Shapes) -> None:
    with pytest.raises(FingerprintError, match="zero effect"):
        read_tensors(build(peft={"zero": True}), linear_shapes)


def test_orthogonal_factors_have_no_effect_either(build: Build, linear_shapes: Shapes) -> None:
    def orthogonal(tensors: dict[str, Any]) -> None:
        for name, tensor in tensors.items():  # A fills the first two ranks, B the last two: B·A = 0
            tensor[2:] = 0 if "lora_A" in name else tensor[2:]
            if "lora_B" in name:
                tensor[:, :2] = 0

    with pytest.raises(FingerprintError, match="zero effect"):
        read_tensors(change(build(), orthogonal), linear_shapes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(build: Build, linear_shapes: Shapes, value: float) -> None:
    package = change(build(), lambda t: t[f"base_model.model.{Q0}.lora_B.weight"].fill_(value))
    with pytest.raises(PackageFormatError, match="not finite"):
        read_tensors(package, linear_shapes)


def test_weights_that_are_not_safetensors(build: Build, linear_shapes: Shapes) -> None:
    package = build()
    (package.folder / "adapter_model.safetensors").write_bytes(b"\x00" * 64)
    reseal(package.folder)
    with pytest.raises(PackageFormatError, match="not safetensors"):
        read_tensors(read_package(package.folder), linear_shapes)


def test_weights_that_change_between_verification_and_loading(build: Build, linear_shapes: Shapes) -> None:
    package = build()
    path: Path = package.folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(PackageDigestError, match="since the package was verified"):
        read_tensors(package, linear_shapes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"r": 0}, "r: "),
        ({"target_modules": None}, "no target_modules"),
        ({"target_modules": "(q_proj"}, "not a regular expression"),
        ({"rank_pattern": {"[": 2}}, "not a regular expression"),
    ],
)
def test_a_malformed_config(build: Build, changes: dict[str, Any], match: str) -> None:
    package = build()
    edit_json(package.folder / "adapter_config.json", **changes)
    reseal(package.folder)
    with pytest.raises(AdapterError, match=match) as caught:
        read_package(package.folder)
    assert type(caught.value) is PackageFormatError
