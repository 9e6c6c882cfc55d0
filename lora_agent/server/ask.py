"""What a request wants of the engine, whichever of the three APIs it came through.

Reads wire values into one frozen `Ask`. Knows no engine: names of models are looked up when it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from lora_agent.errors import MessagesError
from lora_agent.render import read_messages
from lora_agent.server.bounds import at_most, check_schema, read_budget, read_documents, read_tool_choice
from lora_agent.server.failures import ApiError
from lora_agent.server.settings import ServerSettings
from lora_agent.server.wire.chat import ChatMessage, ChatRequest
from lora_agent.server.wire.completions import CompletionRequest
from lora_agent.server.wire.responses import (
    InputCall,
    InputCallOutput,
    InputItem,
    InputMessage,
    ResponseRequest,
    ResponseSchema,
    ResponseToolName,
)
from lora_agent.server.wire.shared import JsonObjectFormat, JsonSchemaFormat, TextPart
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.types import Document, JsonSchema, Message, Tool

ANY_OBJECT: JsonSchema = {"type": "object"}


@dataclass(frozen=True)
class Ask:
    model: str
    messages: tuple[Message, ...] = ()
    text: str | None = None
    """A text to go on with as it stands, instead of messages."""
    tools: tuple[Tool, ...] = ()
    calls: tuple[int, int] = (0, MAX_CALLS)
    """The least and the most tool calls."""
    documents: tuple[Document, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    schema: JsonSchema | None = None
    regex: str | None = None
    choices: tuple[str, ...] | None = None
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    n: int = 1

    @property
    def constrained(self) -> bool:
        return self.schema is not None or self.regex is not None or self.choices is not None


def read_chat(body: ChatRequest, settings: ServerSettings) -> Ask:
    """Raises ApiError with the parameter's name, or the InputError of what is wrong in it."""
    at_most("messages", len(body.messages), settings.max_messages)
    at_most("n", body.n or 1, settings.max_choices)
    budget = body.max_completion_tokens or body.max_tokens
    shape = _shape(body, settings)
    tools, calls = read_tool_choice(body.tools, body.tool_choice, body.parallel_tool_calls, settings)
    return Ask(
        model=body.model,
        messages=_messages(body.messages),
        tools=tools,
        calls=calls,
        documents=read_documents(body.documents, settings),
        inputs=body.inputs or {},
        max_tokens=read_budget(budget, settings),
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=_stops(body.stop),
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        n=body.n or 1,
        **shape,
    )


def read_completion(body: CompletionRequest, settings: ServerSettings) -> list[Ask]:
    """One ask for every prompt."""
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    at_most("prompt", len(prompts), settings.max_choices)
    at_most("n", body.n or 1, settings.max_choices)
    shape = _shape(body, settings)
    return [
        Ask(
            model=body.model,
            text=prompt,
            max_tokens=read_budget(body.max_tokens or 16, settings),
            temperature=body.temperature or 0.0,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=body.seed,
            stop=_stops(body.stop),
            top_logprobs=body.logprobs,
            n=body.n or 1,
            **shape,
        )
        for prompt in prompts
    ]


def read_response(body: ResponseRequest, settings: ServerSettings) -> Ask:
    """`instructions` become the system turn; calls and their outputs the turns of a chat."""
    items = [InputMessage(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    at_most("input", len(items), settings.max_messages)
    turns = [_turn(item) for item in items]
    if body.instructions:
        turns.insert(0, Message(role="system", content=body.instructions))
    wanted = body.text.format if body.text is not None else None
    shape: dict[str, Any] = {}
    if isinstance(wanted, JsonObjectFormat):
        shape = {"schema": ANY_OBJECT}
    elif isinstance(wanted, ResponseSchema):
        shape = _schema(wanted.json_schema, "text.format", settings)
    choice = body.tool_choice.chat() if isinstance(body.tool_choice, ResponseToolName) else body.tool_choice
    given = [tool.chat() for tool in body.tools or ()]
    tools, calls = read_tool_choice(given, choice, body.parallel_tool_calls, settings)
    with_logprobs = body.include or body.top_logprobs is not None
    return Ask(
        model=body.model,
        messages=read_messages(turns),
        tools=tools,
        calls=calls,
        documents=read_documents(body.documents, settings),
        inputs=body.inputs or {},
        max_tokens=read_budget(body.max_output_tokens, settings),
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_logprobs=(body.top_logprobs or 0) if with_logprobs else None,
        **shape,
    )


def _turn(item: InputItem) -> Message:
    if isinstance(item, InputCallOutput):
        return Message(role="tool", content=_plain(item.output), tool_call_id=item.call_id)
    if isinstance(item, InputCall):
        function = {"name": item.name, "arguments": item.arguments}
        return _message({"role": "assistant", "tool_calls": [{"id": item.call_id, "function": function}]}, "input")
    role = "system" if item.role == "developer" else item.role
    return Message(role=role, content=_plain(item.content))


def _plain(content: str | Sequence[TextPart]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _stops(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _shape(body: ChatRequest | CompletionRequest, settings: ServerSettings) -> dict[str, Any]:
    """What the text must look like: at most one of schema, regex and choices."""
    if isinstance(body.response_format, JsonObjectFormat):
        return {"schema": ANY_OBJECT}
    if isinstance(body.response_format, JsonSchemaFormat):
        return _schema(body.response_format.json_schema.json_schema, "response_format", settings)
    wanted = body.structured_outputs
    if wanted is None:
        return {}
    if sum(value is not None for value in (wanted.json_schema, wanted.regex, wanted.choice)) != 1:
        raise ApiError(400, "Give one of json, regex and choice.", param="structured_outputs")
    if wanted.json_schema is not None:
        return _schema(wanted.json_schema, "structured_outputs", settings)
    return {"regex": wanted.regex} if wanted.regex is not None else {"choices": tuple(wanted.choice or ())}


def _schema(schema: JsonSchema, where: str, settings: ServerSettings) -> dict[str, Any]:
    check_schema(schema, where, settings)
    return {"schema": schema}


def _messages(given: Sequence[ChatMessage]) -> tuple[Message, ...]:
    return read_messages(
        [
            _message(
                {
                    "role": "system" if turn.role == "developer" else turn.role,
                    "content": turn.text,
                    "name": turn.name,
                    "tool_calls": [call.model_dump() for call in turn.tool_calls or ()],
                    "tool_call_id": turn.tool_call_id,
                },
                f"messages[{index}]",
            )
            for index, turn in enumerate(given)
        ]
    )


def _message(value: dict[str, Any], where: str) -> Message:
    """Its tool calls hold JSON in a text, which may be none."""
    try:
        return Message.model_validate(value)
    except (ValueError, RecursionError) as error:
        reason = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise MessagesError(
            f"{where}: {reason}", hint="A tool call's arguments are the text of a JSON object; send them as they came."
        ) from error
