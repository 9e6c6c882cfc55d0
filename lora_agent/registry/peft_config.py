"""`adapter_config.json` as PEFT writes it: rank, scaling, which modules; and what this engine cannot serve.

Follows PEFT 0.21: https://github.com/huggingface/peft/blob/main/src/peft/tuners/lora/config.py and, for the
matching of modules, `check_target_module_exists` in tuners_utils.py. Needs neither PEFT nor torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lora_agent.errors import PackageFormatError, UnsupportedAdapterError
from lora_agent.registry.reading import check, read_json

CONFIG_FILE = "adapter_config.json"

Number = TypeVar("Number", int, float)

# Keys that say how the adapter was trained or by what; they change nothing in its forward pass.
INERT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "eva_config",
        "inference_mode",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_version",
        "qalora_group_size",  # counts only with use_qalora
        "revision",
        "runtime_config",
        "task_type",
    }
)

# The other initialisations (pissa, olora, corda, loftq, lora_ga) move part of the base's weights into the
# adapter: on the base as published such an adapter is silently wrong.
SERVED_INITS = frozenset({"true", "false", "none", "gaussian", "eva", "orthogonal"})


class PeftConfig(BaseModel):
    """The fields that decide what the adapter computes; the rest of what PEFT writes is in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: str
    r: int = Field(gt=0)
    lora_alpha: float
    use_rslora: bool = False
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    alora_invocation_tokens: list[int] | None = None
    fan_in_fan_out: bool = False
    """Layout of the base's weight in GPT-2's Conv1D; A and B have the same shapes either way."""
    bias: str = "none"
    use_dora: bool = False
    lora_bias: bool = False
    modules_to_save: list[str] | None = None
    init_lora_weights: bool | str | None = True

    @model_validator(mode="after")
    def _patterns_compile(self) -> PeftConfig:
        patterns = [*(self.rank_pattern or {}), *(self.alpha_pattern or {})]
        for value in (self.target_modules, self.exclude_modules):
            patterns += [value] if isinstance(value, str) else []
        layers = self.layers_pattern or []
        patterns += [layers] if isinstance(layers, str) else layers
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return self

    def rank(self, module: str) -> int:
        return _by_pattern(self.rank_pattern, module, self.r)

    def scaling(self, module: str) -> float:
        """What B·A is multiplied by: alpha / r, or alpha / √r for rsLoRA (arXiv 2312.03732)."""
        rank = self.rank(module)
        return _by_pattern(self.alpha_pattern, module, self.lora_alpha) / (math.sqrt(rank) if self.use_rslora else rank)

    def targets(self, module: str) -> bool:
        """Whether PEFT would put an adapter on this module of the base."""
        if _named(self.exclude_modules, module):
            return False
        if self.target_modules == "all-linear":
            return module.rsplit(".", 1)[-1] != "lm_head"  # PEFT leaves the output layer out
        if isinstance(self.target_modules, str):  # PEFT ignores layers_to_transform beside an expression
            return _named(self.target_modules, module)
        return _named(self.target_modules, module) and self._transforms(module)

    def _transforms(self, module: str) -> bool:
        wanted = self.layers_to_transform
        if wanted is None or wanted == []:
            return True
        lists = [self.layers_pattern] if isinstance(self.layers_pattern, str) else self.layers_pattern
        # the first number behind the list of layers: 3 in "model.layers.3.mlp.experts.0"
        patterns = [rf"(?:^|.*?\.){name}\.(?P<index>\d+)\." for name in lists or ()]
        for pattern in patterns or [r".*?\.[^.]*\.(?P<index>\d+)\."]:
            match = re.match(pattern, module)
            if match:
                return int(match["index"]) in ([wanted] if isinstance(wanted, int) else wanted)
        return False

    def refuse_unserved(self, path: Path) -> None:
        """Raises UnsupportedAdapterError naming the first setting that the engine does not compute."""
        faults: dict[str, Any] = {}
        if str(self.init_lora_weights).lower() not in SERVED_INITS:
            faults["init_lora_weights"] = self.init_lora_weights
        if self.bias != "none":
            faults["bias"] = self.bias
        for name in ("use_dora", "lora_bias", "modules_to_save"):
            if getattr(self, name):
                faults[name] = getattr(self, name)
        # What a later PEFT adds is refused when switched on: serving without it would be silently wrong.
        faults |= {k: v for k, v in (self.model_extra or {}).items() if v and k not in INERT}
        if faults:
            name, value = next(iter(faults.items()))
            raise UnsupportedAdapterError(
                f"{str(path)!r} sets {name} = {value!r}, which the engine cannot serve", hint=_remedy(name)
            )


def read_peft_config(folder: Path) -> PeftConfig:
    """Raises PackageFormatError, or UnsupportedAdapterError for another method than LoRA."""
    path = folder / CONFIG_FILE
    data = read_json(path)
    if data.get("peft_type") != "LORA":
        raise UnsupportedAdapterError(
            f"{str(path)!r} has peft_type = {data.get('peft_type')!r}, which the engine cannot serve",
            hint="Only LoRA (with rsLoRA and aLoRA) is served: train with peft.LoraConfig.",
        )
    config = check(data, PeftConfig, path)
    if config.target_modules is None and not data.get("target_parameters"):
        raise PackageFormatError(
            f"{str(path)!r} has no target_modules", hint="Save the adapter with PEFT's save_pretrained."
        )
    return config


def _by_pattern(patterns: Mapping[str, Number] | None, module: str, default: Number) -> Number:
    """PEFT's `get_pattern_key`: the first expression that matches the whole name or the last parts of it."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _named(names: str | list[str] | None, module: str) -> bool:
    """PEFT's rule: an expression matches as a whole, a list by full name or by the last parts of it."""
    if names is None:
        return False
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)


def _remedy(name: str) -> str:
    if name == "init_lora_weights":
        return (
            "Save it as a plain LoRA: "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...) (PEFT guide, PiSSA)."
        )
    return f"Train again with {name} at its default, or merge the adapter into a model of its own."
