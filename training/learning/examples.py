"""Rows → the token ids that TRL's trainers take, spelled as the engine will read and write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lora_agent.errors import SchemaError
from lora_agent.registry import PromptSpec
from lora_agent.render import ChatRenderer

from ..data.rows import Row
from ..encode import TargetSpelling, encode


@dataclass(frozen=True)
class Example:
    row: Row
    prompt: list[int]
    """What base and adapter read."""
    target: list[int] | None
    """With the stop token; None for a row that only says what not to write."""
    rejected: list[int] | None


def examples(rows: Sequence[Row], renderer: ChatRenderer, shape: PromptSpec, spell: TargetSpelling) -> list[Example]:
    """Raises SchemaError for a target that does not fit its grammar; the data stage has dropped such rows."""
    found = []
    for row in rows:
        encoded = encode(renderer, shape, row, spell if row.desirable else lambda _: [])
        rejected = None if row.rejected is None else _spell_rejected(row, row.rejected, renderer, spell)
        prompt = [*encoded.context, *encoded.suffix]
        found.append(Example(row, prompt, list(encoded.target) if row.desirable else None, rejected))
    return found


def _spell_rejected(row: Row, text: str, renderer: ChatRenderer, spell: TargetSpelling) -> list[int]:
    """As the grammar would spell it, so that a preference is about the value and not about the tokens; what no grammar
    allows is spelled by the tokenizer."""
    try:
        return spell(replace(row, output=json.loads(text)))
    except (ValueError, SchemaError):
        return [*renderer.text(text), renderer.stop_token_ids[0]]
