"""A linear head on the base's hidden states: which adapter should take the next step.

Trained once per base by `python -m training.router`; stored as safetensors beside this module, found by the digest of
the base's weights. Costs one small matrix product on features that the prefill has computed anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

HEADS = Path(__file__).parent / "heads"
BASE = "base"
ABSTAIN = "abstain"
"""Class of turns that nothing should be decided on: fragments, noise, another language."""


@dataclass(frozen=True)
class Head:
    """`mean`, `scale` (d,) standardise the features; `weight` (classes, d), `bias` (classes,) give logits, which are
    divided by `temperature` (calibration: arXiv 1706.04599). Below `threshold` the router is not sure."""

    classes: tuple[str, ...]
    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    temperature: float
    threshold: float
    prototype_scale: float
    """Logits per unit of cosine similarity for adapters that the head was not trained on."""
    prototype_offset: float
    """Cosine similarity at which such an adapter is as likely as not."""
    report: Mapping[str, object]

    def standardise(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def logits(self, features: Tensor) -> dict[str, float]:
        """Calibrated logits by class for features (d,)."""
        values = (self.weight @ self.standardise(features) + self.bias) / self.temperature
        return dict(zip(self.classes, values.tolist(), strict=True))


def find_head(source_sha256: str, folder: Path = HEADS) -> Head | None:
    """The head for a base, or None when none was trained for it."""
    path = folder / f"{source_sha256[:16]}.safetensors"
    return read_head(path) if path.is_file() else None


def read_head(path: Path) -> Head:
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["head"])
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    return Head(
        tuple(meta["classes"]),
        tensors["mean"],
        tensors["scale"],
        tensors["weight"],
        tensors["bias"],
        meta["temperature"],
        meta["threshold"],
        meta["prototype_scale"],
        meta["prototype_offset"],
        meta["report"],
    )


def write_head(head: Head, source_sha256: str, folder: Path = HEADS) -> Path:
    """Atomic: a reader meets the old head or the new one."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source_sha256[:16]}.safetensors"
    meta = {
        "classes": head.classes,
        "temperature": head.temperature,
        "threshold": head.threshold,
        "prototype_scale": head.prototype_scale,
        "prototype_offset": head.prototype_offset,
        "report": head.report,
    }
    tensors = {"mean": head.mean, "scale": head.scale, "weight": head.weight, "bias": head.bias}
    scratch = path.with_suffix(".tmp")
    save_file({n: t.float().contiguous() for n, t in tensors.items()}, scratch, {"head": json.dumps(meta)})
    scratch.replace(path)
    return path


def softmax(logits: Mapping[str, float]) -> dict[str, float]:
    names = list(logits)
    values = torch.softmax(torch.tensor([logits[n] for n in names], dtype=torch.float64), 0)
    return dict(zip(names, values.tolist(), strict=True))
