"""Tool results → the answer's text, by template.

A template cannot invent a value, which a small base model does when it phrases results. It says what failed
and what was withheld as well. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_agent.agent.function_tool import ToolOutcome
from lora_agent.types import ToolCall, compact_json


@dataclass(frozen=True)
class ToolResult:
    call: ToolCall
    outcome: ToolOutcome
    withheld: str | None = None
    """Why the guard withheld the output; None if it did not."""

    @property
    def usable(self) -> bool:
        return self.outcome.ok and self.withheld is None


def render_results(results: Sequence[ToolResult]) -> str:
    """One line per call; its arguments are shown where a tool was called more than once."""
    calls = Counter(result.call.name for result in results)
    return "\n".join(_line(result, several=calls[result.call.name] > 1) for result in results)


def _line(result: ToolResult, *, several: bool) -> str:
    name = result.call.name
    if several:
        name += "(" + ", ".join(f"{key}={_text(value)}" for key, value in result.call.arguments.items()) + ")"
    if result.withheld is not None:
        return f"{name}: the output was withheld: {result.withheld}"
    if not result.outcome.ok:
        return f"{name} failed: {result.outcome.error}"
    value = result.outcome.content if result.outcome.truncated else result.outcome.value
    if isinstance(value, Mapping) and value:
        return f"{name}: " + ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return f"{name}: {_text(value)}"


def _text(value: Any) -> str:
    """Text as it is, lists of plain values with commas, all else as JSON."""
    if isinstance(value, str):
        return value or "(empty)"
    if value is None:
        return "no value"
    if isinstance(value, list) and value and not any(isinstance(item, (list, Mapping)) for item in value):
        return ", ".join(map(_text, value))
    return compact_json(value)
