"""The frozen base in float32, and what is trained on it: a PEFT adapter of any kind, or all of its own weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from torch import nn

from lora_agent.engine.local.base import BaseModel, load_base
from lora_agent.engine.local.unpacked import UnpackedEmbedding, UnpackedLinear
from lora_agent.errors import ConfigError

from ..recipe import Fit, Recipe
from .memory import give_back
from .start import start_from


def load_frozen(base: str | None, *, device: str | None = None) -> BaseModel:
    """The quantized base's values in float32 layers: adapters learn to work on exactly the weights they will meet.

    float32 because this trains on CPUs without bfloat16 arithmetic; on a GPU autocast is the caller's choice."""
    loaded = load_base(base, kernels="unpacked", dtype=torch.float32, device=device)
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
    for flag in ("is_loaded_in_4bit", "is_quantized"):  # it no longer is, and PEFT refuses to merge where it reads so
        if hasattr(model, flag):
            setattr(model, flag, False)
    del module
    give_back()  # 410 MB of the 135M base's bfloat16 copy and of its checkpoint
    return loaded


def load_for(recipe: Recipe, *, device: str | None = None) -> BaseModel:
    """The base that this recipe works on: quantized for adapters, 16-bit for full fine-tuning and merging."""
    if not recipe.quantized:
        plain = {"quantization": "none", "kernels": "unpacked", "dtype": torch.float32}
        return load_base(recipe.base, device=device, **plain)
    return load_frozen(recipe.base, device=device)


def add_adapter(base: BaseModel, recipe: Recipe, start: Path | None = None, *, steps: int = 1) -> Any:
    """A PEFT model with float32 adapter weights on every linear layer but the vocabulary projection (IA3: on those that
    PEFT names for the architecture), or, for full fine-tuning, the base itself with all weights trainable.

    `start`: a PEFT weights file to go on from. `steps`: of the whole run, which AdaLoRA's budget is a function of.
    Raises ConfigError if `start` was made with a lower rank or other layers, or IA3 does not know the architecture."""
    torch.manual_seed(recipe.fit.seed)
    if recipe.fit.kind == "full":
        base.model.requires_grad_(True)
        return base.model
    config = _config(recipe.fit, steps)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # PEFT reads the older name
            model = get_peft_model(base.model, config, autocast_adapter_dtype=True)
    except ValueError as error:  # IA3: "Please specify `target_modules`"
        raise ConfigError(
            f"PEFT cannot put {recipe.fit.method.title} on {base.model.config.model_type!r}: {error}",
            hint="Use kind: lora, which adapts every linear layer of any architecture.",
        ) from error
    model.peft_config["default"].base_model_name_or_path = base.id
    if start is not None:
        start_from(model, start, whole=recipe.fit.max_steps == 0)
    return model


def _config(fit: Fit, steps: int) -> Any:
    task = {"task_type": "CAUSAL_LM"}
    layers = {"target_modules": "all-linear", **task}
    match fit.kind:
        case "alora" | "lora":
            variant = {"use_rslora": fit.rslora, "use_dora": fit.dora}
            return LoraConfig(r=fit.rank, lora_alpha=fit.alpha, **variant, **layers)
        case "adalora":
            # The paper's schedule: half as many ranks again to choose from, a tenth of the steps before the first is
            # taken away and a third after the last.
            start, end = steps // 10, steps // 3
            budget = {"init_r": round(1.5 * fit.rank), "target_r": fit.rank, "tinit": start, "tfinal": end}
            every = max(1, steps // 50)
            return AdaLoraConfig(**budget, deltaT=every, total_step=steps, lora_alpha=fit.alpha, **layers)
        case "vera":
            return VeraConfig(r=fit.rank, projection_prng_key=fit.seed, **layers)
        case "ia3":
            return IA3Config(**task)
        case "prefix":
            return PrefixTuningConfig(num_virtual_tokens=fit.virtual_tokens, **task)
        case _:
            return PromptTuningConfig(num_virtual_tokens=fit.virtual_tokens, **task)


def decoder_of(model: Any) -> Any:
    """The causal language model under an adapter, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
