"""The weights that a fit goes on from: those of a package of the same layers, cut down where its rank is higher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from lora_agent.errors import ConfigError
from lora_agent.registry import read_peft_config

_A, _B = "lora_A.weight", "lora_B.weight"


def start_from(model: Any, path: Path) -> None:
    """Put the PEFT weights at `path` into the model's adapter. A higher rank is cut to the model's by singular values.

    Raises ConfigError for a lower rank, other layers or another base."""
    weights = load_file(path)
    own = {n.replace(".default.", "."): p.shape for n, p in model.state_dict().items() if "lora_" in n}
    if weights.keys() == own.keys() and any(weights[name].shape != shape for name, shape in own.items()):
        config: LoraConfig = model.peft_config["default"]
        weights = _cut(weights, config.r, _scaling(read_peft_config(path.parent)) / _scaling(config))
    if {n: w.shape for n, w in weights.items()} != own:
        raise ConfigError(
            f"the weights {str(path)!r} do not fit this adapter: a lower rank, other layers or another base",
            hint="Give `fit.rank` and `base` as in the package that `fit.start` names.",
        )
    set_peft_model_state_dict(model, weights)


def _scaling(config: Any) -> float:
    """What PEFT multiplies BA by (LoraLayer.update_layer)."""
    return float(config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r))


def _cut(weights: dict[str, Tensor], rank: int, ratio: float) -> dict[str, Tensor]:
    """The nearest adapter of this rank (Eckart-Young), its matrices of equal norm; `ratio` is old to new scaling."""
    found = {}
    for name, a in weights.items():
        if not name.endswith(_A):
            continue
        b_name = name.removesuffix(_A) + _B
        found[name], found[b_name] = _nearest(a.float(), weights[b_name].float() * ratio, rank)
    return found


def _nearest(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(r, in), (out, r) → (rank, in), (out, rank). Through QR, since BA itself is large and of rank r at most."""
    qb, rb = torch.linalg.qr(b)
    qa, ra = torch.linalg.qr(a.T)
    u, s, vh = torch.linalg.svd(rb @ ra.T)
    root = s[:rank].sqrt()
    return (root[:, None] * (vh[:rank] @ qa.T)).contiguous(), ((qb @ u[:, :rank]) * root).contiguous()
