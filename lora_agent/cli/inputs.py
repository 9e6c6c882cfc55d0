"""What a command reads from its arguments: JSON text, conversations, tools. Every fault is an InputError.

A JSON argument is the text itself, `@FILE` for a file, or `-` for standard input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lora_agent.errors import ConfigError, InputError, MessagesError, ToolError
from lora_agent.types import Message, Tool


def read_text(path: Path, error: type[InputError] = ConfigError) -> str:
    """A UTF-8 file, with any fault as `error`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise error(f"cannot read {str(path)!r}: {fault.strerror}", hint="Check the path.") from fault
    except UnicodeDecodeError as fault:
        raise error(f"{str(path)!r} is not UTF-8: {fault}", hint="Convert the file to UTF-8.") from fault


def read_json_argument(argument: str, error: type[InputError]) -> Any:
    """The value of a JSON argument (text, `@FILE` or `-`)."""
    if argument == "-":
        return parse_json(sys.stdin.read(), "standard input", error)
    if argument.startswith("@"):
        return read_json_file(Path(argument[1:]), error)
    return parse_json(argument, "the argument", error)


def read_json_file(path: Path, error: type[InputError]) -> Any:
    return parse_json(read_text(path, error), repr(str(path)), error)


def parse_json(text: str, what: str, error: type[InputError]) -> Any:
    """`what` names the source in the message."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        near = text[max(0, fault.pos - 20) : fault.pos + 20]
        raise error(
            f"{what} is not JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}, near {near!r}",
            hint="Quote the JSON for your shell ('…'), or put it in a file and pass @FILE.",
        ) from fault
    except (ValueError, RecursionError) as fault:  # a number of thousands of digits, brackets thousands deep
        raise error(f"{what} cannot be read as JSON: {fault}", hint="Simplify the value.") from fault


def as_messages(value: Any) -> list[Message]:
    """A conversation: a list of OpenAI messages, or an object with that list under "messages"."""
    if isinstance(value, dict) and set(value) == {"messages"}:
        value = value["messages"]
    if not isinstance(value, list) or not value:
        raise MessagesError(
            f"messages must be a list of at least one message, got {_short(value)}", hint=_MESSAGES_HINT
        )
    try:
        return [Message.model_validate(item) for item in value]
    except ValidationError as fault:
        raise MessagesError(f"a message is malformed: {first_fault(fault)}", hint=_MESSAGES_HINT) from fault


def as_tools(value: Any) -> list[Tool]:
    """A list of tools, in our shape or that of the OpenAI API."""
    if not isinstance(value, list):
        raise ToolError(f"tools must be a list, got {_short(value)}", hint=_TOOLS_HINT)
    try:
        return [Tool.model_validate(item) for item in value]
    except ValidationError as fault:
        raise ToolError(f"a tool is malformed: {first_fault(fault)}", hint=_TOOLS_HINT) from fault


def conversation(text: str | None, messages: Path | None) -> list[Message]:
    """Exactly one of a user's text and a file of messages, as a conversation."""
    if (text is None) == (messages is None):
        given = "both" if text is not None else "neither"
        raise MessagesError(
            f"a request needs a text or --messages FILE, got {given}",
            hint='For example: lora-agent ask "Hello"',
        )
    if messages is not None:
        return as_messages(read_json_file(messages, MessagesError))
    if not text or not text.strip():
        raise MessagesError(f"the text is empty: {text!r}", hint="Write what you want to know.")
    return [Message(role="user", content=text)]


def first_fault(fault: ValidationError) -> str:
    """The first of pydantic's findings on one line."""
    first = fault.errors(include_url=False, include_context=False)[0]
    return f"{_location(first['loc'])}: {first['msg']}, got {_short(first['input'])}"


def _location(parts: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in parts) or "value"


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


_MESSAGES_HINT = 'The shape is [{"role": "user", "content": "…"}], as in the OpenAI chat API.'
_TOOLS_HINT = 'The shape is [{"type": "function", "function": {"name": …, "parameters": {…}}}].'
