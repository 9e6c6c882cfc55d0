"""The conversation of one run: user input → messages, and the engine session that has read them.

A session only grows. To take a message back (a withheld tool output) a new session is made; the engine's
prefix cache makes that cheap. Knows nothing of routes, tools or guards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lora_agent.engine.protocol import EngineProtocol, Session
from lora_agent.errors import MessagesError
from lora_agent.types import Message, Tool, Usage

MessagesLike = str | Sequence[Message | Mapping[str, Any]]


def read_messages(given: MessagesLike, system: str | None) -> tuple[Message, ...]:
    """Text becomes one user turn. `system` is put first unless the messages bring their own.

    Raises MessagesError if they are malformed, or do not end with a user turn that says something.
    """
    if isinstance(given, str):
        given = [Message(role="user", content=given)]
    if not isinstance(given, Sequence):
        raise MessagesError(f"messages are {given!r:.80}", hint="Give a text, or a list of messages.")
    messages = tuple(_message(item, position) for position, item in enumerate(given))
    if not messages:
        raise MessagesError("there are no messages", hint='Give a text, or [{"role": "user", "content": "..."}].')
    last = messages[-1]
    if last.role != "user" or not last.content.strip():
        raise MessagesError(
            f"the last message is {last.content!r:.80} of role {last.role!r}",
            hint="It must be a user turn with text: that is what the agent answers.",
        )
    if system and not any(message.role == "system" for message in messages):
        messages = (Message(role="system", content=system), *messages)
    return messages


def _message(item: object, position: int) -> Message:
    try:
        message = Message.model_validate(item)
        message.content.encode()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise MessagesError(
            f"message {position} is malformed: {where} {first['msg']}: {item!r:.80}",
            hint='A message is {"role": "user" | "assistant" | "system" | "tool", "content": "..."}.',
        ) from error
    except UnicodeEncodeError as error:
        raise MessagesError(
            f"message {position} is not valid Unicode at character {error.start}",
            hint='Decode it with errors="replace" first.',
        ) from error
    return message


class Conversation:
    def __init__(self, engine: EngineProtocol, messages: Sequence[Message], tools: Sequence[Tool]) -> None:
        self._engine = engine
        self._tools = tuple(tools)
        self._messages = tuple(messages)
        self.session: Session = engine.session(self._messages, tools=self._tools)

    @property
    def request(self) -> str:
        """The user's last turn."""
        return next(m.content for m in reversed(self._messages) if m.role == "user")

    @property
    def has_earlier_turns(self) -> bool:
        return sum(message.role == "user" for message in self._messages) > 1

    def read(self) -> Usage:
        """Have the base read what it has not read yet."""
        return self.session.prefill()

    def extend(self, message: Message) -> None:
        self._messages += (message,)
        self.session.extend([message])

    def replace_last(self, message: Message) -> None:
        self._messages = (*self._messages[:-1], message)
        self.session = self._engine.session(self._messages, tools=self._tools)
