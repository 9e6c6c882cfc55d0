"""The recipe as a whole, with the parts that are too small for a file of their own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..methods import Served
from .data import DataFiles
from .fit import Fit, Sweep, Variant
from .learning import Learning
from .strict import Strict


class Prompt(Strict):
    """How the adapter is called; see lora_agent.registry.spec.PromptSpec."""

    invocation: str | None = None
    """Default: the base's own turn header with the adapter's name as role, closed by special tokens on both
    sides as PEFT's aLoRA wants it."""
    reread: Literal["none", "last_user", "last"] = "last"
    """Reading the last turn again costs its tokens once more, but with the adapter: see decision 003."""
    reread_tokens: int = Field(128, ge=0, le=4096)
    evidence_tokens: int = Field(0, ge=0, le=4096)
    """Of inputs with `documents`: sentences near to the question are repeated too (decision 071)."""
    windows: tuple[Literal["user", "assistant", "tool"], ...] = ()
    """Roles whose last turn, where it is longer than `reread_tokens`, is judged window by window (decision 090)."""
    fields: tuple[str, ...] = ()
    max_new_tokens: int = Field(256, ge=1, le=8192)
    quotes: bool = False
    """Of `output: tool_calls`: `for`, the words that a call serves, is written in front of its `name` where the
    target has it; it is left out of the targets otherwise."""
    parts: Literal["turn", "reread"] = "turn"
    """Of `output: tool_calls`: how one part of a request is put. "reread" wants rows with `about` to train on."""


class Compose(Strict):
    """An adapter made of others, without training; its package passes the same gate as any."""

    method: Literal["linear", "svd", "cat", "ties", "dare_linear", "dare_ties", "merge", "arrow"] = "cat"
    """`cat` puts them side by side, exactly; `svd` brings their sum back to one rank; `linear` averages A and B apart,
    which is rough; `ties` (arXiv 2306.01708) and `dare_*` (arXiv 2311.03099) drop small or random entries and settle
    signs. `merge` writes the sum into the 16-bit base: a model of its own. `arrow` (arXiv 2405.11157) sends every token
    in every layer to the parts whose A it resembles: what AdapterFusion is to bottleneck adapters, untrained."""
    adapters: tuple[str, ...] = Field(min_length=1)
    """Package folders, relative to the recipe; all of the kind that `fit.kind` says and for one base."""
    weights: tuple[float, ...] | None = None
    """One for each. Default: equal shares that sum to 1."""
    density: float = Field(0.5, gt=0, le=1)
    """Share of entries that `ties` and `dare_*` keep."""
    top_k: int = Field(2, ge=1)
    """Parts that `arrow` mixes for a token; the paper finds little beyond the best few."""

    @model_validator(mode="after")
    def _fits(self) -> Compose:
        if self.method != "merge" and len(self.adapters) < 2:
            raise ValueError(f"`{self.method}` combines two adapters or more")
        if self.weights is not None and len(self.weights) != len(self.adapters):
            raise ValueError(f"{len(self.weights)} weights for {len(self.adapters)} adapters")
        if "density" in self.model_fields_set and not self.method.startswith(("ties", "dare")):
            raise ValueError(f"`density` means nothing to `{self.method}`")
        if self.method == "arrow" and (self.weights is not None or self.top_k > len(self.adapters)):
            raise ValueError("`arrow` weighs for itself: leave out `weights`, and give `top_k` of the adapters at most")
        return self


class Score(Strict):
    """The field of the output that decides, and that a calibrated score is given for."""

    pointer: str
    positive: str | bool
    weight: float = Field(1.0, ge=1, le=1000)
    """How many times the token that decides this field counts in the loss. One token in forty says whether a question
    has an answer, and the words of the answer drown it (decision 051). 1: like any other token."""
    max_false_positives: float | None = Field(None, gt=0, lt=1)
    """The risk that the threshold of the score is set from: of what is not positive, at most this share may reach it.
    The package carries the threshold; the guard of the agent blocks by it."""


class Gate(Strict):
    """What must hold on the development rows before the package may be loaded."""

    metric: Literal["exact", "call", "answer", "rewrite", "verdict"] = "exact"
    min_gain: float = 0.02
    """The adapter must beat the prompted base by this much on the metric."""
    min_valid: float = 0.99
    rows: int = Field(200, ge=1)
    base_rows: int = Field(48, ge=8)
    """Of these, how many the prompted base must do: it runs to the end of its budget on most of them."""
    compare_16bit: bool = True
    """Run the adapter on the unquantized base too, on `base_rows` rows. A row of the report, no rule; left out, with
    the reason, where that base cannot be had."""
    max_taken: float = Field(0.2, ge=0, le=1)
    """Share of the example requests on the other adapters' cards that may be routed elsewhere with this one there."""


class Recipe(Strict):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    description: str = Field(min_length=1)
    version: str = "0.1.0"
    data: DataFiles
    input_schema: str
    output_schema: str
    output: Literal["schema", "tool_calls"] = "schema"
    score: Score | None = None
    examples: tuple[str, ...] = ()
    licence: str = "Apache-2.0"
    base: str | None = None
    prompt: Prompt = Prompt()
    fit: Fit = Fit.model_validate({})
    variants: tuple[Literal["alora", "lora"], ...] = ()
    """[alora, lora] packs a plain LoRA beside the activated one, for vLLM (training/stages/variants.py). Off: it costs
    another fit and makes the package larger, by as much again with `variant.rank` left out."""
    variant: Variant = Variant()
    sweep: Sweep | None = None
    learning: Learning = Learning()
    compose: Compose | None = None
    gate: Gate = Gate()

    @property
    def decisive(self) -> Score | None:
        """The scored field, if it weighs more in the loss than other tokens."""
        return self.score if self.score is not None and self.score.weight != 1 else None

    @property
    def served(self) -> Served:
        """How the result can be used."""
        if self.compose is not None and self.compose.method in ("merge", "arrow"):
            return "merged" if self.compose.method == "merge" else "peft"
        return self.fit.method.served

    @property
    def quantized(self) -> bool:
        """Whether the result works on the quantized base, or on the 16-bit one that it is written into."""
        return self.fit.kind != "full" and (self.compose is None or self.compose.method != "merge")

    @model_validator(mode="after")
    def _composable(self) -> Recipe:
        if self.compose is None:
            return self
        trained = [name for name in ("sweep", "learning") if name in self.model_fields_set]
        if trained or self.fit.start is not None or self.fit.kind not in ("alora", "lora"):
            raise ValueError("`compose` trains nothing: leave out `sweep`, `learning` and all of `fit` but `kind`")
        if self.compose.method == "arrow" and self.fit.kind == "alora":
            raise ValueError("PEFT's Arrow layers know no invocation. Compose adapters of kind: lora")
        if self.compose.method == "merge" and self.fit.kind == "alora":
            raise ValueError(
                "an activated LoRA must not touch what comes before its invocation; merged into the base it would. "
                "Merge adapters of kind: lora"
            )
        return self

    @model_validator(mode="after")
    def _windows_are_scored(self) -> Recipe:
        """As the package's card checks (lora_agent.registry.spec), but before hours of training."""
        if self.prompt.windows and (self.score is None or self.prompt.reread != "last"):
            raise ValueError("`prompt.windows` needs a `score`, which chooses among them, and `prompt.reread: last`")
        return self

    @model_validator(mode="after")
    def _variable(self) -> Recipe:
        if self.fit.max_steps == 0 and (self.fit.start is None or self.sweep or self.learning.method != "sft"):
            raise ValueError(
                "`fit.max_steps: 0` trains nothing: give the weights as `fit.start`, no `sweep`, no `learning`"
            )
        if not self.variants:
            if "variant" in self.model_fields_set:
                raise ValueError("`variant` says how a variant is fitted: add `variants: [alora, lora]`")
            return self
        if self.fit.kind != "alora" or set(self.variants) != {"alora", "lora"}:
            raise ValueError(
                f"`variants` {list(self.variants)} with kind {self.fit.kind!r}: only [alora, lora] of an aLoRA can be "
                "built; a plain LoRA needs no variant, it runs everywhere"
            )
        if self.learning.method not in ("sft", "distill"):
            raise ValueError(f"`variants` are built from targets, not by {self.learning.method!r}")
        if (self.variant.rank or 0) > self.fit.rank:
            raise ValueError(f"`variant.rank` {self.variant.rank} is cut from `fit.rank`, which is {self.fit.rank}")
        if self.fit.max_steps == 0 and self.variant.max_steps is None:
            raise ValueError("`variant.max_steps` is a quarter of the fit's by default, which is 0 here: give it")
        return self

    @model_validator(mode="after")
    def _learnable(self) -> Recipe:
        beyond_targets = self.learning.by_trl or self.learning.method == "on_policy"
        if beyond_targets and self.fit.kind not in ("alora", "lora"):
            raise ValueError(f"`{self.learning.method}` trains a LoRA or an aLoRA, not kind {self.fit.kind!r}")
        own = {"sweep": self.sweep, "fit.lora_plus": self.fit.lora_plus, "fit.evaluate_every": self.fit.evaluate_every}
        given = [name for name, value in own.items() if value is not None]
        if self.decisive is not None:
            if self.learning.method not in ("sft", "distill"):
                raise ValueError(f"`score.weight` is for supervised fits, not for {self.learning.method!r}")
            if self.fit.method.served == "peft":
                raise ValueError(f"`score.weight` is not built for kind {self.fit.kind!r}: leave it out")
        if self.fit.name_weight != 1:
            if self.output != "tool_calls" or self.decisive is not None:
                raise ValueError("`fit.name_weight` is for `output: tool_calls`, and instead of `score.weight`")
            if self.learning.method not in ("sft", "distill") or self.fit.method.served == "peft":
                raise ValueError("`fit.name_weight` is for supervised fits of a LoRA or an aLoRA")
        if self.learning.by_trl and given:
            raise ValueError(
                f"`{given[0]}` is for supervised fits; `{self.learning.method}` runs through TRL's trainer"
            )
        return self
