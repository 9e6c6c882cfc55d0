"""Adapters as llama.cpp reads them: names, shapes, and the order of query and key rows."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.engine.gguf_lora import convert, interleave

HEADS, KV_HEADS, SIZE, RANK, WIDTH = 2, 1, 4, 3, 8


def adapter(folder: Path, **config: object) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = {"self_attn.q_proj": HEADS * SIZE, "self_attn.k_proj": KV_HEADS * SIZE, "mlp.up_proj": 16}
    tensors = {}
    for module, out in rows.items():
        name = f"base_model.model.model.layers.0.{module}"
        tensors[f"{name}.lora_A.weight"] = torch.randn(RANK, WIDTH, generator=generator)
        tensors[f"{name}.lora_B.weight"] = torch.randn(out, RANK, generator=generator)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    modules = [module.split(".")[1] for module in rows]
    whole = {"peft_type": "LORA", "r": RANK, "lora_alpha": 6, "target_modules": modules, **config}
    (folder / "adapter_config.json").write_text(json.dumps(whole))
    return tensors


def test_the_file_holds_every_tensor_under_llama_cpps_name(tmp_path: Path) -> None:
    tensors = adapter(tmp_path / "peft")
    convert(tmp_path / "peft", tmp_path / "a.gguf", layers=1, heads=HEADS, kv_heads=KV_HEADS)
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    values = {name: field.contents() for name, field in reader.fields.items()}
    assert values["general.type"] == "adapter"
    assert values["general.architecture"] == "llama"
    assert values["adapter.type"] == "lora"
    assert values["adapter.lora.alpha"] == 6.0
    found = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    assert set(found) == {f"blk.0.{m}.weight.lora_{p}" for m in ("attn_q", "attn_k", "ffn_up") for p in "ab"}
    for theirs, ours in (("ffn_up", "mlp.up_proj"), ("attn_q", "self_attn.q_proj")):
        a = tensors[f"base_model.model.model.layers.0.{ours}.lora_A.weight"]
        np.testing.assert_array_equal(found[f"blk.0.{theirs}.weight.lora_a"], a.numpy())
    b = tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    np.testing.assert_array_equal(found["blk.0.attn_q.weight.lora_b"], b[[0, 2, 1, 3, 4, 6, 5, 7]].numpy())


def test_neighbours_rotated_are_halves_rotated() -> None:
    """The score of a rotated query and key is the same in both conventions, each with its own order of rows."""
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(SIZE, WIDTH, generator=generator) for _ in range(2))
    x, y = (torch.randn(WIDTH, generator=generator) for _ in range(2))
    angle = torch.tensor([0.3, 1.1])
    turn = torch.polar(torch.ones(2), angle)

    def by_halves(v: torch.Tensor) -> torch.Tensor:
        return torch.complex(v[: SIZE // 2], v[SIZE // 2 :])

    def by_neighbours(v: torch.Tensor) -> torch.Tensor:
        return torch.complex(v[0::2], v[1::2])

    def score(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * turn * b.conj()).real.sum()

    halves = score(by_halves(q @ x), by_halves(k @ y))
    neighbours = score(by_neighbours(interleave(q, 1) @ x), by_neighbours(interleave(k, 1) @ y))
    torch.testing.assert_close(halves, neighbours)


@pytest.mark.parametrize("config", [{"rank_pattern": {"up_proj": 2}}, {"use_dora": True}])
def test_what_the_format_cannot_say_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    adapter(tmp_path / "peft", **config)
    with pytest.raises(ValueError, match="no GGUF file"):
        convert(tmp_path / "peft", tmp_path / "a.gguf", layers=1, heads=HEADS, kv_heads=KV_HEADS)
