"""The adapter's contract as training sees it: what a target may be, and whether a row keeps to it."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from lora_agent.types import Message

from ..rows import Row

MAX_MESSAGES = 6
"""Five turns of history and the one to rewrite."""
MAX_WORDS = 60

OUTPUT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1}},
    "required": ["query"],
    "additionalProperties": False,
}
_VALIDATOR = Draft202012Validator(OUTPUT_SCHEMA)


def problem(row: Row) -> str | None:
    """Why the row breaks the contract, or None."""
    error = next(_VALIDATOR.iter_errors(row.output), None)
    if error is not None:
        return f"target not valid: {error.message}"
    messages = [Message.model_validate(message) for message in row.input["messages"]]
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        return "last message is not the user's"
    if len(messages) > MAX_MESSAGES:
        return "history too long"
    if any(len(message.content.split()) > MAX_WORDS for message in messages):
        return "message too long"
    if len(row.output["query"].split()) > MAX_WORDS:
        return "target too long"
    return None
