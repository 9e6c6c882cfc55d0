"""Growing texts and calls → the deltas of a stream. What was sent is never taken back. Knows pieces and answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from lora_agent.server.answer import Answer, Piece
from lora_agent.server.wire.chat import Delta, DeltaFunction, DeltaToolCall
from lora_agent.types import compact_json


class Deltas:
    """Of one choice."""

    def __init__(self) -> None:
        self.text = ""
        self._calls: list[str] = []
        """Per call the arguments sent so far."""

    def of(self, piece: Piece) -> Iterator[Delta]:
        if piece.text is not None:
            yield from self._grow(piece.text)
        for index, (name, arguments) in enumerate(piece.calls):
            yield from self._call(index, name, arguments)

    def rest(self, answer: Answer) -> Iterator[Delta]:
        """What the answer holds beyond the pieces before it."""
        if answer.content is not None:
            yield from self._grow(answer.content)
        for index, call in enumerate(answer.calls):
            yield from self._call(index, call.name, compact_json(call.arguments))

    def _grow(self, text: str) -> Iterator[Delta]:
        if text.startswith(self.text) and len(text) > len(self.text):
            new, self.text = text[len(self.text) :], text
            yield Delta(content=new)

    def _call(self, index: int, name: str, arguments: str) -> Iterator[Delta]:
        if index == len(self._calls):
            self._calls.append("")
            call_id = f"call_{secrets.token_hex(12)}"
            head = DeltaFunction(name=name, arguments="")
            yield Delta(tool_calls=[DeltaToolCall(index=index, id=call_id, type="function", function=head)])
        sent = self._calls[index]
        if arguments.startswith(sent) and len(arguments) > len(sent):
            self._calls[index] = arguments
            yield Delta(
                tool_calls=[DeltaToolCall(index=index, function=DeltaFunction(arguments=arguments[len(sent) :]))]
            )
