"""Build the `retrieval` rows: `python -m training.data retrieval`.

Reads the public sets and the generator, mixes documents, splits by article and document kind, checks
every row against the contract, drops what touches a public test set, and writes train.jsonl.gz,
dev.jsonl.gz and report.json. Same data and seed, same bytes.
"""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from ..decontaminate import Decontaminator
from ..rows import Row, Split, count_by, write_rows
from . import generator
from .contract import problem
from .documents import Pool, make_row
from .passages import Question
from .sources import read
from .written import DEV_ROUND, ROUNDS

SHARES: dict[Split, dict[str, float]] = {
    "train": {
        "generator": 0.02, "written": 0.17, "written_2": 0.08, "written_3": 0.13, "nq": 0.09, "squad2": 0.36,
        "xquad": 0.02, "disflqa": 0.03, "quac": 0.06, "boolq": 0.02, "narrativeqa": 0.01, "pubmedqa": 0.01,
    },
    "dev": {
        "written_dev": 0.35, "generator": 0.15, "nq": 0.12, "xquad": 0.17, "disflqa": 0.03, "quac": 0.08,
        "boolq": 0.05, "narrativeqa": 0.04, "pubmedqa": 0.01,
    },
}  # fmt: skip
"""SQuAD 2.0 articles are all in train, so dev has none of that set; xquad and disflqa follow their
articles."""

REMOVE_GOLD = {
    "written": 0.05, "written_2": 0.0, "written_3": 0.0, "written_dev": 0.0, "nq": 0.34, "squad2": 0.08,
    "xquad": 0.30, "disflqa": 0.10, "quac": 0.15, "boolq": 0.15, "narrativeqa": 0.25, "pubmedqa": 0.15,
}  # fmt: skip
"""Chance that an answerable question loses its passage: with the native ones about 40 % have no answer."""

SQUAD_FAMILY = ("squad2", "xquad", "disflqa")
DEV_PERCENT = {**dict.fromkeys(ROUNDS, 0), DEV_ROUND: 100, **dict.fromkeys(SQUAD_FAMILY, 40)}
OTHER_DEV_PERCENT = 12


def build(data: Path, out: Path, seed: int, train: int = 5000, dev: int = 400) -> dict[str, Any]:
    """Write both splits and the report; returns the report."""
    questions, drops = read(data)
    sides = split_questions(questions)
    clean = Decontaminator.from_data(data)
    report: dict[str, Any] = {"seed": seed, "rows": {}, "drops": drops, "decontamination_hits": {}}
    sizes: dict[Split, int] = {"train": train, "dev": dev}
    for split, size in sizes.items():
        rng = random.Random(f"{seed}/{split}")
        rows: list[Row] = []
        for source, share in SHARES[split].items():
            wanted = round(size * share)
            if source == "generator":
                made = generator.rows(rng, split, wanted + wanted // 20)
            else:
                made = _source_rows(sides[split][source], source, rng, split, wanted + wanted // 10 + 5)
            rows += _keep(made, clean, wanted, drops, report["decontamination_hits"])
        rng.shuffle(rows)
        write_rows(out / f"{split}.jsonl.gz", rows)
        report["rows"][split] = _summary(rows)
    report["drops"] = dict(sorted(drops.items()))
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def split_questions(questions: dict[str, list[Question]]) -> dict[Split, dict[str, list[Question]]]:
    """By article, the same for every seed. An article of squad2 is train for all sets that share its
    passages."""
    squad = {question.article for question in questions.get("squad2", [])}
    sides: dict[Split, dict[str, list[Question]]] = {"train": {}, "dev": {}}
    for source, found in questions.items():
        sides["train"][source] = []
        sides["dev"][source] = []
        percent = DEV_PERCENT.get(source, OTHER_DEV_PERCENT)
        for question in found:
            is_dev = question.article not in squad and zlib.crc32(question.article.encode()) % 100 < percent
            sides["dev" if is_dev else "train"][source].append(question)
    return sides


def _source_rows(
    questions: list[Question], source: str, rng: random.Random, split: Split, wanted: int
) -> list[Row | None]:
    """Rows of one set; questions are used once, unanswerable ones thinned to the share of `_balance`."""
    pool = Pool(questions)
    chosen = _balance(questions, source, rng)[:wanted]
    return [make_row(question, pool, rng, split, remove_gold=REMOVE_GOLD[source]) for question in chosen]


def _balance(questions: list[Question], source: str, rng: random.Random) -> list[Question]:
    """Random order with unanswerable questions at no more than 40 %, half where people wrote them to be hard, and yes
    as often as no."""
    questions = rng.sample(questions, len(questions))
    if source in ("boolq", "pubmedqa"):
        yes, no = ([q for q in questions if q.answer == answer] for answer in ("yes", "no"))
        return [q for pair in zip(yes, no, strict=False) for q in pair]
    open_, answered = [q for q in questions if not q.answer], [q for q in questions if q.answer]
    most = len(answered) if source in ("squad2", *ROUNDS) else len(answered) * 2 // 3
    kept = open_[:most] + answered
    rng.shuffle(kept)
    return kept


def _keep(
    made: list[Row | None], clean: Decontaminator, wanted: int, drops: Counter[str], hits: dict[str, int]
) -> list[Row]:
    """Rows that keep to the contract and touch no test set, at most `wanted`; the rest is counted."""
    good: list[Row] = []
    for row in made:
        reason = "no fitting distractor" if row is None else problem(row)
        if row is not None and reason is None:
            good.append(row)
        else:
            drops[f"{'row' if row is None else row.source}: {reason}"] += 1
    kept, dropped = clean.split(good)
    for source, count in count_by(dropped).items():
        hits[source] = hits.get(source, 0) + count
    return kept[:wanted]


def _summary(rows: list[Row]) -> dict[str, Any]:
    return {
        "total": len(rows),
        "answerable": sum(bool(row.output["answerable"]) for row in rows),
        "documents": dict(sorted(Counter(len(row.input["documents"]) for row in rows).items())),
        "source": count_by(rows),
    }
