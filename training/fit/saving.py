"""Trained weights → files that PEFT or transformers load: as they were trained, and as the engine can serve them.

AdaLoRA and VeRA are, once trained, A and B of a low rank: they are written as plain LoRA, which is exact and which
every server loads. Their own form lies beside it in `native/`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file

from lora_agent.errors import ConfigError

from ..recipe import Recipe
from .start import PREFIX
from .trainable import decoder_of

WEIGHTS = "adapter_model.safetensors"


def save_adapter(model: Any, folder: Path, recipe: Recipe, invocation_ids: list[int]) -> None:
    """Stock PEFT files in bfloat16 (float32 where a rounding would be the adapter: IA3's factors around 1 and the
    embeddings of prefix and prompt tuning); for full fine-tuning a bfloat16 model."""
    kind = recipe.fit.kind
    if kind == "full":
        save_model(decoder_of(model), folder)
    elif kind in ("adalora", "vera"):
        model.save_pretrained(str(folder / "native"))
        write_lora(folder, model, _as_lora(model, kind))
    else:
        _save(model, folder, invocation_ids if kind == "alora" else None, small=not recipe.fit.method.ranked)


def saved(folder: Path) -> Path:
    """The file whose digest stands for the result."""
    for name in (WEIGHTS, "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"no weights in {str(folder)!r}", hint="Run the stage fit again: --from fit.")


def save_model(model: Any, folder: Path) -> None:
    """A whole model in bfloat16 that transformers (and the engine, as a base) loads. Leaves `model` as it is."""
    tied = model.config.tie_word_embeddings
    state = {
        name: (p.detach().to(torch.bfloat16) if p.is_floating_point() else p.detach()).contiguous()
        for name, p in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    config.save_pretrained(str(folder))
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(str(folder))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _save(model: Any, folder: Path, invocation: list[int] | None, *, small: bool) -> None:
    config = model.peft_config["default"]
    # The aLoRA fields are written here because the training pass activates the adapter by its segments, not by
    # searching for the invocation.
    if hasattr(config, "alora_invocation_tokens"):
        config.alora_invocation_tokens = invocation
    config.inference_mode = True
    if small:
        model.save_pretrained(str(folder))
    else:
        state = {n: p.detach().to(torch.bfloat16) for n, p in model.state_dict().items() if "lora_" in n}
        model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
    if hasattr(config, "alora_invocation_tokens"):
        config.alora_invocation_tokens = None
    config.inference_mode = False


def _as_lora(model: Any, kind: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(A, B) by module with the scale in B, ranks that AdaLoRA took away left out."""
    found = {}
    for name, layer in model.get_base_model().named_modules():
        if kind == "adalora" and "default" in getattr(layer, "lora_E", {}):
            e, a, b = (p["default"].detach() for p in (layer.lora_E, layer.lora_A, layer.lora_B))
            scale = layer.scaling["default"] / (float(layer.ranknum["default"]) + 1e-5)
            kept = e[:, 0] != 0
            kept[0] = True  # a module without any rank could not be written
            found[name] = ((a * e)[kept], b[:, kept] * scale)
        elif kind == "vera" and "default" in getattr(layer, "vera_lambda_d", {}):
            d, b = layer.vera_lambda_d["default"].detach(), layer.vera_lambda_b["default"].detach()
            a = layer.vera_A["default"][:, : layer.in_features] * d[:, None]
            found[name] = (a, layer.vera_B["default"][: layer.out_features] * b[:, None])
    return found


def write_lora(folder: Path, model: Any, pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """PEFT files of a plain LoRA from (A, B) by module; each module has the rank of its A, the scale is 1."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, (a, b) in pairs.items():
        state[f"{PREFIX}{name}.lora_A.weight"] = a.to(torch.bfloat16).contiguous()
        state[f"{PREFIX}{name}.lora_B.weight"] = b.to(torch.bfloat16).contiguous()
    ranks = {name: a.shape[0] for name, (a, _) in pairs.items()}
    most = max(ranks.values())
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=most,
        lora_alpha=most,
        target_modules=sorted(pairs),
        rank_pattern={n: r for n, r in ranks.items() if r != most},
        alpha_pattern={n: r for n, r in ranks.items() if r != most},
        base_model_name_or_path=model.peft_config["default"].base_model_name_or_path,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**written, "target_modules": sorted(pairs)}, indent=2), encoding="utf-8")
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
