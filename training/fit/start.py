"""The weights that a fit goes on from: those of a package of the same layers, cut down where its rank is higher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from lora_agent.errors import ConfigError
from lora_agent.registry import PeftConfig, read_peft_config

PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def start_from(model: Any, path: Path, *, whole: bool = False) -> None:
    """Put the PEFT weights at `path` into the model's adapter, so that it adds what they add under their own scaling. A
    higher rank is cut to the model's by singular values, unless they are wanted `whole`.

    Raises ConfigError for a lower rank, other layers or another base."""
    weights = load_file(path)
    own = {n.replace(".default.", "."): p.shape for n, p in model.state_dict().items() if "lora_" in n}
    if weights.keys() == own.keys():
        weights = _fitted(weights, model, read_peft_config(path.parent), cut=not whole)
    if {n: w.shape for n, w in weights.items()} != own:
        raise ConfigError(
            f"the weights {str(path)!r} do not fit this adapter: {'another' if whole else 'a lower'} rank, other "
            "layers or another base",
            hint="Give `fit.rank` and `base` as in the package that `fit.start` names.",
        )
    set_peft_model_state_dict(model, weights)


def _fitted(weights: dict[str, Tensor], model: Any, theirs: PeftConfig, *, cut: bool) -> dict[str, Tensor]:
    """The weights for the model's scaling and rank: of a higher rank the nearest of this one (Eckart-Young)."""
    rank = model.peft_config["default"].r
    found = {}
    for name, a in weights.items():
        if not name.endswith(_A):
            continue
        module = name.removesuffix(_A)
        b = weights[module + _B]
        ratio = theirs.scaling(module.removeprefix(PREFIX)) / model.get_submodule(module).scaling["default"]
        if cut and len(a) > rank:
            a, b = _nearest(a.float(), b.float() * ratio, rank)
        elif ratio != 1:
            b = b.float() * ratio
        found |= {name: a, module + _B: b}
    return found


def _nearest(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(r, in), (out, r) → (rank, in), (out, rank), of equal norm. Through QR, since BA itself is large."""
    qb, rb = torch.linalg.qr(b)
    qa, ra = torch.linalg.qr(a.T)
    u, s, vh = torch.linalg.svd(rb @ ra.T)
    root = s[:rank].sqrt()
    return (root[:, None] * (vh[:rank] @ qa.T)).contiguous(), ((qb @ u[:, :rank]) * root).contiguous()
