"""Batches of encoded rows without padding: every token is computed once, only attention sees rows.

A batch is read in passes (`Pass`): the contexts' shared beginnings, the rest of each context, and what the adapter
reads and writes. A pass is one packed sequence; its `layout` says which keys, of this and earlier passes, each
segment attends to. Rows of one group that begin alike (same tools) share the keys of that beginning. Knows nothing
of models.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ..encode import Encoded
from ..recipe import Fit

IGNORE = -100
_MIN_SHARED = 24
"""Tokens that a common prefix must have before sharing it pays for the additional forward pass."""


def is_packed(fit: Fit) -> bool:
    """Whether a method's rows are read in packed passes; what only PEFT can run is padded."""
    return fit.method.served != "peft"


@dataclass(frozen=True)
class Layout:
    """How the N packed queries of one pass meet the K packed keys known so far, for S segments."""

    queries: Tensor  # (S, Q) bool: True where a segment has a token; row-major it enumerates the packed queries
    keys: Tensor  # (S, L) positions of each segment's keys among the K packed keys, 0 where padded
    mask: Tensor  # (S, 1, Q, L) bool: causal, without padding


@dataclass(frozen=True)
class Pass:
    ids: Tensor  # (1, N)
    positions: Tensor  # (1, N) in each row's own count
    layout: Layout


@dataclass(frozen=True)
class Batch:
    """One or two passes over the contexts and one over what follows the invocation."""

    context: tuple[Pass, ...]
    adapted: Pass
    labels: Tensor  # (N,) of `adapted`, already shifted: labels[i] is the token after ids[0, i], or IGNORE
    weights: Tensor  # (N,) of the labels in the loss
    rows: int


@dataclass
class Line:
    """A segment under construction: the packed keys before it, and its own ids."""

    before: list[int]
    ids: Sequence[int]


def make_batch(rows: Sequence[Encoded]) -> Batch:
    """`rows` of one group must be neighbours."""
    prefixes: list[Line] = []
    rests: list[Line] = []
    owner: list[int] = []
    for _, members in groupby(rows, key=lambda r: r.group):
        group = list(members)
        length = shared_prefix(group)
        if length:
            prefixes.append(Line([], group[0].context[:length]))
        for row in group:
            if not length:
                prefixes.append(Line([], row.context))
            owner.append(len(prefixes) - 1)
            rests.append(Line([], row.context[length:] if length else ()))
    first, known = pack(prefixes, 0)
    contexts = [first]
    for rest, index in zip(rests, owner, strict=True):
        rest.before = list(prefixes[index].before)
    if any(rest.ids for rest in rests):
        second, known = pack(rests, known)
        contexts.append(second)
    tails = [Line(list(rest.before), (*row.suffix, *row.target[:-1])) for rest, row in zip(rests, rows, strict=True)]
    adapted, _ = pack(tails, known)
    labels = [t for row in rows for t in ((IGNORE,) * (len(row.suffix) - 1) + row.target)]
    weights = [w for row in rows for w in ((1.0,) * (len(row.suffix) - 1) + row.weights())]
    return Batch(tuple(contexts), adapted, torch.tensor(labels), torch.tensor(weights), len(rows))


def pack(lines: Sequence[Line], known: int) -> tuple[Pass, int]:
    """One pass over all lines, whose keys get the packed positions from `known` on; each line's `before` is extended
    by its own keys. Lines without ids take no part."""
    filled = [line for line in lines if line.ids]
    queries = max(len(line.ids) for line in filled)
    length = max(len(line.before) + len(line.ids) for line in filled)
    ids: list[int] = []
    positions: list[int] = []
    query_mask = torch.zeros(len(filled), queries, dtype=torch.bool)
    keys = torch.zeros(len(filled), length, dtype=torch.long)
    mask = torch.zeros(len(filled), 1, queries, length, dtype=torch.bool)
    for i, line in enumerate(filled):
        start, count = len(line.before), len(line.ids)
        ids += line.ids
        positions += range(start, start + count)
        line.before += range(known, known + count)
        known += count
        query_mask[i, :count] = True
        keys[i, : start + count] = torch.tensor(line.before)
        mask[i, 0, :count, :start] = True
        mask[i, 0, :count, start : start + count] = torch.ones(count, count, dtype=torch.bool).tril()
        mask[i, 0, count:, 0] = True  # a padded query must see something: a softmax over nothing is NaN
    made = Pass(torch.tensor([ids]), torch.tensor([positions]), Layout(query_mask, keys, mask))
    return made, known


def shared_prefix(rows: Sequence[Encoded]) -> int:
    """Length of the common beginning of the contexts, 0 when it is too short to be worth it."""
    if len(rows) < 2:
        return len(rows[0].context)
    first, last = min(r.context for r in rows), max(r.context for r in rows)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return length if length >= _MIN_SHARED else 0


def epoch(rows: Sequence[Encoded], batch_rows: int, seed: int) -> Iterator[list[Encoded]]:
    """All rows once in a seeded order: groups stay together up to a batch, groups of like length share one."""
    rng = random.Random(seed)
    groups = [
        rows_of[start : start + batch_rows]
        for rows_of in (list(g) for _, g in groupby(rows, key=lambda r: r.group))
        for start in range(0, len(rows_of), batch_rows)
    ]
    rng.shuffle(groups)
    batches: list[list[Encoded]] = []
    window = 16 * batch_rows  # rows sorted by length at a time: attention pads little, still well mixed
    pool: list[list[Encoded]] = []
    for group in [*groups, []]:
        if group:
            pool.append(group)
        if not group or sum(map(len, pool)) >= window:
            pool.sort(key=lambda g: max(map(len, g)))
            batches += _fill(pool, batch_rows)
            pool = []
    rng.shuffle(batches)
    yield from batches


def _fill(groups: list[list[Encoded]], batch_rows: int) -> list[list[Encoded]]:
    batches: list[list[Encoded]] = []
    current: list[Encoded] = []
    for group in groups:
        if current and len(current) + len(group) > batch_rows:
            batches.append(current)
            current = []
        current += group
    return [*batches, current] if current else batches
