"""A text that the base goes on with, without a chat template: what `/v1/completions` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_agent.engine.local.session import LocalSession
from lora_agent.errors import MessagesError
from lora_agent.types import JsonSchema, Message, Usage

if TYPE_CHECKING:
    from lora_agent.engine.local.engine import LocalEngine


class TextSession(LocalSession):
    """All but the last token is the context, shared like any other; the last one is read to get the next."""

    def __init__(self, engine: LocalEngine, text: str) -> None:
        tokens = engine.base.renderer.text(text)
        if not tokens:
            raise MessagesError("the prompt is empty", hint="Give at least one character to go on with.")
        self._tokens = tokens
        super().__init__(engine, (Message(role="user", content=text),), ())

    def prefill(self) -> Usage:
        if not self._ids:
            self._cache = self._engine.runner.new_cache()
            return Usage()
        return super().prefill()

    def _render(self) -> list[int]:
        self._check_length(len(self._tokens), 0)
        return self._tokens[:-1]

    def _opening(self, schema: JsonSchema | None, preamble: bool) -> list[int]:
        return self._tokens[-1:]

    def _last_turn_start(self) -> int:
        return len(self._ids) - 1
