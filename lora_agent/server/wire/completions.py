"""`/v1/completions`: a text that the base goes on with, as it stands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lora_agent.server.wire.shared import (
    Part,
    ResponseFormat,
    StopTexts,
    StreamOptions,
    StructuredOutputs,
    UsagePart,
    Wire,
    neutral,
)

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "suffix": ("",),
    "echo": (False,),
}


class CompletionRequest(Wire):
    model: str = Field(min_length=1, max_length=256)
    """The base: adapters, `auto` and `agent` read conversations."""
    prompt: str | Annotated[list[str], Field(min_length=1)]
    max_tokens: int | None = Field(default=None, ge=1)
    """16 where it is left out, as in the OpenAI API."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    n: int | None = Field(default=None, ge=1)
    stop: StopTexts | None = None
    logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    user: str | None = None
    """Names a user; it changes nothing."""

    best_of: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    suffix: str | None = None
    echo: bool | None = None

    @field_validator(*_NEUTRAL)
    @classmethod
    def _refuse(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        return neutral(name, value, *_NEUTRAL[name])

    @model_validator(mode="after")
    def _consistent(self) -> CompletionRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream=true")
        if self.response_format is not None and self.structured_outputs is not None:
            raise ValueError("give response_format or structured_outputs, not both")
        return self


class CompletionLogprobs(Part):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(Part):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class CompletionAnswer(Part):
    """Whole, or one event of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsagePart | None = None
