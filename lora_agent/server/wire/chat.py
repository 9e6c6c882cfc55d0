"""`/v1/chat/completions`: the request as OpenAI's clients send it, and the answers, whole and in chunks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lora_agent.server.wire.shared import (
    DocumentPart,
    FunctionTool,
    LogprobPart,
    Part,
    ResponseFormat,
    StopTexts,
    StreamOptions,
    StructuredOutputs,
    TextPart,
    ToolChoice,
    UsagePart,
    Wire,
    neutral,
)

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class FunctionCall(Wire):
    name: str
    arguments: str


class ToolCallPart(Wire):
    id: str
    type: Literal["function"]
    function: FunctionCall


class ChatMessage(Wire):
    """A turn. Contents are texts: no picture, sound or file is read, and no address is opened."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCallPart] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = Field(default=None, max_length=0)
    audio: None = None
    function_call: None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or self.refusal or ""


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "functions": ([],),
    "function_call": (),
}


class ChatRequest(Wire):
    model: str = Field(min_length=1, max_length=256)
    """An adapter's name, "base", "auto" (the router chooses) or "agent" (the whole loop, with the server's tools)."""
    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0, the most likely token, where it is left out: a base this small loses the thread when it is sampled."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    n: int | None = Field(default=None, ge=1)
    stop: StopTexts | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    """vLLM's: `json`, `regex` or `choice`."""
    documents: list[DocumentPart] | None = None
    """Passages to answer from (`retrieval`, `auto`, `agent`)."""
    inputs: dict[str, Any] | None = None
    """Further fields of an adapter's input schema, such as `target` of `safety`."""

    user: str | None = None
    """Names a user; changes nothing."""
    safety_identifier: str | None = None
    """Names a user; changes nothing."""
    prompt_cache_key: str | None = None
    """The prefix cache is always on; changes nothing."""
    prompt_cache_retention: str | None = None
    """The prefix cache is always on; changes nothing."""

    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    modalities: list[str] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    functions: list[Any] | None = None
    function_call: Any = None

    @field_validator(*_NEUTRAL)
    @classmethod
    def _refuse(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        return neutral(name, value, *_NEUTRAL[name])

    @model_validator(mode="after")
    def _consistent(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs=true")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream=true")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("give max_completion_tokens or max_tokens, not both")
        if self.response_format is not None and self.structured_outputs is not None:
            raise ValueError("give response_format or structured_outputs, not both")
        return self


class AnswerFunction(Part):
    name: str
    arguments: str


class AnswerToolCall(Part):
    id: str
    type: Literal["function"] = "function"
    function: AnswerFunction


class AnswerMessage(Part):
    role: Literal["assistant"] = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[AnswerToolCall] | None = None


class Logprobs(Part):
    content: list[LogprobPart] | None = None
    refusal: None = None


class Choice(Part):
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: FinishReason


class ChatAnswer(Part):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    """What answered: a name, and for an adapter `@` and the digest of its package."""
    choices: list[Choice]
    usage: UsagePart
    lora_agent: dict[str, Any]
    """This server's own: adapter, route, verdict, confidence, score, tokens read, reused, generated and forced, time,
    and for `agent` every step."""


class DeltaFunction(Part):
    name: str | None = None
    arguments: str | None = None


class DeltaToolCall(Part):
    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: DeltaFunction


class Delta(Part):
    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[DeltaToolCall] | None = None


class ChunkChoice(Part):
    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class ChatChunk(Part):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsagePart | None = None
    lora_agent: dict[str, Any] | None = None
