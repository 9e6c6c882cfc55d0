"""A recipe: what one adapter is built from. YAML, frozen, unknown keys refused; each default has its reason here."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lora_agent.errors import ConfigError

from .methods import METHODS, Kind, Method, Served, contradiction, method


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubData(_Strict):
    """A data set on the Hugging Face Hub: a JSON Lines `file` of it, or a `split` that the library datasets reads."""

    id: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = Field(min_length=1)
    """A commit, or a tag. Not optional: a branch moves, and the rows with it."""
    file: str | None = None
    split: str | None = None
    config: str | None = None

    @model_validator(mode="after")
    def _one(self) -> HubData:
        if (self.file is None) == (self.split is None):
            raise ValueError("give one of `file` and `split`")
        return self


class GitFile(_Strict):
    url: str = Field(pattern=r"^(https?://|ssh://|git://|file:///|git@)")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    path: str = Field(min_length=1)


class Generator(_Strict):
    """A function of the user's own: (seed, rows) → objects as lines of a data file. It runs in this process."""

    file: str
    function: str = "rows"
    seed: int = 0
    rows: int = Field(1000, ge=1)


class Source(_Strict):
    """Rows from elsewhere: one of the three. They are fetched once and kept in the cache."""

    hub: HubData | None = None
    git: GitFile | None = None
    python: Generator | None = None

    @model_validator(mode="after")
    def _one(self) -> Source:
        if sum(part is not None for part in (self.hub, self.git, self.python)) != 1:
            raise ValueError("give one of `hub`, `git` and `python`")
        return self


class DataFiles(_Strict):
    """JSON Lines files, relative to the recipe or to --data, or sources that such files are fetched from."""

    train: str | Source
    dev: str | Source | None = None
    """Without it a tenth of the train groups is held out."""
    licence: str = "unstated"
    """Of the rows that do not name a public set as their source; it is written on the card."""
    decontaminate: str | None = None
    """List of hashed test-set n-grams (training/data/decontaminate.py). Default: the one in LORA_AGENT_DATA."""

    @property
    def origin(self) -> dict[str, Any]:
        """Where the train rows were fetched from; empty for a file here."""
        return {} if isinstance(self.train, str) else self.train.model_dump(mode="json", exclude_none=True)


class Prompt(_Strict):
    """How the adapter is called; see lora_agent.registry.spec.PromptSpec."""

    invocation: str | None = None
    """Default: the base's own turn header with the adapter's name as role, closed by special tokens on both
    sides as PEFT's aLoRA wants it."""
    reread: Literal["none", "last_user", "last"] = "last"
    """Reading the last turn again costs its tokens once more, but with the adapter: see decision 003."""
    reread_tokens: int = Field(128, ge=0, le=4096)
    fields: tuple[str, ...] = ()
    max_new_tokens: int = Field(256, ge=1, le=8192)


class Fit(_Strict):
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
    seed: int = 0
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between evaluations on development rows by the gate's metric; the best weights are kept. Off: a decode of
    32 rows takes as long as some twenty steps, and runs of a few hundred steps end before they overfit."""
    evaluate_rows: int = Field(32, ge=4)
    """Development rows that the gate does not look at, else rows held out of the training set."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations without a better one. Needs `evaluate_every`."""
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


class Sweep(_Strict):
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


class Budget(_Strict):
    """What a teacher may cost, counted over all runs into one folder. What is left unasked is counted in the report."""

    requests: int | None = Field(None, ge=1)
    tokens: int | None = Field(None, ge=1)
    """Prompt and completion together, as the endpoint counts them."""


class Teacher(_Strict):
    """Who answers the lines that have no target (training/teachers/)."""

    kind: Literal["endpoint", "local", "base"]
    """`endpoint` speaks the OpenAI API over HTTP; `local` is another model on this machine; `base` is the adapter's own
    base with a long prompt and the grammar, which needs no second model."""
    model: str | None = None
    """The name that the endpoint knows, or for `local` a Hugging Face id or a folder."""
    url: str | None = Field(None, pattern=r"^https?://[^/]")
    """Of an endpoint, with its version: http://127.0.0.1:8000/v1."""
    api_key_env: str = "OPENAI_API_KEY"
    """The variable that holds the key; sent only if it is set, stored nowhere."""
    instructions: str | None = None
    """What the teacher is told besides the adapter's description and its output schema."""
    examples: int = Field(3, ge=0, le=32)
    """Lines with a target that it is shown; the first ones of the data."""
    samples: int = Field(1, ge=1, le=32)
    """Answers per line. More than one are drawn at a temperature of 0.7, and the commonest valid one is taken."""
    agreement: float = Field(0.5, ge=0, le=1)
    """Share of the samples that must give the chosen answer (self-consistency, arXiv 2203.11171), the same as the
    gate's metric judges it."""
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int = Field(512, ge=1)
    concurrency: int = Field(8, ge=1, le=256)
    timeout: float = Field(60, gt=0)
    """Seconds that one request may take."""
    retries: int = Field(6, ge=0)
    """After 429, 5xx, time-outs and broken answers: waits of about 1, 2, 4 ... seconds, or what Retry-After says."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The `response_format` asked for; an endpoint that knows none wants `none`. Answers are checked either way."""
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _complete(self) -> Teacher:
        wanted = {"endpoint": ("url", "model"), "local": ("model",), "base": ()}[self.kind]
        for name in wanted:
            if getattr(self, name) is None:
                raise ValueError(f"a teacher of kind {self.kind!r} needs `{name}`")
        return self


class Learning(_Strict):
    """How the adapter learns; which adapter it is stands in `fit`."""

    method: Literal["sft", "distill", "on_policy", "dpo", "kto", "grpo"] = "sft"
    """`sft` learns the targets in the data; `distill` has a teacher write those that are missing first. `on_policy`
    matches a local teacher's probabilities on what the adapter itself writes (arXiv 2306.13649). `dpo` and `kto`
    learn from rejected answers as well, `grpo` from rewards for its own: these three go best on from a package that
    learned its form by `sft` (`fit.start`), since they choose between answers and teach no new ones."""
    teacher: Teacher | None = None
    learning_rate: float | None = Field(None, gt=0)
    """Of `dpo`, `kto` and `grpo`, in place of `fit.learning_rate`. Default: 1e-4, a fifteenth of what targets take: ten
    times the rates of full fine-tuning by these methods, as "LoRA Without Regret" finds for LoRA."""
    beta: float | None = Field(None, ge=0)
    """For `on_policy` the divergence: 0 forward, 1 reverse Kullback-Leibler, Jensen-Shannon between; default 1, which
    seeks the teacher's mode, as TRL. Else the weight of staying near the reference; default 0.1 for `dpo` and `kto`
    (their papers), 0 for `grpo` (as TRL, after arXiv 2503.20783)."""
    generations: int = Field(8, ge=2, le=64)
    """Answers that `grpo` draws for one prompt and compares with each other: TRL's default."""
    temperature: float = Field(1.0, gt=0)
    """At which `grpo` and `on_policy` draw the adapter's own answers: 1 keeps them the policy's own."""
    program: str | None = None
    """`file.py:function` for `grpo`: (input, output) → 0 to 1, the reward of running the output."""

    @property
    def by_trl(self) -> bool:
        return self.method in ("dpo", "kto", "grpo")

    @property
    def rate(self) -> float:
        return self.learning_rate or 1e-4

    @property
    def strength(self) -> float:
        return self.beta if self.beta is not None else {"grpo": 0.0, "on_policy": 1.0}.get(self.method, 0.1)

    @model_validator(mode="after")
    def _taught(self) -> Learning:
        if self.method == "distill" and self.teacher is None:
            raise ValueError("`distill` needs a teacher: learning: {method: distill, teacher: {kind: ...}}")
        if self.method == "sft" and self.teacher is not None:
            raise ValueError("`sft` has no use for a teacher; did you mean `method: distill`?")
        if self.method == "on_policy":
            if self.teacher is None or self.teacher.kind == "endpoint":
                raise ValueError("`on_policy` needs a teacher's probabilities: teacher: {kind: local | base}")
            if self.strength > 1:
                raise ValueError("`beta` of `on_policy` lies between 0 and 1")
        own = {"learning_rate": self.by_trl, "beta": self.by_trl or self.method == "on_policy"}
        own |= {"temperature": self.method in ("grpo", "on_policy")}
        own |= dict.fromkeys(("generations", "program"), self.method == "grpo")
        for name, meant in own.items():
            if name in self.model_fields_set and not meant:
                raise ValueError(f"`{name}` means nothing to `{self.method}`")
        return self


class Compose(_Strict):
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


class Variant(_Strict):
    """How the plain LoRA of `variants` is fitted, from the adapter's own weights (decision 046)."""

    rank: int | None = Field(None, ge=1, le=256)
    """At most `fit.rank`, which is the default. A package holds both adapters, so that a smaller one keeps it small."""
    learning_rate: float | None = Field(None, gt=0)
    """Default: 0.3 of the fit's. The weights are nearly right, and a full rate would forget that first."""
    max_steps: int | None = Field(None, ge=1)
    """Default: a quarter of the fit's."""


class Score(_Strict):
    pointer: str
    positive: str | bool


class Gate(_Strict):
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


class Recipe(_Strict):
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
    def _variable(self) -> Recipe:
        if self.fit.max_steps == 0 and (self.fit.start is None or self.learning.by_trl):
            raise ValueError(
                "`fit.max_steps: 0` trains nothing: it is for `sft` and the weights that `fit.start` names"
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
        if self.learning.by_trl and given:
            raise ValueError(
                f"`{given[0]}` is for supervised fits; `{self.learning.method}` runs through TRL's trainer"
            )
        return self


def read_recipe(path: Path) -> Recipe:
    """Raises ConfigError with the place of the mistake and, for an unknown key, the nearest known one."""
    try:
        raw: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {str(path)!r}: {error.strerror}", hint="Check the path.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{str(path)!r} is not YAML: {error}", hint="Mend the line named above.") from error
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        first, *others = error.errors()
        if first["loc"][-1:] == ("str",):  # not a name, so a source: its own fault says what is wrong
            own = [e for e in others if e["loc"][:2] == first["loc"][:2]]
            first = next((e for e in own if e["type"] == "extra_forbidden"), own[0] if own else first)
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        raise ConfigError(f"{path.name}: {where}: {first['msg']}", hint=_suggest(first)) from error


def _suggest(problem: Any) -> str:
    if problem["type"] != "extra_forbidden":
        return "See training/recipe.py for every key with its default and the reason for it."
    model: Any = Recipe
    for part in problem["loc"][:-1]:
        if part in model.model_fields:  # else the name of a union's member
            annotation = model.model_fields[part].annotation
            model = next((a for a in get_args(annotation) if hasattr(a, "model_fields")), annotation)
    near = difflib.get_close_matches(str(problem["loc"][-1]), model.model_fields, 1)
    return f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(model.model_fields)}."
