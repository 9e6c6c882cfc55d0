"""Choosing rows out of sources: no repetition, nothing of a test set, given shares.

Every step returns what it dropped by reason, so that a report can say where rows went. This module knows
nothing of any adapter: how a row's text is compared is the caller's `identity`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from training.data.decontaminate import Decontaminator
from training.data.rows import Row


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
    """Rows with distinct texts that touch no public test set. Where train and dev share a text or a group, the row
    stays in dev: a dev set that was trained on says nothing."""
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


def draw(
    rows: Iterable[Row], shares: Mapping[str, float], total: int, rng: random.Random, drops: Drops
) -> tuple[list[Row], dict[str, int]]:
    """About `total` rows, each source with its share, in random order; and how many each source fell short.

    A key of `shares` covers the sources that start with it (the longest such key wins). A share of 0 leaves a source out.
    """
    pools: dict[str, list[Row]] = {name: [] for name in shares}
    for row in rows:
        names = [name for name in shares if row.source.startswith(name)]
        if names:
            pools[max(names, key=len)].append(row)
    chosen: list[Row] = []
    short: dict[str, int] = {}
    whole = sum(shares.values())
    for name, pool in pools.items():
        wanted = round(total * shares[name] / whole)
        rng.shuffle(pool)
        chosen += pool[:wanted]
        drops.add("not drawn", pool[wanted:])
        if len(pool) < wanted:
            short[name] = wanted - len(pool)
    rng.shuffle(chosen)
    return chosen, short
