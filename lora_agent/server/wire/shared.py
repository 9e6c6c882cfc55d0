"""Fields that several requests have in common: text parts, tools, response formats, usage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lora_agent.types import JsonSchema, TokenLogprob, Usage


class Wire(BaseModel):
    """A request or a part of one: unknown fields are refused, types are not bent ("1" is no number)."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, frozen=True, strict=True, use_attribute_docstrings=True
    )


class Part(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


StopText = Annotated[str, Field(min_length=1, max_length=256)]
StopTexts = StopText | Annotated[list[StopText], Field(max_length=4)]


class TextPart(Wire):
    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: list[Any] | None = Field(default=None, max_length=0)
    logprobs: list[Any] | None = Field(default=None, exclude=True)


class FunctionDefinition(Wire):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.-]+$")
    description: str | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None
    """Accepted for compatibility: arguments always follow `parameters`."""


class FunctionTool(Wire):
    type: Literal["function"]
    function: FunctionDefinition

    def openai(self) -> dict[str, Any]:
        return {
            "name": self.function.name,
            "description": self.function.description or "",
            "parameters": self.function.parameters or {"type": "object", "properties": {}},
        }


class FunctionName(Wire):
    name: str


class NamedToolChoice(Wire):
    type: Literal["function"]
    function: FunctionName


ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice


class TextFormat(Wire):
    type: Literal["text"]


class JsonObjectFormat(Wire):
    type: Literal["json_object"]


class NamedSchema(Wire):
    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    json_schema: JsonSchema = Field(alias="schema")
    strict: bool | None = None
    """Accepted for compatibility: the answer always follows the schema."""


class JsonSchemaFormat(Wire):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StructuredOutputs(Wire):
    """vLLM's parameter: one of a JSON Schema, a regular expression, a list of texts."""

    model_config = ConfigDict(populate_by_name=True)

    json_schema: JsonSchema | None = Field(default=None, alias="json")
    regex: str | None = Field(default=None, max_length=4096)
    choice: list[str] | None = Field(default=None, min_length=1, max_length=256)

    @field_validator("choice")
    @classmethod
    def _texts(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and not all(value):
            raise ValueError("a choice is an empty text")
        return value


class DocumentPart(Wire):
    """A passage that the answer may cite by `id`."""

    id: str = Field(min_length=1, max_length=128)
    title: str | None = None
    text: str


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


def neutral(name: str, value: Any, *harmless: Any) -> Any:
    """A parameter that this engine has not: refused unless it asks for what happens anyway."""
    if value is not None and value not in harmless:
        allowed = " or ".join(repr(item) for item in harmless)
        wanted = f"leave it out{f' or send {allowed}' if harmless else ''}"
        raise ValueError(f"{name}={value!r:.60} is not supported here; {wanted}")
    return value


class PromptTokensDetails(Part):
    cached_tokens: int = 0


class CompletionTokensDetails(Part):
    reasoning_tokens: int = 0


class UsagePart(Part):
    """Tokens of one answer. `cached_tokens` came from the KV cache. Forced tokens (the only continuation that the
    grammar allowed) are completion tokens as well."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    forced_tokens: int = 0

    @classmethod
    def of(cls, usage: Usage) -> UsagePart:
        read, written = usage.read + usage.reused, usage.generated + usage.forced
        return cls(
            prompt_tokens=read,
            completion_tokens=written,
            total_tokens=read + written,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.reused),
            forced_tokens=usage.forced,
        )


class LogprobPart(Part):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[LogprobPart] = Field(default_factory=list)

    @classmethod
    def of(cls, entry: TokenLogprob) -> LogprobPart:
        return cls(
            token=entry.token,
            logprob=entry.logprob,
            bytes=list(entry.bytes),
            top_logprobs=[cls.of(likely) for likely in entry.top],
        )
