"""What a teacher is asked for one row, and what it answers. Knows nothing of who answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lora_agent.engine.contract import resolve_output
from lora_agent.render import read_tools
from lora_agent.structured import calls_schema
from lora_agent.types import JsonSchema, compact_json

from ..data.rows import Row
from ..recipe import Recipe, Teacher

SEVERAL = 0.7
"""Temperature where several answers are drawn: self-consistency's own setting (arXiv 2203.11171)."""


@dataclass(frozen=True)
class Question:
    messages: list[dict[str, str]]
    schema: JsonSchema
    sample: int
    """Which of several answers to the same messages this is to be; it is the seed as well."""
    temperature: float
    max_tokens: int

    def key(self, identity: Any) -> str:
        """Names the answer in the cache: the same teacher, asked the same."""
        return hashlib.sha256(compact_json([identity, asdict(self)]).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    text: str
    finish: str = "stop"
    tokens: int = 0
    """Prompt and completion."""
    problem: str | None = None
    """Why there is no text."""
    final: bool = True
    """Whether asking again would be no use; other answers are not cached."""


def schema_for(recipe: Recipe, schema: JsonSchema, row: Row) -> JsonSchema:
    """The output schema of this very row."""
    if recipe.output == "tool_calls":
        return calls_schema(read_tools(row.input.get("tools")))
    return resolve_output(schema, row.input)


def questions(recipe: Recipe, teacher: Teacher, schema: JsonSchema, row: Row, shown: Sequence[Row]) -> list[Question]:
    """One for each sample. Raises SchemaError, ToolError for a row whose tools cannot be read."""
    own = schema_for(recipe, schema, row)
    temperature = teacher.temperature if teacher.temperature is not None else (SEVERAL if teacher.samples > 1 else 0.0)
    messages = prompt(recipe, teacher, own, row, shown)
    return [Question(messages, own, n, temperature, teacher.max_tokens) for n in range(teacher.samples)]


def prompt(
    recipe: Recipe, teacher: Teacher, schema: JsonSchema, row: Row, shown: Sequence[Row]
) -> list[dict[str, str]]:
    """The input is given as JSON, not as a conversation: the teacher is to judge a conversation, not to join it."""
    parts = [
        f"Your task: {recipe.description}",
        teacher.instructions or "",
        "The input is JSON. Answer with one JSON value and nothing else; it must fit this JSON Schema:",
        compact_json(schema),
    ]
    messages = [{"role": "system", "content": "\n".join(part for part in parts if part)}]
    for example in shown:
        messages.append({"role": "user", "content": compact_json(example.input)})
        messages.append({"role": "assistant", "content": compact_json(example.output)})
    return [*messages, {"role": "user", "content": compact_json(row.input)}]
