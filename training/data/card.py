"""A set's data card: what it holds, from where, under which licence, and what was kept out of it.

Written beside the rows by `python -m training.data NAME`; the cards of the sets that the shipped adapters were last
trained on are in docs/data.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from lora_agent.types import compact_json

from .decontaminate import Decontaminator
from .origins import OWN, origin_of, read_origins
from .rows import Row, read_rows


def card(name: str, folder: Path, clean: Decontaminator, report: dict[str, Any]) -> str:
    """Markdown. The rows are read from `folder` and compared with the public test sets once more, as they lie there."""
    splits = {split: read_rows(folder / f"{split}.jsonl.gz") for split in ("train", "dev")}
    hits = {split: len(clean.split(rows)[1]) for split, rows in splits.items()}
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in splits.items())
    lines = [f"# Data of `{name}`", ""]
    lines += [f"`python -m training.data {name} --seed {report['seed']}`: {counts} rows.", ""]
    lines += ["| origin | licence | commit | train | dev |", "|---|---|---|---|---|", *_origins(splits), ""]
    shared = ", ".join(f"{n} in {split}" for split, n in hits.items())
    lines += [f"Rows that share eight words with a public test set: {shared}; dropped before: {_dropped(report)}.", ""]
    groups = {split: {row.group for row in rows} for split, rows in splits.items()}
    both = len(groups["train"] & groups["dev"])
    lines += [f"Groups (articles, families, tool lists, conversations) in both splits: {both}.", ""]
    lines += ["| kind | train | dev |", "|---|---|---|", *_kinds(splits), ""]
    lines += ["| length of the input in characters | median | 95 % |", "|---|---|---|"]
    for split, rows in splits.items():
        sizes = sorted(len(compact_json(row.input)) for row in rows)
        lines.append(f"| {split} | {sizes[len(sizes) // 2]:,} | {sizes[int(0.95 * len(sizes))]:,} |")
    return "\n".join(lines) + "\n"


def _origins(splits: dict[str, list[Row]]) -> list[str]:
    known = read_origins()
    found = {split: Counter(_origin(row, known) for row in rows) for split, rows in splits.items()}
    lines = []
    for name in sorted({*found["train"], *found["dev"]}, key=lambda n: (n == OWN, n)):
        entry = known.get(name, {})
        where = name if entry else "our own"
        if "repository" in entry:
            where = f"[{name}]({entry['repository']})"
        commit = f"`{entry['commit'][:8]}`" if "commit" in entry else ""
        counts = f"{found['train'][name]:,} | {found['dev'][name]:,}"
        lines.append(f"| {where} | {entry.get('licence', 'Apache-2.0')} | {commit} | {counts} |")
    return lines


def _origin(row: Row, known: dict[str, Any]) -> str:
    name = origin_of(row.source)
    return name if name in known else OWN


def _kinds(splits: dict[str, list[Row]]) -> list[str]:
    """By the full source, which names the kind of a row, most frequent first."""
    found: dict[str, Counter[str]] = {split: Counter(row.source for row in rows) for split, rows in splits.items()}
    names = sorted({*found["train"], *found["dev"]}, key=lambda n: (-found["train"][n], n))
    return [f"| {name} | {found['train'][name]:,} | {found['dev'][name]:,} |" for name in names]


def _dropped(report: dict[str, Any]) -> int:
    """The builders count these under different keys."""
    if "decontamination_hits" in report:
        return sum(report["decontamination_hits"].values())
    drops = report["dropped"]
    nested = drops.get("in a public test set", {})
    return sum(nested.values()) + sum(n for name, n in drops.items() if name.endswith(": in a public test set"))


def write_card(name: str, folder: Path, data: Path, report: dict[str, Any]) -> None:
    text = card(name, folder, Decontaminator.from_data(data), report)
    (folder / "card.md").write_text(text, encoding="utf-8")
