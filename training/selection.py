"""Which rows are trained on: whole groups, chosen by the seed alone."""

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


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    ordered: dict[str, list[Row]] = {}
    for _, members in groupby(rows, key=lambda r: r.group):
        for row in members:
            ordered.setdefault(row.group, []).append(row)
    return list(ordered.values())
