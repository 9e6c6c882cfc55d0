"""Batches of encoded rows. Rows of one group that begin alike (same tools, same documents) are read once.

A batch is three segments of right-padded ids: prefixes (one line per distinct prefix), the rest of each row's
context, and its suffix with the target. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ..encode import Encoded

IGNORE = -100
_MIN_SHARED = 24
"""Tokens that a common prefix must have before sharing it pays for the additional forward pass."""


@dataclass(frozen=True)
class Batch:
    """B rows over G distinct prefixes. `*_ids` are 0 where `*_mask` is False. labels: IGNORE but on the target."""

    prefix_ids: Tensor  # (G, P)
    prefix_mask: Tensor
    owner: Tensor  # (B,) index of each row's prefix
    rest_ids: Tensor  # (B, R), R may be 0
    rest_mask: Tensor
    adapted_ids: Tensor  # (B, S)
    adapted_mask: Tensor
    labels: Tensor  # (B, S), already shifted: labels[:, i] is the token after adapted_ids[:, i]

    @property
    def rows(self) -> int:
        return len(self.owner)


def shared_prefix(rows: Sequence[Encoded]) -> int:
    """Length of the common beginning of the contexts, 0 when it is too short to be worth it."""
    if len(rows) < 2:
        return len(rows[0].context)
    first, last = min(r.context for r in rows), max(r.context for r in rows)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return length if length >= _MIN_SHARED else 0


def make_batch(rows: Sequence[Encoded]) -> Batch:
    """`rows` of one group must be neighbours."""
    prefixes: list[tuple[int, ...]] = []
    rests: list[tuple[int, ...]] = []
    owner: list[int] = []
    for _, members in groupby(rows, key=lambda r: r.group):
        group = list(members)
        length = shared_prefix(group)
        if length:
            prefixes.append(group[0].context[:length])
        for row in group:
            if not length:
                prefixes.append(row.context)
            owner.append(len(prefixes) - 1)
            rests.append(row.context[length:] if length else ())
    adapted = [row.suffix + row.target[:-1] for row in rows]
    labels = [(IGNORE,) * (len(row.suffix) - 1) + row.target for row in rows]
    prefix_ids, prefix_mask = _pad(prefixes)
    rest_ids, rest_mask = _pad(rests)
    adapted_ids, adapted_mask = _pad(adapted)
    label_ids, label_mask = _pad(labels)
    label_ids[~label_mask] = IGNORE
    return Batch(
        prefix_ids, prefix_mask, torch.tensor(owner), rest_ids, rest_mask, adapted_ids, adapted_mask, label_ids
    )


def _pad(lines: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, lines))
    ids = torch.zeros(len(lines), width, dtype=torch.long)
    mask = torch.zeros(len(lines), width, dtype=torch.bool)
    for i, line in enumerate(lines):
        ids[i, : len(line)] = torch.tensor(line, dtype=torch.long)
        mask[i, : len(line)] = True
    return ids, mask


def epoch(rows: Sequence[Encoded], batch_rows: int, seed: int, max_rows: int | None = None) -> Iterator[list[Encoded]]:
    """All rows once in a seeded order: groups stay together, groups of like length share a batch."""
    rng = random.Random(seed)
    groups = [list(g) for _, g in groupby(rows, key=lambda r: r.group)]
    rng.shuffle(groups)
    if max_rows is not None:
        total, cut = 0, []
        for group in groups:
            if total >= max_rows:
                break
            cut.append(group)
            total += len(group)
        groups = cut
    batches: list[list[Encoded]] = []
    window = 16 * batch_rows  # rows sorted by length at a time: little padding, still well mixed
    pool: list[list[Encoded]] = []
    for group in [*groups, []]:
        if group:
            pool.append(group)
        if not group or sum(map(len, pool)) >= window:
            pool.sort(key=lambda g: max(map(len, g)))
            batches += _pack(pool, batch_rows)
            pool = []
    rng.shuffle(batches)
    yield from batches


def _pack(groups: list[list[Encoded]], batch_rows: int) -> list[list[Encoded]]:
    batches: list[list[Encoded]] = []
    current: list[Encoded] = []
    for group in groups:
        if current and len(current) + len(group) > batch_rows:
            batches.append(current)
            current = []
        current += group
    return [*batches, current] if current else batches
