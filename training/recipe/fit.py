"""`fit`, `sweep`, `variant`: the adapter's kind, and how it is optimised."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import Field, model_validator

from ..methods import METHODS, Kind, Method, contradiction, method
from .strict import Strict


class Fit(Strict):
    """The optimisation. Defaults follow "LoRA Without Regret" and the learning-rate studies arXiv 2602.04998.

    The base is quantized (NF4) for every kind but `full`: a LoRA on it is what QLoRA is (arXiv 2305.14314)."""

    kind: Kind = "alora"
    """aLoRA because a switch of adapters then costs tens of tokens, not the whole context (decision 003). How each
    kind can be served is in training/methods.py; the plan prints it."""
    rank: int = Field(16, ge=1, le=256)
    """16 on every linear layer of a 135M base is 9.8 MB in bfloat16, under the 12 MB that a package may weigh."""
    alpha: int = Field(32, ge=1)
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (arXiv 2312.03732). Off: at rank 16 it is a learning rate four times as high."""
    dora: bool = False
    """Train magnitudes too (arXiv 2402.09353). Off: it can only be served merged, and with the learning rate tuned it
    gains one or two per cent (arXiv 2601.22708)."""
    lora_plus: float | None = Field(None, ge=1)
    """How many times faster B learns than A (arXiv 2402.12354, which uses 16). Off: it is one more rate to tune."""
    virtual_tokens: int = Field(16, ge=1, le=512)
    """Of prefix and prompt tuning; the papers find little gain above 20."""
    galore: int | None = Field(None, ge=1)
    """For `full`: keep the optimizer's state in this rank (arXiv 2403.03507). Off: full fine-tuning is a deliberate
    escalation, and where it fits in memory the whole state trains better."""
    learning_rate: float = Field(gt=0)
    """Default by kind, with the reason: training/methods.py."""
    start: str | None = None
    """A package, relative to the recipe, whose weights to go on from (same base and layers; a higher rank is cut down
    to this one's). Its rows count as seen: a recipe that goes on wants another seed, to draw other rows, and a lower
    rate. Default: none."""
    batch_rows: int = Field(8, ge=1)
    """Runs of a thousand rows need steps more than they need smooth gradients; LoRA loses quality above 32."""
    epochs: int | None = Field(None, ge=1)
    """Default: as many as show the adapter some 800 rows, at most 8. Small sets need repetition to learn their form;
    beyond that a rank-16 adapter starts to recite."""
    max_steps: int | None = Field(None, ge=0)
    """Stop after this many steps, whatever `epochs` says; 0 leaves the weights of `start` as they are, to give a
    finished adapter a new gate, card or variant. Default: no such limit."""
    max_rows: int | None = Field(None, ge=1)
    """Rows to train on at most, chosen by whole groups."""
    warmup: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    max_tokens: int = Field(1024, ge=16)
    """A longer row is dropped and counted, never cut."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the multiplications: `auto` is bfloat16 where the processor has arithmetic for it, up to twice as fast
    (decision 072). Trained weights, their gradients and the loss are float32 in any case; so is all of preference
    learning and of prefix and prompt tuning."""
    seed: int = 0
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between evaluations on development rows by the gate's metric; the best weights are kept. Off: a decode of
    32 rows takes as long as some twenty steps, and runs of a few hundred steps end before they overfit."""
    evaluate_rows: int = Field(32, ge=4)
    """Development rows that the gate does not look at, else rows held out of the training set."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations without a better one. Needs `evaluate_every`."""
    name_weight: float = Field(1.0, gt=0)
    """How often the tokens of a called tool's name count in the loss (`output: tool_calls`, supervised): which tool is
    one of the least of a call's tokens and the first thing to go wrong (decision 055)."""
    report_to: tuple[str, ...] = Field((), exclude=True)
    """Trackers of `accelerate.tracking` that are told what metrics.jsonl is told. None by default: nothing leaves the
    machine unasked. Left out of every dump, so that no stage's digest depends on it."""

    @model_validator(mode="before")
    @classmethod
    def _known_and_possible(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        problem = contradiction(value)
        if problem is not None:
            raise ValueError(problem)
        if value.get("patience") and not value.get("evaluate_every"):
            raise ValueError("`patience` counts evaluations: give `evaluate_every` too.")
        kind = value.get("kind", "alora")
        rate = method(kind).learning_rate if kind in METHODS else 1.0
        return {"learning_rate": rate, **value}

    @property
    def method(self) -> Method:
        return method(self.kind, dora=self.dora)

    @property
    def spec_kind(self) -> Literal["alora", "lora"]:
        """What an engine must do to serve it: share the base's keys and values, or not."""
        return "alora" if self.kind == "alora" else "lora"


class Sweep(Strict):
    """Short runs before the real one; the setting with the best task metric on development rows wins. Off unless the
    recipe has `sweep:` (an empty one takes these defaults) or --sweep is given."""

    learning_rate: tuple[float, ...] = ()
    """Default: a third, one and three times `fit.learning_rate`. The rate comes first because it matters more than the
    variant does (arXiv 2601.22708, 2602.04998)."""
    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Further keys of `fit` with the values to try, such as {rank: [8, 32]}; each axis is tried at the best of those
    before it, so that n axes cost the sum of their values and not the product."""
    fraction: float = Field(0.15, gt=0, le=1)
    """Of the real run's steps. Learning-rate studies rank rates on 10 to 20 per cent."""
    rows: int = Field(48, ge=8)
    """Development rows that decide."""

    @model_validator(mode="after")
    def _sensible(self) -> Sweep:
        if any(not rate > 0 for rate in self.learning_rate):
            raise ValueError(f"a learning rate must be positive: {self.learning_rate}")
        unknown = [k for k in self.axes if k not in Fit.model_fields or k in _NOT_SWEPT]
        if unknown:
            near = difflib.get_close_matches(unknown[0], Fit.model_fields, 1)
            raise ValueError(f"`{unknown[0]}` is no axis of `fit`" + (f"; did you mean `{near[0]}`?" if near else ""))
        return self


_NOT_SWEPT = frozenset(
    "kind dora learning_rate start epochs max_rows max_tokens max_steps seed"
    " evaluate_every evaluate_rows patience report_to".split()
)
"""The rate has its own key; kind and dora decide how the result is served, which the plan has promised; the others
change the rows or the length of a run, so that runs would not compare, or nothing at all."""


class Variant(Strict):
    """How the plain LoRA of `variants` is fitted, from the adapter's own weights (decision 046)."""

    rank: int | None = Field(None, ge=1, le=256)
    """At most `fit.rank`, which is the default. A package holds both adapters, so that a smaller one keeps it small."""
    learning_rate: float | None = Field(None, gt=0)
    """Default: 0.3 of the fit's. The weights are nearly right, and a full rate would forget that first."""
    max_steps: int | None = Field(None, ge=0)
    """Default: a quarter of the fit's. 0 takes the weights of `start` as they are."""
    start: str | None = None
    """A folder with a plain LoRA's weights of this rank, relative to the recipe, to go on from instead of the adapter's
    own: that of an earlier version (`../../adapters/NAME/variants/lora`), which is gated anew."""

    @model_validator(mode="after")
    def _has_weights(self) -> Variant:
        if self.max_steps == 0 and self.start is None:
            raise ValueError("`variant.max_steps: 0` trains nothing: give the weights as `variant.start`")
        return self
