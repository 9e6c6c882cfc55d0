"""Build the `query_rewrite` rows: `python -m training.data query_rewrite`.

Takes the TREC CAsT topics, our own written conversations and the generator, splits by topic and pattern, checks every
row against the contract, drops what touches a public test set, and writes train.jsonl.gz, dev.jsonl.gz and report.json.
Same data and seed, same bytes.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from ..decontaminate import Decontaminator
from ..rows import Row, Split, count_by, write_rows
from . import generator, written
from .contract import problem
from .sources import Turn, read_cast

DEV_SHARE_CAST = 0.5


def build(data: Path, out: Path, seed: int, train: int = 3000, dev: int = 250) -> dict[str, Any]:
    """Write both splits and the report; returns the report."""
    turns, left_out = read_cast(data, random.Random(f"{seed}/cast"))
    drops: Counter[str] = Counter({f"cast {reason}": count for reason, count in left_out.items()})
    clean = Decontaminator.from_data(data)
    report: dict[str, Any] = {"seed": seed, "rows": {}, "drops": {}, "decontamination_hits": {}}
    sizes: dict[Split, int] = {"train": train, "dev": dev}
    for split, size in sizes.items():
        rng = random.Random(f"{seed}/{split}")
        people = [cast_row(turn, split) for turn in turns if is_dev(turn) == (split == "dev")]
        if split == "train":
            people += written.rows()
        rng.shuffle(people)
        people.sort(key=lambda row: not written.is_latest(row))
        limit = size if split == "train" else round(size * DEV_SHARE_CAST)
        rows = _keep(people, clean, limit, drops, report["decontamination_hits"])
        wanted = size - len(rows)
        made = generator.rows(rng, split, wanted + wanted // 5)
        rows += _keep(_distinct(made, drops), clean, wanted, drops, report["decontamination_hits"])
        rng.shuffle(rows)
        write_rows(out / f"{split}.jsonl.gz", rows)
        unchanged = sum(row.output["query"] == row.input["messages"][-1]["content"] for row in rows)
        report["rows"][split] = {"total": len(rows), "unchanged": unchanged, "source": count_by(rows)}
    report["drops"] = dict(sorted(drops.items()))
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def is_dev(turn: Turn) -> bool:
    """Every other topic of 2021: the first year with the system's replies."""
    return turn.year == 2021 and turn.topic % 2 == 0


def cast_row(turn: Turn, split: Split) -> Row:
    messages = [{"role": role, "content": text} for role, text in turn.history]
    return Row(
        {"messages": [*messages, {"role": "user", "content": turn.said}]},
        {"query": turn.rewrite},
        f"cast-{turn.year}",
        f"cast-{turn.topic}",
        split,
    )


def _distinct(rows: list[Row], drops: Counter[str]) -> list[Row]:
    seen: set[str] = set()
    kept = []
    for row in rows:
        key = json.dumps(row.input)
        if key in seen:
            drops[f"{row.source}: repeated"] += 1
        else:
            seen.add(key)
            kept.append(row)
    return kept


def _keep(rows: list[Row], clean: Decontaminator, wanted: int, drops: Counter[str], hits: dict[str, int]) -> list[Row]:
    """Rows that keep to the contract and touch no test set, at most `wanted`; the rest is counted."""
    good: list[Row] = []
    for row in rows:
        reason = problem(row)
        if reason is None:
            good.append(row)
        else:
            drops[f"{row.source}: {reason}"] += 1
    kept, dropped = clean.split(good)
    for source, count in count_by(dropped).items():
        hits[source] = hits.get(source, 0) + count
    return kept[:wanted]
