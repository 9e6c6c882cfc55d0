"""Builds the tool_call set: mixes all sources by share, filters, and writes train, dev and a report.

    python -m training.data tool_call

Every row passes the same gates: its target validates against its tools, it is short enough for a small
model, it is no duplicate, and no text of it is in a public test set. What is dropped is counted by source and
reason. Equal arguments and data give equal files. Rows of a group stay together and in order, because they
share one tool list and training reads a shared prefix once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lora_agent.types import compact_json

from ..decontaminate import Decontaminator
from ..rows import Row, Split, count_by, write_rows
from .generator.compose import Composer
from .generator.spec import load_domains
from .parts import part_rows
from .schema import TargetChecker, tool_name
from .sources import home_assistant, hwu64, irrelevant, seal_tools, sgd, snips, written

Groups = Iterator[list[Row]]
Reader = Callable[[Path, Random, Split], Groups]

MAX_TOOLS = 6
MAX_CHARACTERS = 2000
"""Tools and messages as JSON; about 560 tokens of SmolLM2. Longer rows cost more than they teach."""


def generator(_: Path, rng: Random, split: Split) -> Groups:
    domains = [domain for domain in load_domains() if domain.dev == (split == "dev")]
    return Composer(domains, rng, split).groups()


@dataclass(frozen=True)
class Share:
    read: Reader
    train: float
    dev: float


SOURCES: dict[str, Share] = {
    "written": Share(written.groups, 0.82, 0.3),
    "seal-tools": Share(seal_tools.groups, 0.03, 0.12),
    "hwu64": Share(hwu64.groups, 0.02, 0.0),
    "snips": Share(snips.groups, 0.01, 0.0),
    "sgd": Share(sgd.groups, 0.02, 0.12),
    "home-assistant": Share(home_assistant.groups, 0.0, 0.12),
    "irrelevant": Share(irrelevant.groups, 0.03, 0.0),
    "generator": Share(generator, 0.07, 0.34),
}
"""The generator comes last and also fills what a finite source could not give."""


class Gates:
    """What every row must pass; counts what did not, by source and reason."""

    def __init__(self, decontaminator: Decontaminator) -> None:
        self._decontaminator = decontaminator
        self._checker = TargetChecker()
        self._seen: set[str] = set()
        self.dropped: Counter[str] = Counter()

    def passed(self, source: str, rows: list[Row]) -> list[Row]:
        kept: list[Row] = []
        for row in rows:
            reason = self._reason(row)
            if reason is None:
                kept.append(row)
            else:
                self.dropped[f"{source}: {reason}"] += 1
        return kept

    def _reason(self, row: Row) -> str | None:
        fault = self._checker.fault(row)
        if fault is not None:
            return fault
        if len(row.input["tools"]) > MAX_TOOLS:
            return "too many tools"
        if len(compact_json(row.input)) > MAX_CHARACTERS:
            return "too long"
        names = sorted(tool_name(tool) for tool in row.input["tools"])
        key = compact_json([row.input["messages"], row.output["calls"], names]).lower()
        if key in self._seen:
            return "duplicate"
        if self._decontaminator.split([row])[1]:
            return "in a public test set"
        self._seen.add(key)
        return None


def _take(source: str, groups: Groups, wanted: int, gates: Gates, split: Split) -> list[list[Row]]:
    """Groups of a source, a request's parts after it; development rows are whole requests only."""
    taken: list[list[Row]] = []
    count = 0
    while count < wanted and (group := next(groups, None)) is not None:
        kept = gates.passed(source, group)
        if split == "train":
            kept = [each for row in kept for each in (row, *part_rows(row))]
        if kept:
            taken.append(kept)
            count += len(kept)
    return taken


def build_split(data_dir: Path, seed: int, split: Split, total: int, gates: Gates) -> list[Row]:
    """Rows of one split, groups shuffled, rows of a group together."""
    groups: list[list[Row]] = []
    for name, share in SOURCES.items():
        portion = share.train if split == "train" else share.dev
        wanted = round(total * portion)
        if name == "generator":
            wanted = total - sum(len(group) for group in groups)
        if wanted > 0:
            rng = Random(f"{seed}/{split}/{name}")
            groups += _take(name, share.read(data_dir, rng, split), wanted, gates, split)
    Random(f"{seed}/{split}/order").shuffle(groups)
    return [row for group in groups for row in group]


def build(data: Path, out: Path, seed: int, train: int = 9000, dev: int = 600) -> dict[str, Any]:
    """Write train.jsonl.gz, dev.jsonl.gz and report.json to `out`; returns the report."""
    gates = Gates(Decontaminator.from_data(data))
    report: dict[str, Any] = {"seed": seed, "splits": {}}
    totals: dict[Split, int] = {
        "dev": dev,
        "train": train,
    }  # dev first: what it holds is no duplicate in train
    for split, total in totals.items():
        rows = build_split(data, seed, split, total, gates)
        write_rows(out / f"{split}.jsonl.gz", rows)
        report["splits"][split] = describe(rows)
    report["dropped"] = dict(sorted(gates.dropped.items()))
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def describe(rows: list[Row]) -> dict[str, Any]:
    """Counts that show the balance of a split."""
    calls = Counter(min(len(row.output["calls"]), 4) for row in rows)
    tools = Counter(len(row.input["tools"]) for row in rows)
    lengths = sorted(len(compact_json(row.input)) for row in rows)
    names = {tool_name(tool) for row in rows for tool in row.input["tools"]}
    return {
        "rows": len(rows),
        "groups": len({row.group for row in rows}),
        "by_source": count_by(rows),
        "rows_by_number_of_calls": {("4+" if n == 4 else str(n)): calls[n] for n in sorted(calls)},
        "rows_by_number_of_tools": {str(n): tools[n] for n in sorted(tools)},
        "tool_names": len(names),
        "input_characters": {"median": lengths[len(lengths) // 2], "p95": lengths[int(len(lengths) * 0.95)]}
        if lengths
        else {},
    }
