"""What an engine does in the same way wherever its base runs: adapters as functions, answers as values of a type.

Knows sessions and packages; nothing of caches, devices or servers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from lora_agent.engine.contract import check_input
from lora_agent.engine.protocol import Session
from lora_agent.errors import ModelOutputError, TruncatedOutputError
from lora_agent.registry import AdapterPackage
from lora_agent.render import input_messages
from lora_agent.structured import MARKER, parse_partial, schema_of
from lora_agent.types import JsonSchema, Message, Result, Tool


class SharedEngine(ABC):
    @abstractmethod
    def package(self, name: str) -> AdapterPackage:
        """A package that may be used here."""

    @abstractmethod
    def session(
        self, messages: Sequence[Message | Mapping[str, Any]] | str, *, tools: Sequence[Tool | Mapping[str, Any]] = ()
    ) -> Session: ...

    @abstractmethod
    def _written(
        self, messages: Any, schema: JsonSchema | None, options: dict[str, Any]
    ) -> Generator[str, None, Result]:
        """`session.generate` that yields the text so far; closing it ends the decode."""

    def call(self, adapter: str, inputs: Mapping[str, Any], **options: Any) -> Result:
        """One adapter as a function of its input (a dict that fits its input schema)."""
        check_input(self.package(adapter), inputs)
        session = self.session(input_messages(inputs), tools=inputs.get("tools") or ())
        rest = {k: v for k, v in inputs.items() if k not in ("messages", "tools")}
        return session.run(adapter, **options, **rest)

    def generate(self, messages: Any, schema: Any = None, **options: Any) -> Any:
        """The base's answer: text, or with a schema a value of it, converted to that type. `schema`: a pydantic class,
        dataclass, TypedDict, Literal, Enum, list or union of such, or a JSON Schema dict. Or `regex=`, `choices=`.
        With `preamble=True` the base thinks in free text before the value; `session.generate` has that text as well.

        Raises TruncatedOutputError and ModelOutputError where no valid value came, SchemaError before any token.
        """
        json_schema, convert = (None, None) if schema is None else schema_of(schema)
        result = self.session(messages).generate(schema=json_schema, **options)
        return _value(result, convert, bound=_bound(json_schema, options))

    def stream(self, messages: Any, schema: Any = None, **options: Any) -> Iterator[Any]:
        """Like `generate`, as it is written: the text so far, or with a schema the value so far (unfinished parts left
        out; not yet validated). The last value is what `generate` would have returned."""
        json_schema, convert = (None, None) if schema is None else schema_of(schema)
        texts = self._written(messages, json_schema, dict(options))
        last: Any = None
        try:
            while True:
                try:
                    text = next(texts)
                except StopIteration as end:
                    yield _value(end.value, convert, bound=_bound(json_schema, options))
                    return
                value = text.partition(MARKER)[2] if options.get("preamble") else text
                partial = text if schema is None else parse_partial(value)
                if partial is not None and partial != last:
                    last = partial
                    yield partial
        finally:
            texts.close()


def _bound(schema: JsonSchema | None, options: Mapping[str, Any]) -> bool:
    return schema is not None or any(options.get(name) is not None for name in ("regex", "choices"))


def _value(result: Result, convert: Callable[[Any], Any] | None, *, bound: bool) -> Any:
    """What `generate` returns for a Result. Raises TruncatedOutputError, ModelOutputError."""
    if bound and result.verdict == "truncated":
        raise TruncatedOutputError(
            f"no complete value within the budget ({result.error}): {result.raw[-80:]!r}",
            hint="Raise max_tokens or bound the schema (maxLength, maxItems).",
        )
    if bound and not result.ok:
        raise ModelOutputError(f"the value is not valid {result.error}: {result.raw[:200]!r}")
    return result.output if convert is None else convert(result.output)
