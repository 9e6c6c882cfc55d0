"""A LoRA adapter in PEFT's format → the GGUF file that llama.cpp loads, for bases of its `llama` architecture.

Knows both formats and nothing of the benchmark. llama.cpp multiplies by alpha / rank itself, as PEFT does.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lora_agent.registry import read_peft_config

_PREFIX = "base_model.model."
_PARTS = {".lora_A.weight": ".weight.lora_a", ".lora_B.weight": ".weight.lora_b"}


def convert(folder: Path, out: Path, *, layers: int, heads: int, kv_heads: int) -> None:
    """Write the adapter in `folder` (PEFT's two files) to the file `out`. Raises ValueError for what the format cannot
    say: ranks or scalings that differ by module, DoRA, tensors of unknown names."""
    import gguf

    config = read_peft_config(folder)
    if config.rank_pattern or config.alpha_pattern or config.use_dora:
        raise ValueError(f"{folder}: one rank and one alpha for all modules, and no DoRA, or no GGUF file")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # rsLoRA divides by the root of the rank instead of the rank
    alpha = config.lora_alpha * math.sqrt(config.r) if config.use_rslora else config.lora_alpha
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, tensor in sorted(load_file(folder / "adapter_model.safetensors").items()):
        module, suffix = _split(name, names)
        if suffix.endswith("lora_b") and module.endswith(("attn_q", "attn_k")):
            tensor = interleave(tensor, heads if module.endswith("attn_q") else kv_heads)
        # float32, as llama.cpp's own converter writes it unless told otherwise
        writer.add_tensor(module + suffix, np.ascontiguousarray(tensor.float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleave(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a query or key product, (heads × size, n), in llama.cpp's order. transformers rotates row i of a head
    with row i + size/2, llama.cpp's `llama` with the next one: the two halves of a head are dealt out in turn."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return halves.transpose(1, 2).reshape(weight.shape)


def _split(name: str, names: Any) -> tuple[str, str]:
    """`base_model.model.model.layers.0.mlp.up_proj.lora_A.weight` → (`blk.0.ffn_up`, `.weight.lora_a`)."""
    for suffix, theirs in _PARTS.items():
        if name.startswith(_PREFIX) and name.endswith(suffix):
            module = names.get_name(name.removeprefix(_PREFIX).removesuffix(suffix))
            if module is not None:
                return str(module), theirs
    raise ValueError(f"no name in GGUF for the tensor {name!r}")
