"""The frozen base in float32 with one PEFT adapter on it, and the PEFT files that it saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.engine.local.unpacked import UnpackedEmbedding, UnpackedLinear
from lora_agent.errors import ConfigError

from ..recipe import Recipe


def load_frozen(base: str | None) -> BaseModel:
    """The quantized base's values in float32 layers: adapters learn to work on exactly the weights they will meet.

    float32 because this trains on CPUs without bfloat16 arithmetic; on a GPU autocast is the caller's choice."""
    loaded = load_base(base, kernels="unpacked", dtype=torch.float32)
    model = loaded.model
    for name, module in list(model.named_modules()):
        if isinstance(module, UnpackedLinear):
            linear = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            linear.weight = nn.Parameter(module.weight.float(), requires_grad=False)
            if module.bias is not None:
                linear.bias = nn.Parameter(module.bias.float(), requires_grad=False)
            model.set_submodule(name, linear)
        elif isinstance(module, UnpackedEmbedding):
            model.set_submodule(name, nn.Embedding.from_pretrained(module.weight.float()))
    return loaded


def add_adapter(base: BaseModel, recipe: Recipe, start: Path | None = None) -> Any:
    """A PEFT model with float32 adapter weights on every linear layer but the vocabulary projection.

    `start` is a PEFT weights file to go on from. Raises ConfigError if it is of another rank or other layers."""
    torch.manual_seed(recipe.fit.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.fit.rank,
        lora_alpha=recipe.fit.alpha,
        target_modules="all-linear",
        base_model_name_or_path=base.id,
    )
    model = get_peft_model(base.model, config, autocast_adapter_dtype=True)
    model.peft_config["default"].base_model_name_or_path = base.id
    if start is not None:
        _load(model, start)
    return model


def _load(model: Any, start: Path) -> None:
    weights = load_file(start)
    own = {n.replace(".default.", "."): p.shape for n, p in _adapter_state(model).items()}
    if {n: w.shape for n, w in weights.items()} != own:
        raise ConfigError(
            f"the weights {str(start)!r} do not fit this adapter: another rank, other layers or another base",
            hint="Give `fit.rank` and `base` as in the package that `fit.start` names.",
        )
    set_peft_model_state_dict(model, weights)


def save_adapter(model: Any, folder: Path, recipe: Recipe, invocation_ids: list[int]) -> None:
    """Stock PEFT files, bfloat16. The aLoRA fields are written here because the training pass activates the
    adapter by its segments, not by searching for the invocation."""
    config = model.peft_config["default"]
    config.alora_invocation_tokens = invocation_ids if recipe.fit.kind == "alora" else None
    config.inference_mode = True
    state = {n: p.detach().to(torch.bfloat16) for n, p in _adapter_state(model).items()}
    model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
    config.alora_invocation_tokens = None
    config.inference_mode = False


def _adapter_state(model: Any) -> dict[str, torch.Tensor]:
    return {n: p for n, p in model.state_dict().items() if "lora_" in n}
