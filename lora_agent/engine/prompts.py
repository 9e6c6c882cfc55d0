"""What every engine feeds a model, wherever the model runs: an adapter's whole input, the base's turn of its own.

Knows packages and the renderer; nothing of caches, devices or servers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_agent.engine.contract import check_input
from lora_agent.registry import AdapterPackage
from lora_agent.render import ChatRenderer
from lora_agent.render.tools import type_text
from lora_agent.types import JsonSchema, Message, Tool


def adapter_input(
    package: AdapterPackage, messages: Sequence[Message], tools: Sequence[Tool], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Conversation and tools of the session, the rest from the caller. Raises AdapterInputError."""
    properties = package.input_schema.get("properties", {})
    inputs = dict(given)
    if "tools" in properties:
        inputs.setdefault("tools", [tool.openai() for tool in tools])
    if "target" in properties and "target" not in inputs:
        inputs["target"] = "user" if messages[-1].role == "system" else messages[-1].role
    if "messages" in properties:
        inputs["messages"] = [m.model_dump(exclude_defaults=True, mode="json") for m in messages]
    check_input(package, inputs)
    return inputs


def answer_prompt(renderer: ChatRenderer, schema: JsonSchema | None, *, preamble: bool = False) -> list[int]:
    """Tokens after the context that make the base answer, under a schema with the request for JSON before it."""
    prompt = renderer.generation_prompt
    if schema is not None:
        how = (
            "Think first, in a sentence or two. Then write ```json and answer in JSON" if preamble else "Answer in JSON"
        )
        prompt = system_turn(renderer, f"{how}: {type_text(schema)}") + prompt
    return renderer.tokens(prompt)


def choice_prompt(renderer: ChatRenderer, question: str) -> list[int]:
    """Tokens after the context that ask the base to name one of the options in `question`."""
    return renderer.tokens(system_turn(renderer, question) + renderer.generation_prompt)


def system_turn(renderer: ChatRenderer, text: str) -> str:
    return renderer.header("system") + renderer.clean(text) + renderer.turn_end
