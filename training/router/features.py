"""Features of many conversations at once: the numbers that `LocalSession.features` gives, computed in batches.

Rows that follow each other with the same tools share the reading of them, as sessions do through the prefix cache.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lora_agent.engine.local.base import BaseModel
from lora_agent.engine.local.runner import feature_layers, turn_features
from lora_agent.render import common_length, read_messages, read_tools
from lora_agent.types import compact_json

from ..data.rows import Row
from ..encode import Encoded


def extract(base: BaseModel, rows: Sequence[Row], block: int = 16) -> Tensor:
    """(rows, d) features, in order."""
    encoded = [_encode(base, row) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (encoded[i][0].group, len(encoded[i][0].context)))
    out: list[Tensor | None] = [None] * len(rows)
    started = time.monotonic()
    for start in range(0, len(order), block):
        chosen = order[start : start + block]
        for index, features in zip(chosen, _block(base, [encoded[i] for i in chosen]), strict=True):
            out[index] = features
        if start // block % 20 == 0:
            rate = (start + len(chosen)) / (time.monotonic() - started)
            left = (len(order) - start - len(chosen)) / rate / 60
            print(f"features: {start + len(chosen)}/{len(order)}, {rate:.1f}/s, {left:.1f} min left", file=sys.stderr)
    return torch.stack([f for f in out if f is not None])


def _encode(base: BaseModel, row: Row) -> tuple[Encoded, int]:
    """The context, grouped by its tools, and where the last turn's text starts."""
    messages = read_messages(row.input["messages"])
    tools = read_tools(row.input.get("tools"))
    ids = tuple(base.renderer.context(messages, tools))
    start = base.renderer.text_start(ids, messages, tools)
    return Encoded(ids, (0,), (0,), compact_json(row.input.get("tools") or [])), start


@torch.inference_mode()
def _block(base: BaseModel, rows: Sequence[tuple[Encoded, int]]) -> list[Tensor]:
    """Right-padded rows of one block; a shared beginning is read once and never reaches into a last turn."""
    found: list[Tensor] = []
    for _, members in groupby(rows, key=lambda r: r[0].group):
        group = list(members)
        shared = min(start for _, start in group)
        for row, _ in group[1:]:
            shared = min(shared, common_length(group[0][0].context, row.context))
        found += _group(base, group, shared)
    return found


def _group(base: BaseModel, group: Sequence[tuple[Encoded, int]], shared: int) -> list[Tensor]:
    from transformers import DynamicCache

    cache: Any = DynamicCache()
    decoder = base.model.get_decoder()
    if shared:
        decoder(input_ids=torch.tensor([group[0][0].context[:shared]]), past_key_values=cache)
        cache.batch_select_indices(torch.zeros(len(group), dtype=torch.long))
    rests = [row.context[shared:] for row, _ in group]
    ids = pad_sequence([torch.tensor(rest) for rest in rests], batch_first=True)
    own = pad_sequence([torch.ones(len(rest), dtype=torch.long) for rest in rests], batch_first=True)
    hidden = decoder(
        input_ids=ids,
        attention_mask=torch.cat([own.new_ones(len(group), shared), own], 1),
        position_ids=(own.cumsum(1) - 1).clamp(min=0) + shared,
        past_key_values=cache,
        output_hidden_states=True,
    ).hidden_states
    features = []
    for i, (row, start) in enumerate(group):
        end = len(row.context) - shared
        layers = tuple(hidden[layer][i, :end] for layer in feature_layers(base.config.num_hidden_layers))
        features.append(turn_features(layers, start - shared))
    return features
