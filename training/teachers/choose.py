"""One of several answers, or why none will do: JSON, schema, the called tools' own parameters, self-consistency."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lora_agent.render import read_tools
from lora_agent.structured import validate
from lora_agent.types import JsonSchema

from ..data.rows import Row
from ..evaluate.metrics import Correct
from .questions import Answer

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    output: Any
    """None if no answer will do."""
    reason: str | None
    """Why not."""
    agreement: float
    """Share of all samples that gave this answer."""
    rejects: list[tuple[str, str]]
    """(reason, text) of each answer that fell."""


def choose(
    answers: Sequence[Answer], row: Row, schema: JsonSchema, same: Correct, agreement: float, tool_calls: bool
) -> Choice:
    """The valid answer that most others equal (by the gate's own metric), if `agreement` of all samples do."""
    values: list[Any] = []
    rejects: list[tuple[str, str]] = []
    for answer in answers:
        value, reason = read(answer, row, schema, tool_calls)
        if reason is None:
            values.append(value)
        else:
            rejects.append((reason, answer.text))
    if not values:
        reasons = Counter(reason for reason, _ in rejects)
        why = reasons.most_common(1)[0][0] if reasons else "not asked"
        return Choice(None, why, 0.0, rejects)
    votes = [sum(same(other, value) for other in values) for value in values]
    best = max(range(len(values)), key=lambda i: (votes[i], -i))
    share = votes[best] / len(answers)
    if share < agreement:
        reason = f"the samples disagree: {votes[best]} of {len(answers)} give the commonest answer"
        return Choice(None, reason, share, rejects)
    return Choice(values[best], None, share, rejects)


def read(answer: Answer, row: Row, schema: JsonSchema, tool_calls: bool) -> tuple[Any, str | None]:
    """(value, what is wrong with it)."""
    if answer.problem is not None:
        return None, answer.problem
    if answer.finish == "length":
        return None, "cut off at max_tokens"
    if answer.finish not in ("stop", "tool_calls"):
        return None, f"ended by {answer.finish}"
    fenced = _FENCE.match(answer.text)
    found = validate(fenced.group(1) if fenced else answer.text, schema)
    if tool_calls and isinstance(found.value, dict) and (wrong := _wrong_call(found.value, row)):
        return None, wrong  # says more than `no branch of anyOf fits`
    if found.errors:
        first = found.errors[0]
        what = "is not JSON" if found.value is None else "breaks its schema"
        return None, f"the answer {what}: at {first.pointer or '/'} {first.message}"[:300]
    return found.value, None


def _wrong_call(value: dict[str, Any], row: Row) -> str | None:
    tools = {tool.name: tool for tool in read_tools(row.input.get("tools"))}
    calls = value.get("calls")
    for call in calls if isinstance(calls, list) else ():
        name = call.get("name") if isinstance(call, dict) else None
        if name not in tools:
            return f"a call of a tool that is not offered: {name!r}"
        found = validate(call.get("arguments"), tools[name].parameters)
        if found.errors:
            first = found.errors[0]
            return f"arguments of {name!r} break its parameters: at {first.pointer or '/'} {first.message}"[:300]
    return None
