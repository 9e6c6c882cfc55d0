"""`/v1/responses`: the request as OpenAI's clients send it, and the response object. Nothing is stored here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from lora_agent.server.wire.shared import (
    DocumentPart,
    FunctionDefinition,
    FunctionTool,
    JsonObjectFormat,
    LogprobPart,
    NamedSchema,
    NamedToolChoice,
    Part,
    TextFormat,
    TextPart,
    Wire,
    neutral,
)
from lora_agent.types import JsonSchema, Usage


class InputMessage(Wire):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class InputCall(Wire):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class InputCallOutput(Wire):
    type: Literal["function_call_output"]
    call_id: str
    output: str | list[TextPart]
    id: str | None = None
    status: str | None = None


InputItem = InputMessage | InputCall | InputCallOutput


class ResponseTool(FunctionDefinition):
    """A function, without the wrapping of the chat API."""

    type: Literal["function"]

    def chat(self) -> FunctionTool:
        return FunctionTool(
            type="function",
            function=FunctionDefinition(name=self.name, description=self.description, parameters=self.parameters),
        )


class ResponseToolName(Wire):
    type: Literal["function"]
    name: str

    def chat(self) -> NamedToolChoice:
        return NamedToolChoice.model_validate({"type": "function", "function": {"name": self.name}})


class ResponseSchema(NamedSchema):
    type: Literal["json_schema"]


ResponseTextFormat = Annotated[TextFormat | JsonObjectFormat | ResponseSchema, Field(discriminator="type")]


class ResponseText(Wire):
    format: ResponseTextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ResponseStreamOptions(Wire):
    include_obfuscation: Literal[False] | None = None


class Reasoning(Wire):
    effort: Literal["none"] | None = None
    summary: None = None


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "store": (False,),
    "background": (False,),
    "previous_response_id": (),
    "conversation": (),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "max_tool_calls": (),
    "prompt": (),
    "context_management": (),
}


class ResponseRequest(Wire):
    model: str = Field(min_length=1, max_length=256)
    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolName | None = None
    parallel_tool_calls: bool | None = None
    text: ResponseText | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    include: list[Literal["message.output_text.logprobs"]] | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    reasoning: Reasoning | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    """Sent back as it came."""
    documents: list[DocumentPart] | None = None
    """As in `/v1/chat/completions`."""
    inputs: dict[str, Any] | None = None
    """As in `/v1/chat/completions`."""

    user: str | None = None
    """Names a user; changes nothing."""
    safety_identifier: str | None = None
    """Names a user; changes nothing."""
    prompt_cache_key: str | None = None
    """The prefix cache is always on; changes nothing."""
    prompt_cache_retention: str | None = None
    """The prefix cache is always on; changes nothing."""

    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    truncation: str | None = None
    service_tier: str | None = None
    max_tool_calls: int | None = None
    prompt: Any = None
    context_management: Any = None

    @field_validator(*_NEUTRAL)
    @classmethod
    def _refuse(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        return neutral(name, value, *_NEUTRAL[name])


class OutputText(Part):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = Field(default_factory=list)
    logprobs: list[LogprobPart] = Field(default_factory=list)


class OutputMessage(Part):
    type: Literal["message"] = "message"
    id: str
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class OutputCall(Part):
    type: Literal["function_call"] = "function_call"
    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"]


class InputTokensDetails(Part):
    cached_tokens: int


class OutputTokensDetails(Part):
    reasoning_tokens: int = 0


class ResponseUsage(Part):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> ResponseUsage:
        read, written = usage.read + usage.reused, usage.generated + usage.forced
        return cls(
            input_tokens=read,
            input_tokens_details=InputTokensDetails(cached_tokens=usage.reused),
            output_tokens=written,
            output_tokens_details=OutputTokensDetails(),
            total_tokens=read + written,
        )


class Incomplete(Part):
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseObject(Part):
    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete"]
    incomplete_details: Incomplete | None = None
    error: None = None
    model: str
    output: list[OutputMessage | OutputCall]
    instructions: str | None = None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    temperature: float
    top_p: float
    tool_choice: Any
    tools: list[dict[str, Any]]
    text: dict[str, Any]
    max_output_tokens: int | None = None
    previous_response_id: None = None
    reasoning: dict[str, None]
    store: Literal[False] = False
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    user: str | None = None
    lora_agent: dict[str, JsonSchema | Any] | None = None
    """As in `/v1/chat/completions`."""
