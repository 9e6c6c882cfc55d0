"""A linear head on the base's hidden states: which adapter should take the next step.

Trained once per base by `python -m training.router`; stored as safetensors beside this module, found by the digest of
the base's weights. Costs one small matrix product on features that the prefill has computed anyway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from lora_agent.registry import LooseLora
from lora_agent.routing.channel import Hear, Heard
from lora_agent.routing.matcher import Matched, Matcher, Odds
from lora_agent.routing.prototypes import Card, Featurise, Prototypes

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
    matcher: Matcher | None = None
    """What cards are compared in; without one in the standardised features themselves."""

    def embed(self, features: Tensor) -> Tensor:
        """What prototypes are made of and compared with, for features (d,)."""
        standardised = self.standardise(features)
        return standardised if self.matcher is None else self.matcher(standardised)

    def known(self, featurise: Featurise, cards: Iterable[Card], hear: Hear | None = None) -> Matched | Prototypes:
        """Adapters that the head was not trained on. `featurise`: a text → what `embed` makes of its features; `hear`:
        what a matcher's second look asks of the base, where it has learnt to."""
        if self.matcher is None:
            return Prototypes(featurise, cards, self.prototype_scale, self.prototype_offset)
        return Matched(featurise, cards, self.matcher, hear if self.matcher.looks_again else None)

    @property
    def card_threshold(self) -> float:
        """Under this probability a choice among cards abstains. With a matcher none is too low: what is too far from
        all of them goes to the base."""
        return self.threshold if self.matcher is None else 0.0

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


def listener_path(source_sha256: str, folder: Path = HEADS) -> Path:
    return folder / f"{source_sha256[:16]}.listener.safetensors"


def find_listener(source_sha256: str, folder: Path = HEADS) -> LooseLora | None:
    """What a second look listens with on this base; None: with the base itself."""
    path = listener_path(source_sha256, folder)
    return LooseLora(path) if path.is_file() else None


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
        _read_matcher(meta["matcher"], tensors) if "matcher" in meta else None,
    )


def _read_matcher(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Matcher:
    return Matcher(
        tensors["match_weight"],
        tensors["match_bias"],
        Odds(*numbers["cards"]),
        Odds(*numbers["examples"]),
        numbers["level"],
        numbers["heat"],
        tensors["match_background"],
        tensors["match_scatter"],
        *(Heard(*numbers[name]) if name in numbers else None for name in ("heard_cards", "heard_examples")),
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
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    if head.matcher is not None:
        made = head.matcher
        heard = {"heard_cards": made.heard_cards, "heard_examples": made.heard_examples}
        meta["matcher"] = {
            "cards": [made.cards.scale, made.cards.offset],
            "examples": [made.examples.scale, made.examples.offset],
            "level": made.level,
            "heat": made.heat,
            **{name: [one.scale, one.weight, one.offset] for name, one in heard.items() if one is not None},
        }
        half = {"match_weight": made.weight, "match_bias": made.bias, "match_background": made.background}
        tensors |= {name: tensor.bfloat16() for name, tensor in half.items()}  # ten times the rest, and only compared
        tensors["match_scatter"] = made.scatter.float()
    scratch = path.with_suffix(".tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, scratch, {"head": json.dumps(meta)})
    scratch.replace(path)
    return path


def softmax(logits: Mapping[str, float]) -> dict[str, float]:
    names = list(logits)
    values = torch.softmax(torch.tensor([logits[n] for n in names], dtype=torch.float64), 0)
    return dict(zip(names, values.tolist(), strict=True))
