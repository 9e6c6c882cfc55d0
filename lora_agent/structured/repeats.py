"""Calls in which two arguments share what was said once: a sign that the model had nothing to write for one of them.

"Invite dr_strange_fan" as `{"code": "dr_strange_fan", "username": "dr_strange_fan"}`: of 1,200 right calls 5 look like
that, of wrong ones every sixth (decision 060). Knows values and texts, no models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from lora_agent.structured.numerals import mentions
from lora_agent.types import Tool


class Use(NamedTuple):
    """An argument of a call."""

    tool: str
    parameter: str
    value: str | float


def repeated(calls: Sequence[Mapping[str, Any]], tools: Sequence[Tool], texts: Sequence[str]) -> tuple[Use, Use] | None:
    """The first two arguments of one call of which one holds the other, though the texts say it once; or two numbers,
    where it has more of them than the texts ("add 5 minutes" as minutes and as hours)."""
    said = "\n".join(texts).lower()
    schemas = {tool.name: tool.parameters for tool in tools}
    for call in calls:
        uses = list(_free(call, schemas[call["name"]]))
        for first, second in combinations(uses, 2):
            shorter, longer = sorted((_spelled(first.value), _spelled(second.value)), key=len)
            if shorter and _count(shorter, longer) and _count(shorter, said) < 2:
                return first, second
        numbers = [use for use in uses if not isinstance(use.value, str)]
        if len(numbers) > max(1, mentions(said)):
            return numbers[0], numbers[-1]
    return None


def _free(call: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Use]:
    """The arguments that are texts and numbers of the request; a choice of the schema's own may mean anything."""
    properties = schema.get("properties") or {}
    for name, value in call["arguments"].items():
        node = properties.get(name)
        choice = isinstance(node, Mapping) and bool({"enum", "const"} & node.keys())
        if isinstance(value, str | int | float) and not isinstance(value, bool) and not choice:
            yield Use(call["name"], name, value)


def _spelled(value: str | float) -> str:
    return (value if isinstance(value, str) else f"{value:g}").lower().strip()


def _count(shorter: str, longer: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(shorter)}(?!\w)", longer))
