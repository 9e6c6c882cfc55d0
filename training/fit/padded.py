"""The plain training pass: PEFT's own forward over padded rows, for methods that are no change of a linear layer.

Prefix and prompt tuning put keys, or embeddings, before the first token; the packed pass knows of no such place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..encode import Encoded
from .batches import IGNORE


def padded_loss(model: Any, rows: Sequence[Encoded]) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the target tokens (a scalar with gradient) and their number."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORE)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        whole = torch.tensor([*row.context, *row.suffix, *row.target])
        ids[i, : len(row)], mask[i, : len(row)] = whole, 1
        labels[i, len(row) - len(row.target) : len(row)] = whole[-len(row.target) :]
    found = model(input_ids=ids, attention_mask=mask, labels=labels)
    return torch.as_tensor(found.loss), int((labels != IGNORE).sum())
