"""Rows → token ids, with the renderer that serves requests, and the report of every row left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lora_agent.engine.local.contract import output_grammar
from lora_agent.errors import SchemaError
from lora_agent.render import ChatRenderer, input_messages, read_documents, read_tools, suffix
from lora_agent.render.prompt import PromptShape
from lora_agent.structured import Vocabulary
from lora_agent.types import JsonSchema, compact_json

from .data.rows import Row


@dataclass(frozen=True)
class Encoded:
    """One row: what the base reads, what the adapter reads, what it must write (stop token included)."""

    context: tuple[int, ...]
    suffix: tuple[int, ...]
    target: tuple[int, ...]
    group: str

    def __len__(self) -> int:
        return len(self.context) + len(self.suffix) + len(self.target)


def context_ids(renderer: ChatRenderer, inputs: dict[str, object]) -> list[int]:
    """The base's part of the prompt: conversation with tools, then documents."""
    messages = input_messages(inputs)
    ids = renderer.context(messages, read_tools(inputs.get("tools")))
    documents = read_documents(inputs.get("documents"))
    return ids + renderer.documents(documents) if documents else ids


class TargetSpelling:
    """Targets in the tokens that a constrained decode writes, which are not always the tokenizer's own: a training
    target spelled otherwise would teach tokens that the grammar never lets the adapter choose."""

    def __init__(self, renderer: ChatRenderer, vocabulary: Vocabulary, output: str, schema: JsonSchema, budget: int):
        self._stop = renderer.stop_token_ids[0]
        self._vocabulary = vocabulary
        self._output, self._schema, self._budget = output, schema, budget

    def __call__(self, row: Row) -> list[int]:
        """Token ids with the stop token. Raises SchemaError if the output does not fit its own contract."""
        tools = read_tools(row.input.get("tools"))
        grammar = output_grammar(self._output, self._schema, row.input, tools, self._vocabulary, self._budget)
        return [*grammar.tokens_of(compact_json(row.output)), self._stop]


def encode(renderer: ChatRenderer, shape: PromptShape, row: Row, spell: TargetSpelling) -> Encoded:
    messages = input_messages(row.input)
    return Encoded(
        tuple(context_ids(renderer, row.input)),
        tuple(suffix(renderer, shape, messages, row.input)),
        tuple(spell(row)),
        row.group,
    )


def encode_all(
    renderer: ChatRenderer, shape: PromptShape, rows: Iterable[Row], spell: TargetSpelling, max_tokens: int
) -> tuple[list[Encoded], Counter[str]]:
    """Encoded rows and the count of those dropped, by reason."""
    kept: list[Encoded] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        try:
            encoded = encode(renderer, shape, row, spell)
        except SchemaError as error:
            dropped[f"output does not fit its schema: {str(error).splitlines()[0][:120]}"] += 1
            continue
        if len(encoded) > max_tokens:
            dropped["too long"] += 1
        else:
            kept.append(encoded)
    return kept, dropped
