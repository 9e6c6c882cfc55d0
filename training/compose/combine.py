"""Packages → one adapter's weights. The arithmetic is PEFT's (`add_weighted_adapter`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from lora_agent.engine.local.base import BaseModel
from lora_agent.errors import ConfigError
from lora_agent.registry import AdapterPackage, read_package, read_peft_config

from ..recipe import Compose, Recipe


def read_parts(recipe: Recipe, folder: Path) -> list[AdapterPackage]:
    """The packages that the recipe composes; paths are relative to `folder`. Raises the AdapterError family, and
    ConfigError for kinds that do not go together."""
    compose = recipe.compose
    if compose is None:
        raise ConfigError("there is nothing to compose", hint="Give `compose: {adapters: [...]}` in the recipe.")
    parts = [read_package(folder / name) for name in compose.adapters]
    for part in parts:
        if part.spec.kind != recipe.fit.kind:
            raise ConfigError(
                f"{part.name!r} is of kind {part.spec.kind!r}, the recipe says {recipe.fit.kind!r}",
                hint=f"Compose adapters of one kind, and give it: fit: {{kind: {part.spec.kind}}}.",
            )
    return parts


def rank_of(parts: list[AdapterPackage], compose: Compose) -> int:
    """Of the result: the sum of the parts' for `cat`, else theirs. Raises ConfigError if they differ where they must
    not."""
    ranks = [read_peft_config(part.weights_folder).r for part in parts]
    if compose.method == "cat":
        return sum(ranks)
    if len(set(ranks)) > 1 and compose.method != "svd":
        names = ", ".join(f"{part.name} {rank}" for part, rank in zip(parts, ranks, strict=True))
        raise ConfigError(
            f"`{compose.method}` adds matrices of one rank, and these differ: {names}",
            hint="Use `method: cat` or `method: svd`, which take any ranks.",
        )
    return max(ranks)


def combined(base: BaseModel, parts: list[AdapterPackage], compose: Compose, seed: int) -> Any:
    """A PEFT model with the result as its only adapter. Raises ConfigError for a part built on another base."""
    for part in parts:
        if part.manifest.base.source_sha256 != base.identity.source_sha256:
            raise ConfigError(
                f"{part.name!r} was built on {part.manifest.base.id!r}, not on {base.id!r}",
                hint="Compose adapters of one base, and name it in the recipe.",
            )
    names = [f"part{number}" for number in range(len(parts))]
    model = PeftModel.from_pretrained(base.model, str(parts[0].weights_folder), adapter_name=names[0])
    for name, part in zip(names[1:], parts[1:], strict=True):
        model.load_adapter(str(part.weights_folder), name)
    weights = list(compose.weights or [1 / len(parts)] * len(parts))
    kind = "cat" if compose.method == "merge" else compose.method
    torch.manual_seed(seed)  # DARE drops at random
    more: dict[str, Any] = {"svd_full_matrices": False} if kind == "svd" else {}
    if kind in ("ties", "dare_ties", "dare_linear"):
        more["density"] = compose.density
    model.add_weighted_adapter(names, weights, "default", combination_type=kind, **more)
    model.set_adapter("default")
    for name in names:
        model.delete_adapter(name)
    model.peft_config["default"].base_model_name_or_path = base.id
    return model.eval()
