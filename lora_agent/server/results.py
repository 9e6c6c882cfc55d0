"""Tool results that a client sends back → the answer's text, by the agent's own template.

A small base invents values when it phrases results (see `agent.answer`). Knows messages only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile

from lora_agent.agent.answer import ToolResult, render_results
from lora_agent.agent.tools import ToolOutcome
from lora_agent.types import Message, ToolCall


def rounds_of_calls(messages: Sequence[Message]) -> int:
    """Rounds of calls since the user last spoke."""
    return sum(bool(message.tool_calls) for message in _since_user(messages))


def answer_from_results(messages: Sequence[Message]) -> str | None:
    """None where no tool has answered since the user last spoke."""
    turns = _since_user(messages)
    calls = {call.id: call for message in turns for call in message.tool_calls if call.id is not None}
    results = []
    for message in turns:
        if message.role == "tool":
            call = calls.get(message.tool_call_id or "") or ToolCall(name=message.name or "tool")
            results.append(ToolResult(call, ToolOutcome(True, message.content, _value(message.content))))
    return render_results(results) if results else None


def _since_user(messages: Sequence[Message]) -> list[Message]:
    return list(takewhile(lambda message: message.role != "user", reversed(messages)))[::-1]


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
