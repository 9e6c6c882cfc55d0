"""The values that flow through the agent: messages in, results and steps out.

Everything here is frozen and knows nothing of models, adapters on disk or HTTP. Values that cross a
boundary (user input, JSON files) are pydantic models that refuse unknown keys; values made inside are
plain frozen dataclasses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["system", "user", "assistant", "tool"]
JsonSchema = dict[str, Any]


class Boundary(BaseModel):
    """Base of every value that is read from outside: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Boundary):
    """One call of one tool. Also reads the shape of the OpenAI API (`function`, JSON text as arguments)."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
            function = value["function"]
            arguments = function.get("arguments") or {}
            if isinstance(arguments, str):
                arguments = json.loads(arguments)
            return {"name": function.get("name"), "arguments": arguments, "id": value.get("id")}
        return value


class Message(Boundary):
    """One turn of a conversation, in the shape of the OpenAI chat API."""

    role: Role
    content: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_content(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = dict(value)
            if value.get("content") is None:
                value["content"] = ""
            if value.get("tool_calls") is None:
                value.pop("tool_calls", None)
        return value


class Tool(Boundary):
    """A function that may be called: name, one-line description, JSON Schema of its parameters."""

    name: str = Field(min_length=1, max_length=128)
    description: str = ""
    parameters: JsonSchema = Field(default_factory=lambda: {"type": "object", "properties": {}})

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
            function = value["function"]
            return {k: function[k] for k in ("name", "description", "parameters") if k in function}
        return value

    def openai(self) -> dict[str, Any]:
        """The tool object of the OpenAI API."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        }


class Document(Boundary):
    """A passage that an answer may cite by `id`."""

    id: str
    title: str | None = None
    text: str


FinishReason = Literal["stop", "length", "deadline", "cancelled"]


@dataclass(frozen=True)
class Usage:
    """Tokens of one piece of work. `read` were computed, `reused` came from the KV cache, `generated` were
    sampled, `forced` were the only continuation that the grammar allowed (never sampled)."""

    read: int = 0
    reused: int = 0
    generated: int = 0
    forced: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.read + other.read,
            self.reused + other.reused,
            self.generated + other.generated,
            self.forced + other.forced,
        )


@dataclass(frozen=True)
class TokenLogprob:
    """One token of an output: its text, its bytes (a token may end inside a character), the natural-log probability
    under the grammar-masked distribution, and the likeliest tokens at its place, most likely first."""

    token: str
    bytes: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What a decode produced. `logprobs[i]` is the natural-log probability of `tokens[i]` under the
    grammar-masked distribution (0.0 for forced tokens)."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    usage: Usage
    ms: float
    closed_early: bool = False
    """The budget was nearly spent, and the value was finished by the shortest way that the grammar allows."""


@dataclass(frozen=True)
class Route:
    """The router's choice. `adapter` is an adapter's name or "base"; `abstained` means that no choice was
    sure enough and the base model takes the step. `method`: "rule", "head", "prototype" or "decode"."""

    adapter: str
    probabilities: Mapping[str, float]
    abstained: bool = False
    method: str = "head"
    ms: float = 0.0


Verdict = Literal["valid", "invalid", "truncated", "unchecked"]


@dataclass(frozen=True)
class Result:
    """One adapter (or base) call. A failure of the model is data: `ok` is False and `error` says why."""

    adapter: str
    output: Any
    raw: str
    verdict: Verdict
    finish_reason: FinishReason
    usage: Usage
    ms: float
    confidence: float | None = None
    score: float | None = None
    """Calibrated probability of the adapter's positive class where it has one (safety: unsafe)."""
    error: str | None = None
    adapter_digest: str | None = None
    logprobs: tuple[float, ...] = ()
    closed_early: bool = False
    """Valid, but finished by the shortest way because the token budget was nearly spent."""
    token_logprobs: tuple[TokenLogprob, ...] = ()
    """Per token of `raw`, where the caller asked for `top_logprobs`; of tool calls that were put together from several
    decodes, per token of those."""
    preamble: str | None = None
    """The free text before the value, where one was asked for."""
    redecoded: int = 0
    """How often a part was decoded again because a keyword that no grammar expresses did not hold."""

    @property
    def ok(self) -> bool:
        return self.error is None


StepKind = Literal["guard", "route", "adapter", "tool", "retrieve", "answer"]


@dataclass(frozen=True)
class Step:
    """One step of an agent run, as shown to the user and written to the trace."""

    index: int
    kind: StepKind
    adapter: str | None
    """Adapter name, "base", a tool's name for kind "tool", None for "retrieve"."""
    input: Any
    output: Any
    route: Route | None = None
    verdict: Verdict | None = None
    usage: Usage = field(default_factory=Usage)
    ms: float = 0.0
    adapter_digest: str | None = None
    confidence: float | None = None
    score: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


StopReason = Literal[
    "answer",  # the agent answered
    "unanswerable",  # the documents do not hold the answer
    "blocked_input",  # the guard refused the request
    "blocked_output",  # the guard refused the answer
    "step_budget",
    "token_budget",
    "time_budget",
    "cancelled",
    "tool_error",  # tools failed and nothing else could answer
    "model_error",  # an adapter's output stayed invalid or was cut off
]


@dataclass(frozen=True)
class AgentResult:
    """What `Agent.run` returns."""

    output: str
    stop_reason: StopReason
    steps: tuple[Step, ...]
    citations: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "stop_reason": self.stop_reason,
            "citations": list(self.citations),
            "steps": [step.to_json() for step in self.steps],
            "usage": asdict(self.usage),
            "ms": self.ms,
        }


def compact_json(value: Any) -> str:
    """The one JSON spelling of this project: no white space, keys in given order, real Unicode."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
