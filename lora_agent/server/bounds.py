"""How large the parts of a request may be, and what they must be to be used at all. Knows wire values, no engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lora_agent.errors import SchemaError
from lora_agent.render import read_tools
from lora_agent.server.failures import ApiError
from lora_agent.server.settings import ServerSettings
from lora_agent.server.wire.shared import DocumentPart, FunctionTool, NamedToolChoice
from lora_agent.structured.calls import MAX_CALLS
from lora_agent.types import Document, Tool, compact_json


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
    keywords: set[str] = set()
    depth, level = 0, [schema]
    while level:
        depth += 1
        if depth > settings.max_schema_depth:
            raise SchemaError(
                f"{where}: the schema is nested deeper than {settings.max_schema_depth} levels",
                hint="Move inner parts into $defs.",
            )
        keywords.update(*(node for node in level if isinstance(node, dict)))
        nodes = [node.values() if isinstance(node, dict) else node for node in level]
        level = [child for node in nodes for child in node if isinstance(child, dict | list)]
    if {"patternProperties", "unevaluatedProperties"} <= keywords:
        # Together they are matched by code that has no time limit (see structured.matching).
        raise SchemaError(
            f"{where}: patternProperties and unevaluatedProperties in one schema are not taken over HTTP",
            hint="Write additionalProperties instead of unevaluatedProperties.",
        )


def at_most(name: str, given: int, limit: int) -> None:
    if given > limit:
        raise ApiError(
            400, f"{name} is {given}, this server's limit is {limit}.", param=name, code="limit_exceeded"
        )  # fmt: skip
