"""Which rows are trained on and which are judged by: a function of the rows, the seed and the number asked for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from .data.rows import Row


def choose(rows: Sequence[Row], max_rows: int | None, seed: int) -> list[Row]:
    """At least `max_rows` rows in whole groups, in a seeded order of the groups; all of them without a limit."""
    groups = _groups(rows)
    random.Random(f"choose/{seed}").shuffle(groups)
    chosen: list[Row] = []
    for group in groups:
        if max_rows is not None and len(chosen) >= max_rows:
            break
        chosen += group
    return chosen


def hold_out(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """(train, dev): a tenth of the groups, at least one, is held out."""
    groups = _groups(rows)
    random.Random(f"hold out/{seed}").shuffle(groups)
    cut = max(1, len(groups) // 10)
    return [row for group in groups[cut:] for row in group], [row for group in groups[:cut] for row in group]


def pick(rows: Sequence[Row], n: int) -> list[Row]:
    """At most `n` rows, evenly spread over the file: the same ones every time."""
    return [rows[i] for i in pick_index(len(rows), n)]


def pick_index(total: int, n: int) -> list[int]:
    step = max(1.0, total / n)
    return [int(i * step) for i in range(min(n, total))]


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    ordered: dict[str, list[Row]] = {}
    for _, members in groupby(rows, key=lambda r: r.group):
        for row in members:
            ordered.setdefault(row.group, []).append(row)
    return list(ordered.values())
