"""What each system is asked to do: token ids, adapters and grammars, made once by our renderer and given to all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lora_agent.engine.contract import call_grammar
from lora_agent.engine.local.engine import LocalEngine
from lora_agent.render import read_messages, read_tools, suffix
from lora_agent.structured import Grammar

CITIES = ("Lagos", "Oslo", "Lima", "Cairo", "Delhi", "Seoul", "Perth", "Dakar")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": text,
            "parameters": {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]},
        },
    }
    for name, text, key in (
        ("get_weather", "Current weather of a city.", "city"),
        ("send_mail", "Send a mail to a person.", "recipient"),
        ("book_table", "Book a table in a restaurant.", "restaurant"),
    )
]
FILLER = "The station lies north of the river, and the museum opens at nine on every day but Monday. "


@dataclass(frozen=True)
class Call:
    """One adapter's call, as ids: what the base reads, then what the adapter reads."""

    adapter: str
    inputs: dict[str, Any]
    context: list[int]
    tail: list[int]
    grammar: Grammar
    max_tokens: int


def request(city: str) -> str:
    return f"What is the weather in {city}?"


def tool_call(engine: LocalEngine, request: str) -> Call:
    return _call(engine, "tool_call", {"messages": [{"role": "user", "content": request}], "tools": TOOLS})


def verdict(engine: LocalEngine, request: str) -> Call:
    return _call(engine, "safety", {"messages": [{"role": "user", "content": request}], "target": "user"})


def long_talk(engine: LocalEngine, tokens: int) -> list[dict[str, Any]]:
    """A conversation of about this many tokens."""
    renderer = engine.base.renderer
    count = max(1, tokens // len(renderer.text(FILLER)))
    return [{"role": "user", "content": FILLER * count + request(CITIES[0])}]


def _call(engine: LocalEngine, adapter: str, inputs: dict[str, Any]) -> Call:
    package = engine.package(adapter)
    renderer = engine.base.renderer
    messages, tools = read_messages(inputs["messages"]), read_tools(inputs.get("tools"))
    budget = package.spec.prompt.max_new_tokens
    grammar = call_grammar(package, inputs, tools, engine.vocabulary, budget)
    tail = suffix(renderer, package.spec.prompt, messages, inputs)
    return Call(adapter, inputs, renderer.context(messages, tools), tail, grammar, budget)
