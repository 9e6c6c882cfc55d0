"""The adapter methods: how each can be served, the rate it learns at, and what it cannot be combined with.

The engine's contract in one table: it hot-swaps what is an A and a B per linear layer, and nothing else. What is not of
that form is merged into a model of its own, or left to PEFT. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["alora", "lora", "adalora", "vera", "ia3", "prefix", "prompt", "full"]
Served = Literal["hot-swapped", "merged", "peft"]


@dataclass(frozen=True)
class Method:
    title: str
    served: Served
    how: str
    """What serving costs; the plan prints it before anything is trained."""
    learning_rate: float
    """Default. Small where whole weights move, large where a few numbers must do all the work."""
    ranked: bool = False
    """Whether `rank` means something."""


_OWN_KV = "hot-swapped with keys and values of its own: a switch costs reading the context once more"
_MERGED = "not by the engine's slots, only merged: a model of its own beside the base, which shares no keys and values"
_PEFT = "only by PEFT: it is neither an update of the weights that could be merged nor one that the engine can swap"

METHODS: dict[Kind, Method] = {
    # 10x the rate of full fine-tuning, scaled up for a hidden size of 576: 5e-4 * (2000/576)^0.78 = 1.3e-3. After 640
    # rows of query_rewrite the development loss was 0.559 at 1e-3 and 0.545 at 2e-3 (decision 004).
    "alora": Method(
        "activated LoRA (arXiv 2504.12397)",
        "hot-swapped",
        "hot-swapped on one shared KV cache: a switch costs the invocation's tokens",
        1.5e-3,
        ranked=True,
    ),
    "lora": Method("LoRA (arXiv 2106.09685)", "hot-swapped", _OWN_KV, 1.5e-3, ranked=True),
    "adalora": Method(
        "AdaLoRA (arXiv 2303.10512)",
        "hot-swapped",
        f"{_OWN_KV}; saved as the LoRA that it equals, each layer with the rank that it was given",
        2e-3,  # the regulariser and the singular values at zero hold it back at first
        ranked=True,
    ),
    "vera": Method(
        "VeRA (arXiv 2310.11454)",
        "hot-swapped",
        f"{_OWN_KV}; saved as the LoRA that it equals, so that its file is as large as that of a LoRA of this rank",
        1e-2,  # the paper's rates are ten times those of its LoRA runs
        ranked=True,
    ),
    "ia3": Method("IA3 (arXiv 2205.05638)", "merged", _MERGED, 1e-2),  # PEFT's examples: 8e-3
    "prefix": Method("prefix tuning (arXiv 2101.00190)", "peft", _PEFT, 1e-2),  # PEFT's examples
    "prompt": Method("prompt tuning (arXiv 2104.08691)", "peft", _PEFT, 3e-2),  # PEFT's examples
    "full": Method("full fine-tuning", "merged", _MERGED, 1e-4),  # a tenth of LoRA's ("LoRA Without Regret")
}
_LORA = ("alora", "lora")
_DORA = Method("DoRA (arXiv 2402.09353)", "merged", _MERGED, 1.5e-3, ranked=True)


def method(kind: Kind, *, dora: bool = False) -> Method:
    return _DORA if dora else METHODS[kind]


def contradiction(given: Mapping[str, Any]) -> str | None:
    """Why the `fit` keys that a recipe gives cannot go together, or None. Values as the recipe has them."""
    kind: Any = given.get("kind", "alora")
    if kind not in METHODS:
        return None  # the type check says it better
    for key in ("rslora", "dora", "lora_plus"):
        if given.get(key) and kind not in _LORA:
            return f"`{key}` changes how a LoRA is trained; kind {kind!r} has no A and B of that kind. Use kind: lora."
    if given.get("dora") and kind == "alora":
        return (
            "DoRA cannot be activated: it normalises the whole weight, and PEFT silently drops the one or the other. "
            "Use kind: lora with dora, or kind: alora without."
        )
    if given.get("galore") and kind != "full":
        return f"GaLore projects the gradients of whole weights; kind {kind!r} does not train them. Use kind: full."
    if given.get("start") and kind not in _LORA:
        return f"`start` goes on from a LoRA package; kind {kind!r} begins anew."
    if given.get("start") and given.get("dora"):
        return "`start` goes on from a LoRA package, which has no magnitudes for DoRA."
    if "virtual_tokens" in given and kind not in ("prefix", "prompt"):
        return f"`virtual_tokens` is for prefix and prompt tuning; kind {kind!r} has none."
    for key in ("rank", "alpha"):
        if key in given and not METHODS[kind].ranked:
            return f"`{key}` means nothing to kind {kind!r}: {METHODS[kind].title} has no rank. Leave it out."
    if kind == "vera" and "alpha" in given:
        return "`alpha` means nothing to kind 'vera': its vectors learn the scale. Leave it out."
    return None
