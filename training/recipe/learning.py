"""`learning`: what an adapter learns from, and from whom."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .strict import Strict


class Budget(Strict):
    """What a teacher may cost, counted over all runs into one folder. What is left unasked is counted in the report."""

    requests: int | None = Field(None, ge=1)
    tokens: int | None = Field(None, ge=1)
    """Prompt and completion together, as the endpoint counts them."""


class Teacher(Strict):
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


class Learning(Strict):
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
