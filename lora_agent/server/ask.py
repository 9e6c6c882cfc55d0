"""What a request wants of the engine, whichever of the three APIs it came through; and the bounds on it.

Reads wire values into one frozen `Ask`. Knows no engine: names of models are looked up when it is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from lora_agent.errors import InputError, MessagesError, SchemaError
from lora_agent.render import read_messages, read_tools
from lora_agent.server.failures import ApiError
from lora_agent.server.settings import ServerSettings
from lora_agent.server.wire.chat import ChatMessage, ChatRequest
from lora_agent.server.wire.shared import (
    DocumentPart,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedToolChoice,
)
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.types import Document, JsonSchema, Message, Tool, compact_json

ANY_OBJECT: JsonSchema = {"type": "object"}


@dataclass(frozen=True)
class Ask:
    model: str
    messages: tuple[Message, ...]
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
    shape = _shape(body)
    if shape.get("schema") is not None:
        check_schema(shape["schema"], "response_format", settings)
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
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        n=body.n or 1,
        **shape,
    )


def read_budget(wanted: int | None, settings: ServerSettings) -> int | None:
    if wanted is not None:
        at_most("max_completion_tokens", wanted, settings.max_output_tokens)
    return wanted


def read_documents(given: Sequence[DocumentPart] | None, settings: ServerSettings) -> tuple[Document, ...]:
    documents = tuple(Document(id=part.id, title=part.title, text=part.text) for part in given or ())
    at_most("documents", len(documents), settings.max_documents)
    ids = [document.id for document in documents]
    if len(set(ids)) != len(ids):
        raise ApiError(400, "Two documents share an id. Give every document its own.", param="documents")
    return documents


def read_tool_choice(
    given: Sequence[FunctionTool] | None, choice: Any, parallel: bool | None, settings: ServerSettings
) -> tuple[tuple[Tool, ...], tuple[int, int]]:
    """The tools that may be called, and the least and the most calls."""
    given = given or ()
    at_most("tools", len(given), settings.max_tools)
    for tool in given:
        check_schema(tool.openai()["parameters"], f"tools ({tool.function.name})", settings)
    tools = read_tools([tool.openai() for tool in given])
    most = 1 if parallel is False else MAX_CALLS
    if choice is None or choice == "auto":
        return tools, (0, most)
    if choice == "none":
        return (), (0, most)
    if not tools:
        raise ApiError(400, "tool_choice asks for a call, but there are no tools.", param="tool_choice")
    if isinstance(choice, NamedToolChoice):
        named = tuple(tool for tool in tools if tool.name == choice.function.name)
        if not named:
            names = ", ".join(tool.name for tool in tools)
            message = f"tool_choice names {choice.function.name!r}, which is none of the tools ({names})."
            raise ApiError(400, message, param="tool_choice")
        return named, (1, most)
    return tools, (1, most)


def check_schema(schema: Any, where: str, settings: ServerSettings) -> None:
    """Bytes and depth; what the keywords are worth is found when the grammar is built."""
    size = len(compact_json(schema).encode())
    if size > settings.max_schema_bytes:
        raise SchemaError(
            f"{where}: the schema has {size} bytes, more than this server's {settings.max_schema_bytes}",
            hint="Leave out what the answer does not need.",
        )
    depth, level = 0, [schema]
    while level:
        depth += 1
        if depth > settings.max_schema_depth:
            raise SchemaError(
                f"{where}: the schema is nested deeper than {settings.max_schema_depth} levels",
                hint="Move inner parts into $defs.",
            )
        nodes = [node.values() if isinstance(node, dict) else node for node in level]
        level = [child for node in nodes for child in node if isinstance(child, dict | list)]


def at_most(name: str, given: int, limit: int) -> None:
    if given > limit:
        raise ApiError(
            400, f"{name} is {given}, this server's limit is {limit}.", param=name, code="limit_exceeded"
        )  # fmt: skip


def _shape(body: ChatRequest) -> dict[str, Any]:
    """What the text must look like: at most one of schema, regex and choices."""
    if isinstance(body.response_format, JsonObjectFormat):
        return {"schema": ANY_OBJECT}
    if isinstance(body.response_format, JsonSchemaFormat):
        return {"schema": body.response_format.json_schema.json_schema}
    if body.structured_outputs is None:
        return {}
    wanted = body.structured_outputs
    given = {"schema": wanted.json_schema, "regex": wanted.regex, "choices": wanted.choice and tuple(wanted.choice)}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        raise ApiError(400, "Give one of json, regex and choice.", param="structured_outputs")
    return given


def _messages(given: Sequence[ChatMessage]) -> tuple[Message, ...]:
    messages = []
    for index, turn in enumerate(given):
        try:
            messages.append(
                Message.model_validate(
                    {
                        "role": "system" if turn.role == "developer" else turn.role,
                        "content": turn.text,
                        "name": turn.name,
                        "tool_calls": [call.model_dump() for call in turn.tool_calls or ()],
                        "tool_call_id": turn.tool_call_id,
                    }
                )
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise MessagesError(
                f"messages[{index}]: {first['msg']}", hint="A tool call's arguments are the text of a JSON object."
            ) from error
        except (ValueError, RecursionError) as error:
            raise MessagesError(
                f"messages[{index}]: a tool call's arguments are not JSON: {error}",
                hint="Send them back as they came.",
            ) from error
    return read_messages(messages)


__all__ = ["Ask", "InputError", "at_most", "check_schema", "read_budget", "read_chat", "read_documents"]
