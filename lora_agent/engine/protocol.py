"""What every engine offers, local or remote. The agent, the router and the CLI know only these names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lora_agent.types import Document, JsonSchema, Message, Result, Route, Tool, Usage

if TYPE_CHECKING:
    from lora_agent.registry.package import AdapterPackage

Cancel = Callable[[], bool]
"""Asked between tokens; True ends the decode with finish reason "cancelled"."""


class Session(Protocol):
    """The base KV cache of one conversation. Adapters run on it and leave it as it was."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]

    @property
    def context_tokens(self) -> int:
        """Tokens of the rendered context (read or not)."""

    def prefill(self) -> Usage:
        """Read the whole context with the base. Idempotent: a second call reads nothing."""

    def route(self, legal: Sequence[str] | None = None) -> Route:
        """Choose among `legal` adapter names ("base" is always legal; None: all registered)."""

    def run(
        self,
        adapter: str,
        *,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Cancel | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        top_logprobs: int | None = None,
        watch: Callable[[str], None] | None = None,
        calls: tuple[int, int] = (0, 8),
        **inputs: Any,
    ) -> Result:
        """Run one adapter on the base KV; `inputs` are the fields of its input schema beside `messages`
        and `tools`. `deadline` is a `time.monotonic()` value. Roll back afterwards.

        `top_logprobs`: fill `Result.token_logprobs`, with this many alternatives each. `watch`: told the text so far
        while it is written. `calls`: the least and the most calls of an adapter that calls tools."""

    def generate(
        self,
        *,
        schema: JsonSchema | None = None,
        regex: str | None = None,
        choices: Sequence[str] | None = None,
        max_tokens: int | None = None,
        deadline: float | None = None,
        cancel: Cancel | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        top_logprobs: int | None = None,
        watch: Callable[[str], None] | None = None,
        preamble: bool = False,
    ) -> Result:
        """Let the base model answer: free (ending before the first of the texts in `stop`), or under one of `schema`
        (with `preamble` after free text), `regex` and `choices`. Rolled back afterwards, like an adapter."""

    def extend(self, messages: Sequence[Message]) -> None:
        """Append messages to the conversation; what the cache already holds is kept."""


class EngineProtocol(Protocol):
    """One base in memory, many adapters."""

    @property
    def adapters(self) -> Mapping[str, AdapterPackage]:
        """Registered packages by name."""

    def session(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        tools: Sequence[Tool | Mapping[str, Any]] = (),
    ) -> Session: ...

    def complete(self, prompt: str, **options: Any) -> Result:
        """The base goes on with a text as it stands, without a chat template; options as of `Session.generate`."""

    def call(self, adapter: str, inputs: Mapping[str, Any], **options: Any) -> Result: ...

    def generate(self, messages: Sequence[Message | Mapping[str, Any]], schema: Any = None, **options: Any) -> Any: ...

    def stream(
        self, messages: Sequence[Message | Mapping[str, Any]], schema: Any = None, **options: Any
    ) -> Iterator[Any]: ...


__all__ = ["Cancel", "Document", "EngineProtocol", "Session"]
