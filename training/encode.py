"""Rows → token ids, with the renderer and the grammar that serve requests, and the file that keeps them."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from lora_agent.engine.contract import output_grammar
from lora_agent.render import ChatRenderer, input_messages, read_documents, read_tools, suffix
from lora_agent.render.prompt import PromptShape
from lora_agent.structured import Vocabulary, without_quotes
from lora_agent.types import JsonSchema, compact_json

from .data.rows import Row

_STRING_OR_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?[eE][+-]?\d+')


@dataclass(frozen=True)
class Encoded:
    """One row: what the base reads, what the adapter reads, what it must write (stop token included)."""

    context: tuple[int, ...]
    suffix: tuple[int, ...]
    target: tuple[int, ...]
    group: str
    decisive: tuple[int, ...] = ()
    """The target tokens that count `weight` times in the loss."""
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.context) + len(self.suffix) + len(self.target)

    def weights(self) -> tuple[float, ...]:
        """Of each target token in the loss."""
        return tuple(self.weight if index in self.decisive else 1.0 for index in range(len(self.target)))


def context_ids(renderer: ChatRenderer, inputs: dict[str, object]) -> list[int]:
    """The base's part of the prompt: conversation with tools, then documents."""
    messages = input_messages(inputs)
    ids = renderer.context(messages, read_tools(inputs.get("tools")))
    documents = read_documents(inputs.get("documents"))
    return ids + renderer.documents(documents) if documents else ids


class TargetSpelling:
    """Targets in the tokens that a constrained decode writes, which are not always the tokenizer's own: a training
    target spelled otherwise would teach tokens that the grammar never lets the adapter choose."""

    def __init__(
        self,
        renderer: ChatRenderer,
        vocabulary: Vocabulary,
        output: str,
        schema: JsonSchema,
        budget: int,
        *,
        quotes: bool = False,
    ):
        self._stop = renderer.stop_token_ids[0]
        self._vocabulary = vocabulary
        self._output, self._schema, self._budget, self._quotes = output, schema, budget, quotes

    def __call__(self, row: Row) -> list[int]:
        """Token ids with the stop token. Raises SchemaError if the output does not fit its own contract."""
        tools = read_tools(row.input.get("tools"))
        grammar = output_grammar(
            self._output,
            self._schema,
            row.input,
            tools,
            self._vocabulary,
            self._budget,
            narrow=False,
            quotes=self._quotes,
        )
        plain = self._output == "tool_calls" and not self._quotes
        output = without_quotes(row.output) if plain else row.output
        return [*grammar.tokens_of(_without_exponents(compact_json(output))), self._stop]


def _without_exponents(json_text: str) -> str:
    """Numbers as the grammar writes them: 0.00005 where JSON would have 5e-05."""
    return _STRING_OR_EXPONENT.sub(lambda m: m[0] if m[0][0] == '"' else format(Decimal(m[0]), "f"), json_text)


def encode(renderer: ChatRenderer, shape: PromptShape, row: Row, spell: TargetSpelling) -> Encoded:
    messages = input_messages(row.input)
    return Encoded(
        tuple(context_ids(renderer, row.input)),
        tuple(suffix(renderer, shape, messages, row.input, row.about)),
        tuple(spell(row)),
        row.group,
    )


_CALLED = re.compile(rb'"name":"([^"]*)","arguments":')


def emphasise(row: Encoded, key: str, weight: float, vocabulary: Vocabulary) -> Encoded:
    """The row with `weight` on the token in which the value of `key`, a property of its target, begins. The row itself
    if the target does not have it."""
    pieces = _pieces(row, vocabulary)
    text, opening = b"".join(pieces), f"{compact_json(key)}:".encode()
    place = text.find(opening)  # in front of a value only: within a text the quotation marks are escaped
    if place < 0:
        return row
    place += len(opening)
    place += text[place : place + 1] == b'"'
    return replace(row, decisive=_tokens_within(pieces, place, place + 1), weight=weight)


def emphasise_names(row: Encoded, weight: float, vocabulary: Vocabulary) -> Encoded:
    """The row with `weight` on the tokens of the names of the tools that its target calls."""
    pieces = _pieces(row, vocabulary)
    spans = [match.span(1) for match in _CALLED.finditer(b"".join(pieces))]
    decisive = tuple(index for span in spans for index in _tokens_within(pieces, *span))
    return replace(row, decisive=decisive, weight=weight)


def _pieces(row: Encoded, vocabulary: Vocabulary) -> list[bytes]:
    return [vocabulary.tokens.decode_bytes([token]) for token in row.target]


def _tokens_within(pieces: Sequence[bytes], start: int, end: int) -> tuple[int, ...]:
    """Indices of the pieces that hold a byte of [start, end)."""
    ends = list(itertools.accumulate(map(len, pieces)))
    return tuple(i for i, piece in enumerate(pieces) if ends[i] > start and ends[i] - len(piece) < end)


def write_encoded(path: Path, rows: Iterable[Encoded]) -> None:
    """JSON Lines, gzipped; the file appears whole or not at all."""
    scratch = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(scratch, "wt", encoding="utf-8", compresslevel=3) as file:
        for row in rows:
            file.write(json.dumps([row.context, row.suffix, row.target, row.group]) + "\n")
    os.replace(scratch, path)


def read_encoded(path: Path) -> list[Encoded]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [Encoded(tuple(context), tuple(suffix), tuple(target), group) for context, suffix, target, group in lines]
