"""Choosing rows out of sources: no repetition, nothing of a test set, given shares.

Every step returns what it dropped by reason, so that a report can say where rows went. This module knows
nothing of any adapter: how a row's text is compared is the caller's `identity`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from .decontaminate import Decontaminator
from .rows import Row


@dataclass
class Drops:
    """How many rows were dropped, by reason and source; written to the report."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, reason: str, rows: Iterable[Row]) -> None:
        self.counts.setdefault(reason, Counter()).update(row.source for row in rows)

    def report(self) -> dict[str, dict[str, int]]:
        return {reason: dict(sorted(counter.items())) for reason, counter in self.counts.items()}


def usable(
    rows: Iterable[Row], identity: Callable[[Row], str], decontaminator: Decontaminator, drops: Drops
) -> list[Row]:
    """Rows with distinct texts that touch no public test set. Where train and dev share a text or a group,
    the row stays in dev: a dev set that was trained on says nothing."""
    kept, hits = decontaminator.split(rows)
    drops.add("in a public test set", hits)
    dev = [row for row in kept if row.split == "dev"]
    groups = {row.group for row in dev}
    seen: set[str] = set()
    result: list[Row] = []
    repeated: list[Row] = []
    shared: list[Row] = []
    for row in [*dev, *(row for row in kept if row.split == "train")]:
        text = identity(row)
        if row.split == "train" and row.group in groups:
            shared.append(row)
        elif text in seen:
            repeated.append(row)
        else:
            seen.add(text)
            result.append(row)
    drops.add("group is in dev", shared)
    drops.add("repeated text", repeated)
    return result


def _pools(rows: Iterable[Row], shares: Mapping[str, float]) -> dict[str, list[Row]]:
    """Rows by the key of `shares` that their source starts with, the longest such key; other rows are left
    out."""
    by_source: dict[str, str] = {}
    pools: dict[str, list[Row]] = {name: [] for name in shares}
    for row in rows:
        if row.source not in by_source:
            by_source[row.source] = max((n for n in shares if row.source.startswith(n)), key=len, default="")
        if by_source[row.source]:
            pools[by_source[row.source]].append(row)
    return pools


def thin(rows: Iterable[Row], shares: Mapping[str, float], total: int, rng: random.Random, drops: Drops) -> list[Row]:
    """At most four times the rows that `draw` will want of each source, chosen at random: comparing every row
    of the large sets with the test sets would take most of a build's time."""
    whole = sum(shares.values())
    chosen: list[Row] = []
    for name, pool in _pools(rows, shares).items():
        limit = 4 * round(total * shares[name] / whole) + 20
        if len(pool) > limit:
            rng.shuffle(pool)
            drops.add("not drawn", pool[limit:])
        chosen += pool[:limit]
    return chosen


def draw(
    rows: Iterable[Row], shares: Mapping[str, float], total: int, rng: random.Random, drops: Drops
) -> tuple[list[Row], dict[str, int]]:
    """About `total` rows, each source with its share, in random order; and how many each source fell short.

    A key of `shares` covers the sources that start with it (the longest such key wins).
    """
    chosen: list[Row] = []
    short: dict[str, int] = {}
    whole = sum(shares.values())
    for name, pool in _pools(rows, shares).items():
        wanted = round(total * shares[name] / whole)
        rng.shuffle(pool)
        chosen += pool[:wanted]
        drops.add("not drawn", pool[wanted:])
        if len(pool) < wanted:
            short[name] = wanted - len(pool)
    rng.shuffle(chosen)
    return chosen, short
