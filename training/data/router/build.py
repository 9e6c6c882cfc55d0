"""Build the router's rows: `python -m training.data router`.

Writes train.jsonl.gz, dev.jsonl.gz, abstain.jsonl.gz (unclear inputs for calibration, never trained on) and
report.json. Rows come in blocks that share one tool list, so that a trainer reads that prefix once.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from ..decontaminate import Decontaminator
from ..rows import Row, Split, write_rows
from ..selection import Drops, draw, thin, usable
from . import generator, sources
from .contract import Example
from .toolsets import toolsets

BLOCK = 8
"""Consecutive rows with one tool list."""
WITH_TOOLS = 0.6
HISTORY = 0.09
"""Share of single-turn examples that get an unrelated exchange before them; with the conversations, about a
fifth of all rows have earlier turns."""
ABSTAIN = 200
LONGEST = 110
"""Words of the last turn."""

TRAIN_SHARES = {
    "hwu64/tool": 8.0, "snips/tool": 2.0, "seal_tools/tool": 3.0, "clinc150/tool": 4.0,
    "generator/action": 9.0,
    "generator/quote_tool_call": 1.0, "generator/tool_follow_up": 0.5,
    "nq/retrieval": 6.0, "boolq/retrieval": 4.0, "hwu64/factoid": 2.0, "clinc150/documents": 1.5,
    "generator/document_question": 9.5, "generator/new_topic": 1.0, "cast2019/retrieval": 1.0,
    "cast2020/retrieval": 0.5,
    "cast2019/query_rewrite": 5.5, "cast2020/query_rewrite": 4.5, "generator/follow_up": 4.5,
    "generator/check": 11.5,
    "hwu64/base": 6.0, "clinc150/base": 4.5, "generator/talk": 9.0, "generator/quote_base": 1.2,
    "generator/reaction": 0.5,
}  # fmt: skip
DEV_SHARES = {
    "sgd/tool": 6.0, "snips_validate/tool": 4.0, "metatool/tool": 4.0, "clinc150_dev/tool": 6.0,
    "generator/action": 6.0,
    "generator/quote_tool_call": 1.0, "generator/tool_follow_up": 0.5,
    "squad2/retrieval": 8.0, "banking77/retrieval": 5.0, "clinc150_dev/documents": 4.0,
    "generator/document_question": 7.0,
    "generator/new_topic": 0.6, "cast2021/retrieval": 0.8, "cast2022/retrieval": 0.5,
    "cast2021/query_rewrite": 6.0, "cast2022/query_rewrite": 4.0, "quac/query_rewrite": 4.0,
    "generator/follow_up": 1.5,
    "generator/check": 12.0,
    "clinc150_dev/base": 8.0, "generator/talk": 5.0, "generator/quote_base": 1.5, "generator/reaction": 0.5,
}  # fmt: skip


def candidates(data: Path, train: int, dev: int, rng: random.Random) -> list[Example]:
    """All examples of the public sets, and more of the generator's than will be drawn."""
    rows: list[Example] = []
    for read in sources.READERS:
        rows += (generator.answered(example, rng) for example in read(data))
    splits: tuple[tuple[Split, int], ...] = (("train", train), ("dev", dev))
    for split, count in splits:
        enough = max(40, count // 4)
        rows += generator.actions(rng, split, enough)
        rows += generator.document_questions(rng, split, enough)
        rows += generator.talk(rng, split, enough * 2)
        rows += generator.conversations(rng, split, enough)
        rows += generator.checks(rng, split, enough)
    return [row for row in rows if 0 < len(row.last.split()) <= LONGEST]


def build(data: Path, out: Path, seed: int, train: int = 4000, dev: int = 800) -> dict[str, Any]:
    """Write the set under `out` and return the report."""
    rng = random.Random(seed)
    drops = Drops()
    decontaminator = Decontaminator.from_data(data)
    domains: dict[str, str | None] = {}
    rows = []
    for example in candidates(data, train, dev, rng):
        row = example.row([], False)
        domains[_identity(row)] = example.domain
        rows.append(row)
    settings: tuple[tuple[Split, dict[str, float], int], ...] = (
        ("train", TRAIN_SHARES, train),
        ("dev", DEV_SHARES, dev),
    )
    few = [
        row
        for split, shares, total in settings
        for row in thin((r for r in rows if r.split == split), shares, total, rng, drops)
    ]
    kept = usable(few, _identity, decontaminator, drops)
    report: dict[str, Any] = {"seed": seed, "splits": {}}
    for split, shares, total in settings:
        chosen, short = draw((row for row in kept if row.split == split), shares, total, rng, drops)
        placed = blocks([(row, domains[_identity(row)]) for row in chosen], split == "dev", rng)
        placed, hits = decontaminator.split(placed)  # an earlier exchange may have come with it
        drops.add("in a public test set", hits)
        write_rows(out / f"{split}.jsonl.gz", placed)
        report["splits"][split] = {**summary(placed), "short": short}
    unclear = [example.row([], rng.random() < 0.5) for example in generator.unclear(rng, ABSTAIN + 40)]
    unclear, hits = decontaminator.split(unclear)
    drops.add("in a public test set", hits)
    placed = blocks([(row, None) for row in unclear[:ABSTAIN]], True, rng)
    write_rows(out / "abstain.jsonl.gz", placed)
    report["splits"]["abstain"] = summary(placed)
    report["dropped"] = drops.report()
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def _identity(row: Row) -> str:
    """A short last turn means something else after another conversation."""
    messages = row.input["messages"]
    return " | ".join(message["content"].lower().strip(" .?!") for message in messages)


def blocks(rows: list[tuple[Row, str | None]], dev: bool, rng: random.Random) -> list[Row]:
    """Rows in blocks of BLOCK: a share of the blocks offers one tool list each, and gets, where there are
    any, requests of that list's domains besides rows of all other kinds."""
    waiting = list(rows)
    lists = toolsets(rng, dev)
    placed: list[Row] = []
    number = 0
    while waiting:
        domains, tools = lists[number % len(lists)] if rng.random() < WITH_TOOLS else ((), [])
        number += bool(tools)
        fitting = [i for i, (_, domain) in enumerate(waiting[:400]) if domain in domains][: rng.randint(2, 4)]
        taken = {*fitting}
        for index in range(len(waiting)):
            if len(taken) >= BLOCK:
                break
            taken.add(index)
        block = [waiting[i][0] for i in sorted(taken)]
        waiting = [item for i, item in enumerate(waiting) if i not in taken]
        rng.shuffle(block)
        placed += [_placed(row, tools, rng) for row in block]
    return placed


def _placed(row: Row, tools: list[dict[str, Any]], rng: random.Random) -> Row:
    """The row with its tools, with documents or without, and sometimes with an earlier exchange."""
    adapter = row.output["adapter"]
    documents = rng.random() < (0.75 if adapter in ("retrieval", "query_rewrite") else 0.5)
    messages = row.input["messages"]
    example = Example(
        tuple((message["role"], message["content"]) for message in messages),
        adapter,
        row.source,
        row.group,
        row.split,
    )
    if len(messages) == 1 and adapter != "abstain" and rng.random() < HISTORY:
        example = generator.with_history(example, rng)
    return example.row(tools, documents)


def summary(rows: list[Row]) -> dict[str, Any]:
    """Counts of a split: labels, rows with tools and with earlier turns, sources."""
    return {
        "rows": len(rows),
        "adapters": dict(sorted(Counter(row.output["adapter"] for row in rows).items())),
        "with_tools": sum("tools" in row.input for row in rows),
        "with_history": sum(len(row.input["messages"]) > 1 for row in rows),
        "sources": dict(sorted(Counter(row.source for row in rows).items())),
    }
