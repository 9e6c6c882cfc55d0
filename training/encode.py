"""Rows → token ids, with the renderer that serves requests, and the report of every row left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from lora_agent.render import ChatRenderer, input_messages, read_documents, read_tools, suffix, target
from lora_agent.render.prompt import PromptShape

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


def encode(renderer: ChatRenderer, shape: PromptShape, row: Row) -> Encoded:
    messages = input_messages(row.input)
    return Encoded(
        tuple(context_ids(renderer, row.input)),
        tuple(suffix(renderer, shape, messages, row.input)),
        tuple(target(renderer, row.output)),
        row.group,
    )


def encode_all(
    renderer: ChatRenderer, shape: PromptShape, rows: Iterable[Row], max_tokens: int
) -> tuple[list[Encoded], Counter[str]]:
    """Encoded rows and the count of those dropped, by reason."""
    kept: list[Encoded] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        encoded = encode(renderer, shape, row)
        if len(encoded) > max_tokens:
            dropped["too_long"] += 1
        else:
            kept.append(encoded)
    return kept, dropped
